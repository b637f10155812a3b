//! What several pages are made of: scopes with their badges and warnings.

use allowlog_proto::event::Risk;
use maud::{Markup, html};

use super::{ScopeView, words};

/// Scopes of which no more than this are shown without being asked for, where there are many lists.
const SCOPES_SHOWN: usize = 6;

/// Scopes as somebody is asked about them: everything there is to know.
pub fn scopes(scopes: &[ScopeView]) -> Markup {
    html! {
        // Styled lists lose their role in some browsers.
        ul.scopes role="list" {
            @for scope in scopes {
                li {
                    div.name {
                        h3 dir="auto" { (scope.label) }
                        @if let Some(risk) = scope.risk { (badge(risk)) }
                    }
                    @if let Some(description) = scope.description { p dir="auto" { (description) } }
                    @if !scope.reversible { p.warning { (words::IRREVERSIBLE) } }
                }
            }
        }
    }
}

/// Scopes in a list of many consents: all of them, but those of a long list only on demand.
pub fn scopes_in_short(scopes: &[ScopeView]) -> Markup {
    let list = html! {
        ul.short {
            @for scope in scopes {
                li { bdi { (scope.label) } @if let Some(risk) = scope.risk { " " (badge(risk)) } }
            }
        }
    };
    if scopes.len() <= SCOPES_SHOWN {
        return list;
    }
    html! { details { summary { (words::all_of(scopes.len())) } (list) } }
}

fn badge(risk: Risk) -> Markup {
    let class = match risk {
        Risk::Low => "badge low",
        Risk::Medium => "badge medium",
        Risk::High => "badge high",
        Risk::Critical => "badge critical",
    };
    html! { span class=(class) { (words::risk(risk)) } }
}

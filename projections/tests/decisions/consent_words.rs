//! Requests about consents and agents, from their words.

use allowlog_projections::command::{Action, Visit};
use allowlog_proto::api::permitly::{AskBody, ChangeAgentBody};
use allowlog_proto::event::{AgentTerms, ConsentScope, TokenTerms, Visitor};
use allowlog_proto::id::{ConsentAgentId, ConsentId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::redirect::{Origin, RedirectUrl};
use allowlog_proto::text::{IpAddress, Name, OpaqueId, ScopeLabel, ScopeName, UserAgent, UserId, WebhookUrl};

use crate::table::Words;
use crate::wording::{Names, instant};

const WORD_LIFE_MS: u64 = 30 * 60_000;

fn user(words: &mut Words<'_>) -> UserId {
    UserId::new(words.option("user").unwrap_or("user")).unwrap()
}

fn scope(key: &str) -> ConsentScope {
    let (key, label) = (ScopeName::new(key).unwrap(), ScopeLabel::new(key).unwrap());
    ConsentScope { key, label, description: None, risk: None, reversible: true }
}

fn consent_id(names: &Names, name: &str) -> Option<ConsentId> {
    ConsentId::parse(&names.text(name))
}

fn agent_id(names: &Names, name: &str) -> Option<ConsentAgentId> {
    ConsentAgentId::parse(&names.text(name))
}

/// Who looks at a page, `from 192.0.2.7 with Browser`.
pub(crate) fn visitor(words: &mut Words<'_>) -> Visitor {
    let ip_address = words.option("from").map(|ip| IpAddress::new(ip).unwrap());
    Visitor { ip_address, user_agent: words.option("with").map(|agent| UserAgent::new(agent).unwrap()) }
}

/// What somebody does on a page, nothing if the verb is not one of a visitor.
pub(crate) fn visit(names: &Names, verb: &str, mut words: Words<'_>) -> Option<Visit> {
    if !matches!(verb, "view" | "consent" | "refuse" | "take_back") {
        return None;
    }
    let (user_id, place) = (user(&mut words), words.option("in").unwrap_or("W1"));
    let [name] = words.0[..] else { panic!("{verb} R1") };
    let id = consent_id(names, name);
    Some(match verb {
        "view" => Visit::View(id),
        "take_back" => Visit::Withdraw { workspace_id: WorkspaceId::parse(&names.text(place)).unwrap(), user_id, consent_id: id },
        verb => Visit::Answer { consent_id: id, approves: verb == "consent" },
    })
}

/// What a caller asks for, nothing if the verb is about something else.
pub(crate) fn action(names: &Names, verb: &str, mut words: Words<'_>) -> Option<Action> {
    Some(match verb {
        "ask" => ask(names, words),
        "withdraw" => Action::WithdrawConsent(consent_id(names, words.0[0])),
        "mint" => Action::MintToken(consent_id(names, words.0[0])),
        "verify" => {
            let by = words.option("by").unwrap_or("A1");
            let expires_at = words.option("until").map_or(instant("10:00"), instant);
            let [consent, token] = words.0[..] else { panic!("verify R1 X1 by A1 until 10:00") };
            let token_id =
                allowlog_proto::id::TokenId::parse(&names.text(token)).unwrap_or(allowlog_proto::id::TokenId::from_bytes([9; 16]));
            Action::VerifyToken {
                consent_id: consent_id(names, consent).unwrap_or(ConsentId::from_bytes([9; 16])),
                agent_id: agent_id(names, by).unwrap_or(ConsentAgentId::from_bytes([9; 16])),
                token: TokenTerms { token_id, expires_at },
            }
        }
        "manage" => Action::CreateManageLink(UserId::new(words.0[0]).unwrap()),
        "agent" => {
            let change = change(&mut words);
            let terms = AgentTerms {
                name: change.name.unwrap_or(Name::new("agent").unwrap()),
                token_life_s: change.token_life_s.unwrap_or(3600),
                webhook_url: change.webhook_url.flatten(),
                redirect_origins: change.redirect_origins.unwrap_or_default(),
                is_default: change.is_default.unwrap_or(false),
            };
            Action::CreateConsentAgent(Box::new(terms), (2, [1; 32]))
        }
        "change_agent" => {
            let change = change(&mut words);
            Action::ChangeConsentAgent(agent_id(names, words.0[0]), Box::new(change))
        }
        "rotate_secret" => Action::RotateWebhookSecret(agent_id(names, words.0[0])),
        _ => return None,
    })
}

/// `ask a + b user u agent A1 life 60 to https://a.example/x without_key`
fn ask(names: &Names, mut words: Words<'_>) -> Action {
    let spare = (!words.flag("without_key")).then_some((3, [2; 32]));
    let body = AskBody {
        agent_id: words.option("agent").map(|name| OpaqueId::new(&names.text(name)).unwrap()),
        user_id: user(&mut words),
        email: None,
        redirect_url: RedirectUrl::new(words.option("to").unwrap_or("https://a.example/x")).unwrap(),
        life_ms: words.option("life").map_or(WORD_LIFE_MS, |life| life.parse::<u64>().unwrap() * 1000),
        scopes: words.0.split(|word| *word == "+").map(|scope| self::scope(scope[0])).collect(),
        metadata: CanonicalObject::default(),
    };
    Action::Ask(Box::new(body), spare)
}

/// `name X life 60 hook https://... origins https://a.example|https://b.example default`; `-` takes away.
fn change(words: &mut Words<'_>) -> ChangeAgentBody {
    let origins = |text: &str| text.split('|').filter(|origin| *origin != "-").map(|origin| Origin::new(origin).unwrap()).collect();
    ChangeAgentBody {
        name: words.option("name").map(|name| Name::new(name).unwrap()),
        token_life_s: words.option("life").map(|life| life.parse().unwrap()),
        webhook_url: words.option("hook").map(|url| Some(WebhookUrl::new(url).unwrap()).filter(|url| url.as_str() != "-")),
        redirect_origins: words.option("origins").map(origins),
        is_default: words.flag("default").then_some(true),
    }
}

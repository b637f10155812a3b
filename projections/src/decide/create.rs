//! Create: a permission is recorded. It never changes afterwards.

use allowlog_proto::api::allowly::{CreateBody, Source};
use allowlog_proto::event::{AuthorizationEvent, Event, Granted, Terms};
use allowlog_proto::id::{AuthorizationId, ReceiptId, WorkspaceId};
use allowlog_proto::limits::DAY_MS;
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::text::BundleId;
use allowlog_proto::time::Timestamp;

use super::Decided;
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{State, Workspace};

pub(super) fn create(
    state: &State,
    workspace_id: WorkspaceId,
    body: &CreateBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let workspace = state.workspace(workspace_id).ok_or(Rejected::Unauthorized)?;
    let (terms, bundle_id, default_end) = terms(workspace, &body.source, now)?;
    let Some(expires_at) = body.expires_at.or(default_end) else {
        return Err(Rejected::field("body.expires_at", "is required: the bundle has no `default_expiry_days`"));
    };
    if expires_at <= now {
        return Err(Rejected::field("body.expires_at", "must be in the future"));
    }
    if body.not_before.is_some_and(|start| start >= expires_at) {
        return Err(Rejected::field("body.not_before", "must be before `expires_at`"));
    }
    let replaces = match &body.replaces {
        None => None,
        Some(asked) => {
            let id = AuthorizationId::parse(asked.as_str()).filter(|id| state.authorization(workspace_id, *id).is_some());
            Some(id.ok_or_else(|| Rejected::field("body.replaces", "names no authorization of this workspace"))?)
        }
    };
    if !workspace.plan.is_paid() {
        if body.budget_limit.is_some() {
            return Err(Rejected::BudgetPlanRequired);
        }
        if escalates(terms) {
            return Err(Rejected::PaymentRequired);
        }
    }
    let granted = Granted {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id: AuthorizationId::from_bytes(ids.mint(now)),
        user_id: body.user_id.clone(),
        terms: terms.clone(),
        expires_at: Some(expires_at),
        not_before: body.not_before,
        budget_limit: body.budget_limit,
        bundle_id,
        replaces,
        metadata: body.metadata.clone(),
        policy_version: PolicyVersion::CURRENT,
        consent: None,
        delegation: None,
    };
    let event = Event::Authorization(AuthorizationEvent::Granted(Box::new(granted)));
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

/// What is granted, from which bundle, and the end that the bundle sets.
fn terms<'a>(
    workspace: &'a Workspace,
    source: &'a Source,
    now: Timestamp,
) -> Result<(&'a Terms, Option<BundleId>, Option<Timestamp>), Rejected> {
    match source {
        Source::Inline(terms) => Ok((terms, None, None)),
        Source::Bundle(id) => {
            let live = workspace.bundles.get(id).ok_or(Rejected::NotFound("bundle"))?;
            let days = live.bundle.default_expiry_days.map(u64::from);
            let end = days.map(|days| now.saturating_add_ms(days.saturating_mul(DAY_MS)));
            Ok((&live.bundle.terms, Some(id.clone()), end))
        }
    }
}

/// Whether any scope can come to an escalation.
fn escalates(terms: &Terms) -> bool {
    let routed = terms.scopes.iter().filter_map(|scope| scope.constraints.as_deref()).filter_map(|c| c.escalate_when.as_ref());
    !terms.requires_escalation_for.is_empty() || routed.flatten().next().is_some()
}

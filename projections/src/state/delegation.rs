//! Delegations: what makes an authorization one, and what was spent under it.

use std::collections::BTreeMap;

use allowlog_proto::event::{Delegated, Granted, Interval, PaymentLimits};
use allowlog_proto::id::{AuthorizationId, ReceiptId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::money::Currency;
use allowlog_proto::time::Timestamp;

use super::spend::{Left, Spend};
use super::stored::stored;
use super::{Authorization, State};

/// What makes an authorization a delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Who may act.
    pub agent_id: RegisteredAgentId,
    /// What it may pay.
    pub limits: PaymentLimits,
    /// The caller's own.
    pub metadata: CanonicalObject,
    /// The receipt of its grant.
    pub receipt_id: ReceiptId,
    /// The receipt of its revoke.
    pub revoke_receipt_id: Option<ReceiptId>,
    pub(super) spend: BTreeMap<Currency, Spend>,
}

stored!(Delegation { agent_id, limits, metadata, receipt_id, revoke_receipt_id, spend });

impl Delegation {
    pub(super) fn granted(granted: &Granted, delegated: &Delegated) -> Self {
        Self {
            agent_id: delegated.agent_id,
            limits: delegated.limits.clone(),
            metadata: granted.metadata.clone(),
            receipt_id: granted.receipt_id,
            revoke_receipt_id: None,
            spend: BTreeMap::new(),
        }
    }

    /// What is left of its limits at `now`; of a currency that nobody names, nothing.
    pub fn left(&self, currency: Option<Currency>, now: Timestamp) -> Left {
        match currency {
            Some(currency) => {
                self.spend.get(&currency).map_or_else(|| Spend::default().left(&self.limits, now), |s| s.left(&self.limits, now))
            }
            None => Left { daily: self.limits.daily.map(|_| 0), period: self.limits.period.map(|_| 0) },
        }
    }

    /// How many offline tokens of it hold something at `now`.
    pub fn tokens_held(&self, now: Timestamp) -> usize {
        self.spend.values().map(|spend| spend.held(now)).sum()
    }
}

impl State {
    /// The delegation with the authorization that it is, if it is this workspace's.
    pub fn delegation(&self, workspace_id: WorkspaceId, id: AuthorizationId) -> Option<(&Authorization, &Delegation)> {
        let authorization = self.authorization(workspace_id, id)?;
        Some((authorization, authorization.delegation()?))
    }

    /// What was spent under a delegation in a currency, to be changed at `now`, and the interval of its rolling limit.
    pub(super) fn spend_mut(
        &mut self,
        workspace_id: WorkspaceId,
        id: AuthorizationId,
        currency: Currency,
        now: Timestamp,
    ) -> (&mut Spend, Option<Interval>) {
        let authorization = self.authorizations.by_id.get_mut(&(workspace_id, id));
        let Some(delegation) = authorization.and_then(|authorization| authorization.delegation_mut()) else {
            unreachable!("a payment is made under a delegation");
        };
        let interval = delegation.limits.period.map(|period| period.interval);
        let spend = delegation.spend.entry(currency).or_default();
        if let Some(interval) = interval {
            spend.forget(now, interval);
        }
        (spend, interval)
    }

    /// Drops what no limit looks at any more, where anything was spent.
    pub(super) fn forget_spend(&mut self, workspace_id: WorkspaceId, id: AuthorizationId, currency: Currency, now: Timestamp) {
        let authorization = self.authorizations.by_id.get_mut(&(workspace_id, id));
        let Some(delegation) = authorization.and_then(|authorization| authorization.delegation_mut()) else { return };
        if let (Some(period), Some(spend)) = (delegation.limits.period, delegation.spend.get_mut(&currency)) {
            spend.forget(now, period.interval);
        }
    }
}

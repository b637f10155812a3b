//! Authorizations: what was granted, what of it has been used today, and the answers people gave.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::Arc;

use allowlog_proto::event::{AuthorizationEvent, Budget, Constraints, Granted};
use allowlog_proto::id::{AuthorizationId, EscalationId, WorkspaceId};
use allowlog_proto::money::Micros;
use allowlog_proto::record::Record;
use allowlog_proto::text::{AgentId, Approver, BundleId, Resource, ScopeName, UserId};
use allowlog_proto::time::Timestamp;

use super::State;
use super::consent::ConsentAnswer;
use super::delegation::Delegation;
use super::stored::{Stored, stored};

/// A recorded permission; revoked ones stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// For whom the agent acts.
    pub user_id: UserId,
    /// Who acts.
    pub agent_id: AgentId,
    /// From this instant on nothing is allowed; a consent stands until it is withdrawn.
    pub expires_at: Option<Timestamp>,
    /// From when on it is over.
    pub revoked_at: Option<Timestamp>,
    /// What may be done: the same memory for all that say the same.
    pub scopes: Arc<[Scope]>,
    /// For each scope, allows given on the latest day there were any.
    windows: Box<[Window]>,
    /// What most have nothing of, so that one at rest takes little memory.
    extras: Option<Box<Extras>>,
}

/// What an authorization may have, and most have not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Extras {
    bundle_id: Option<BundleId>,
    replaces: Option<AuthorizationId>,
    budget: Option<Budget>,
    not_before: Option<Timestamp>,
    delegation: Option<Box<Delegation>>,
    /// The answers people gave, by place in `scopes` and resource.
    live: BTreeMap<(usize, Option<Resource>), Live>,
}

/// One granted scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// What may be done.
    pub name: ScopeName,
    /// Within which limits.
    pub constraints: Option<Box<Constraints>>,
    /// Whether the user is asked each time.
    pub requires_confirm: bool,
    /// Whether a third party is asked each time.
    pub requires_escalation: bool,
    /// Which third party.
    pub escalation_to: Option<Box<Approver>>,
}

/// Allows given on one UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Window {
    day: u64,
    allows: u64,
}

/// The answers people gave for one scope and resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Live {
    /// The user said yes until this instant, exclusive.
    pub confirmed_until: Option<Timestamp>,
    /// The latest escalation.
    pub escalation: Option<EscalationId>,
}

stored!(Authorization { user_id, agent_id, expires_at, revoked_at, scopes, windows, extras });
stored!(Extras { bundle_id, replaces, budget, not_before, delegation, live });
stored!(Scope { name, constraints, requires_confirm, requires_escalation, escalation_to });
stored!(Window { day, allows });
stored!(Live { confirmed_until, escalation });

impl Window {
    /// Allows given on the day of `now`.
    const fn allows_on(&self, now: Timestamp) -> u64 {
        if self.day == now.day() { self.allows } else { 0 }
    }

    /// One more allow, on the day of `now`.
    const fn count(&mut self, now: Timestamp) {
        *self = Self { day: now.day(), allows: self.allows_on(now).saturating_add(1) };
    }
}

impl Authorization {
    /// Whether nothing is allowed any more, for want of time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }

    /// The scope of this name with its place.
    pub fn scope(&self, name: &ScopeName) -> Option<(usize, &Scope)> {
        self.scopes.iter().enumerate().find(|(_, scope)| scope.name == *name)
    }

    /// Allows given for the scope at this place on the UTC day of `now`.
    pub fn allows_on(&self, scope: usize, now: Timestamp) -> u64 {
        self.windows.get(scope).map_or(0, |window| window.allows_on(now))
    }

    /// The bundle it was copied from.
    pub fn bundle_id(&self) -> Option<&BundleId> {
        self.extras.as_ref()?.bundle_id.as_ref()
    }

    /// The authorization it follows.
    pub fn replaces(&self) -> Option<AuthorizationId> {
        self.extras.as_ref()?.replaces
    }

    /// What all allows together may cost, and what those so far do.
    pub fn budget(&self) -> Option<Budget> {
        self.extras.as_ref()?.budget
    }

    /// Before this instant nothing is allowed.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.extras.as_ref()?.not_before
    }

    /// What makes it a delegation, if it is one.
    pub fn delegation(&self) -> Option<&Delegation> {
        self.extras.as_ref()?.delegation.as_deref()
    }

    pub(super) fn delegation_mut(&mut self) -> Option<&mut Delegation> {
        self.extras.as_mut()?.delegation.as_deref_mut()
    }

    /// The answers people gave for the scope at this place and this very resource, none included.
    pub fn live(&self, scope: usize, resource: Option<&Resource>) -> Live {
        let Some(extras) = self.extras.as_ref().filter(|extras| !extras.live.is_empty()) else { return Live::default() };
        extras.live.get(&(scope, resource.cloned())).copied().unwrap_or_default()
    }

    /// An allow has been given: it counts for the day of `now`, and its cost for the budget.
    pub(super) fn count(&mut self, scope: usize, cost: Micros, now: Timestamp) {
        if let Some(window) = self.windows.get_mut(scope) {
            window.count(now);
        }
        if let Some(budget) = self.extras.as_mut().and_then(|extras| extras.budget.as_mut()) {
            let spent = budget.spent.checked_add(cost).filter(|spent| *spent <= budget.limit);
            let Some(spent) = spent else { unreachable!("an allow stays within the budget") };
            budget.spent = spent;
        }
    }

    pub(super) fn live_mut(&mut self, scope: usize, resource: Option<Resource>) -> &mut Live {
        self.extras.get_or_insert_default().live.entry((scope, resource)).or_default()
    }

    pub(super) fn forget_confirmation(&mut self, scope: usize, resource: &Option<Resource>, now: Timestamp) {
        if self.live(scope, resource.as_ref()).confirmed_until.is_some_and(|until| until <= now) {
            self.withdraw_confirmation(scope, resource);
        }
    }

    pub(super) fn withdraw_confirmation(&mut self, scope: usize, resource: &Option<Resource>) {
        let key = (scope, resource.clone());
        let Some(extras) = &mut self.extras else { return };
        if let Some(live) = extras.live.get_mut(&key) {
            live.confirmed_until = None;
            if live.escalation.is_none() {
                extras.live.remove(&key);
            }
        }
    }
}

/// All authorizations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Authorizations {
    /// Boxed, since the nodes of a map that grows at its end are half empty.
    pub(super) by_id: BTreeMap<(WorkspaceId, AuthorizationId), Box<Authorization>>,
    /// What they may do, each list once: most of a product's say the same.
    shared: BTreeSet<Arc<[Scope]>>,
}

impl Authorizations {
    /// Lets go of a list of which there is an equal one already.
    fn share(&mut self, scopes: &mut Arc<[Scope]>) {
        match self.shared.get(&**scopes) {
            Some(equal) => *scopes = Arc::clone(equal),
            None => drop(self.shared.insert(Arc::clone(scopes))),
        }
    }
}

/// As the map alone; what is shared is shared again while it is read.
impl Stored for Authorizations {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.by_id.save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        let mut this = Self::default();
        let count = usize::load(from)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let (key, mut authorization): (_, Box<Authorization>) = Stored::load(from)?;
            this.share(&mut authorization.scopes);
            entries.push((key, authorization));
        }
        this.by_id = entries.into_iter().collect();
        Ok(this)
    }
}

impl State {
    pub(super) fn apply_authorization(&mut self, record: &Record, event: &AuthorizationEvent) {
        match event {
            AuthorizationEvent::Granted(granted) => {
                let key = (record.workspace_id, granted.authorization_id);
                let mut authorization = Authorization::granted(granted);
                self.authorizations.share(&mut authorization.scopes);
                let before = self.authorizations.by_id.insert(key, Box::new(authorization));
                assert!(before.is_none(), "an authorization is granted once");
                if let Some(delegated) = &granted.delegation {
                    let agent = self.registered_agent_mut(record.workspace_id, delegated.agent_id);
                    agent.delegations.insert(granted.authorization_id);
                    agent.standing.insert(granted.authorization_id);
                }
                if granted.consent.is_some() {
                    self.settle_consent(record, granted.authorization_id, ConsentAnswer::Approved { at: record.time });
                }
            }
            AuthorizationEvent::Revoked(revoked) => {
                let Some(authorization) = self.authorizations.by_id.get_mut(&(record.workspace_id, revoked.authorization_id)) else {
                    unreachable!("an authorization is granted before it is revoked");
                };
                let before = authorization.revoked_at.replace(record.time);
                assert!(before.is_none(), "a live authorization is revoked");
                if let Some(delegation) = authorization.delegation_mut() {
                    delegation.revoke_receipt_id = Some(revoked.receipt_id);
                    let agent_id = delegation.agent_id;
                    self.registered_agent_mut(record.workspace_id, agent_id).standing.remove(&revoked.authorization_id);
                }
                if let Some(withdrawal) = &revoked.consent {
                    self.withdraw_consent(record, revoked.authorization_id, withdrawal.by);
                }
            }
        }
    }
}

impl Authorization {
    fn granted(granted: &Granted) -> Self {
        let terms = &granted.terms;
        let extras = Extras {
            bundle_id: granted.bundle_id.clone(),
            replaces: granted.replaces,
            budget: granted.budget_limit.map(|limit| Budget { limit, spent: Micros::default() }),
            not_before: granted.not_before,
            delegation: granted.delegation.as_deref().map(|delegated| Box::new(Delegation::granted(granted, delegated))),
            live: BTreeMap::new(),
        };
        let target = |name: &ScopeName| terms.escalation_targets.iter().find(|(scope, _)| scope == name);
        let scopes = terms.scopes.iter().map(|grant| Scope {
            name: grant.name.clone(),
            constraints: grant.constraints.clone(),
            requires_confirm: terms.requires_confirm_for.contains(&grant.name),
            requires_escalation: terms.requires_escalation_for.contains(&grant.name),
            escalation_to: target(&grant.name).map(|(_, target)| Box::new(target.clone())),
        });
        Self {
            user_id: granted.user_id.clone(),
            agent_id: terms.agent_id.clone(),
            expires_at: granted.expires_at,
            revoked_at: None,
            scopes: scopes.collect(),
            windows: terms.scopes.iter().map(|_| Window::default()).collect(),
            extras: (extras != Extras::default()).then(|| Box::new(extras)),
        }
    }
}

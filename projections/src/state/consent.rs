//! Consents: who was asked for what, and what came of it. That nobody answered in time is told by comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::sync::Arc;

use allowlog_proto::event::{Asked, ConsentEvent, ConsentScope, Withdrawer};
use allowlog_proto::id::{AuthorizationId, ConsentAgentId, ConsentId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::limits::CONSENT_VIEWS_MAX;
use allowlog_proto::record::Record;
use allowlog_proto::redirect::RedirectUrl;
use allowlog_proto::text::{Email, UserId};
use allowlog_proto::time::Timestamp;

use super::stored::{Stored, stored, unknown};
use super::{State, before};

/// Somebody was asked whether an agent may have some scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Names the page.
    pub consent_id: ConsentId,
    /// Who wants to act.
    pub agent_id: ConsentAgentId,
    /// Whom the agent would act for.
    pub user_id: UserId,
    /// Shown on the page.
    pub email: Option<Email>,
    /// What the agent wants to do: the same memory for all that say the same.
    pub scopes: Arc<[ConsentScope]>,
    /// Where the person goes with the answer.
    pub redirect_url: RedirectUrl,
    /// From then on nobody can answer any more.
    pub expires_at: Timestamp,
    /// The caller's own.
    pub metadata: CanonicalObject,
    /// Time of the request.
    pub created_at: Timestamp,
    /// What came of it, so far.
    pub answer: ConsentAnswer,
    /// Views that were recorded.
    views: u8,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentAnswer {
    /// Nothing so far.
    None,
    /// The person said yes.
    Approved {
        /// When.
        at: Timestamp,
    },
    /// The person said no.
    Declined {
        /// When.
        at: Timestamp,
    },
    /// It was taken back.
    Withdrawn {
        /// When the person had said yes, if that was so.
        approved_at: Option<Timestamp>,
        /// When.
        at: Timestamp,
        /// By whom.
        by: Withdrawer,
    },
}

/// How a request stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentStatus {
    /// It can be answered.
    Pending,
    /// The person said yes.
    Approved,
    /// The person said no.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// It was taken back, before or after an answer.
    Revoked,
}

stored!(Consent { consent_id, agent_id, user_id, email, scopes, redirect_url, expires_at, metadata, created_at, answer, views });

impl ConsentStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Approved, Self::Declined, Self::Expired, Self::Revoked];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Consent {
    /// How it stands now.
    pub fn status(&self, now: Timestamp) -> ConsentStatus {
        match self.answer {
            ConsentAnswer::None if now >= self.expires_at => ConsentStatus::Expired,
            ConsentAnswer::None => ConsentStatus::Pending,
            ConsentAnswer::Approved { .. } => ConsentStatus::Approved,
            ConsentAnswer::Declined { .. } => ConsentStatus::Declined,
            ConsentAnswer::Withdrawn { .. } => ConsentStatus::Revoked,
        }
    }

    /// When the person said yes, if that was so.
    pub const fn approved_at(&self) -> Option<Timestamp> {
        match self.answer {
            ConsentAnswer::Approved { at } => Some(at),
            ConsentAnswer::Withdrawn { approved_at, .. } => approved_at,
            ConsentAnswer::None | ConsentAnswer::Declined { .. } => None,
        }
    }

    /// Whether one more view is recorded.
    pub const fn counts_views(&self) -> bool {
        self.views < CONSENT_VIEWS_MAX
    }
}

/// All consents. Each has the id of the authorization that it may lead to, which is in the order of their requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Consents {
    by_place: BTreeMap<(WorkspaceId, AuthorizationId), Box<Consent>>,
    by_id: BTreeMap<ConsentId, (WorkspaceId, AuthorizationId)>,
    by_user: BTreeSet<(WorkspaceId, UserId, AuthorizationId)>,
    /// Those that nobody has answered, by the instant from which nobody can.
    unanswered: BTreeSet<(WorkspaceId, (Timestamp, AuthorizationId))>,
    /// Lists of scopes, each once.
    shared: BTreeSet<Arc<[ConsentScope]>>,
}

impl Consents {
    pub(super) fn len(&self) -> usize {
        self.by_place.len()
    }

    fn insert(&mut self, workspace_id: WorkspaceId, place: AuthorizationId, mut consent: Consent) {
        match self.shared.get(&*consent.scopes) {
            Some(equal) => consent.scopes = Arc::clone(equal),
            None => drop(self.shared.insert(Arc::clone(&consent.scopes))),
        }
        self.by_id.insert(consent.consent_id, (workspace_id, place));
        self.by_user.insert((workspace_id, consent.user_id.clone(), place));
        if consent.answer == ConsentAnswer::None {
            self.unanswered.insert((workspace_id, (consent.expires_at, place)));
        }
        let before = self.by_place.insert((workspace_id, place), Box::new(consent));
        assert!(before.is_none(), "a consent is asked for once");
    }
}

impl State {
    /// The consent of this id with its workspace and the authorization it may lead to: whoever has the id has the link.
    pub fn consent(&self, id: ConsentId) -> Option<(WorkspaceId, AuthorizationId, &Consent)> {
        let (workspace_id, place) = self.consents.by_id.get(&id)?;
        Some((*workspace_id, *place, self.consents.by_place.get(&(*workspace_id, *place))?))
    }

    /// The consent of this id, if it is this workspace's.
    pub fn consent_of(&self, workspace_id: WorkspaceId, id: ConsentId) -> Option<(AuthorizationId, &Consent)> {
        self.consent(id).filter(|(owner, ..)| *owner == workspace_id).map(|(_, place, consent)| (place, consent))
    }

    /// The consent that led to this authorization, or may.
    pub fn consent_at(&self, workspace_id: WorkspaceId, place: AuthorizationId) -> Option<&Consent> {
        self.consents.by_place.get(&(workspace_id, place)).map(|consent| &**consent)
    }

    /// The consents of a workspace, oldest first, those before `end` if it is given.
    pub fn consents(
        &self,
        workspace_id: WorkspaceId,
        end: Option<AuthorizationId>,
    ) -> impl DoubleEndedIterator<Item = (AuthorizationId, &Consent)> {
        before(&self.consents.by_place, workspace_id, AuthorizationId::from_bytes, end).map(|(id, consent)| (id, &**consent))
    }

    /// The consents of one person in a workspace, oldest first, those before `end` if it is given.
    pub fn consents_of_user(
        &self,
        workspace_id: WorkspaceId,
        user_id: &UserId,
        end: Option<AuthorizationId>,
    ) -> impl DoubleEndedIterator<Item = (AuthorizationId, &Consent)> {
        let first = Bound::Included((workspace_id, user_id.clone(), AuthorizationId::from_bytes([0; 16])));
        let last = (workspace_id, user_id.clone(), end.unwrap_or(AuthorizationId::from_bytes([0xff; 16])));
        let last = if end.is_some() { Bound::Excluded(last) } else { Bound::Included(last) };
        let places = self.consents.by_user.range((first, last)).map(|(_, _, place)| *place);
        places.filter_map(move |place| Some((place, self.consent_at(workspace_id, place)?)))
    }

    /// The consents of a workspace that nobody answered before `now`, in the order in which their time was over; those before `end`, in
    /// that order, if it is given.
    pub fn lapsed_consents(
        &self,
        workspace_id: WorkspaceId,
        now: Timestamp,
        end: Option<(Timestamp, AuthorizationId)>,
    ) -> impl DoubleEndedIterator<Item = (AuthorizationId, &Consent)> {
        let first = Bound::Included((workspace_id, (Timestamp::default(), AuthorizationId::from_bytes([0; 16]))));
        let last = Bound::Included((workspace_id, (now, AuthorizationId::from_bytes([0xff; 16]))));
        // Whatever `end` says, what can still be answered has not lapsed.
        let last = end.filter(|(time, _)| *time <= now).map_or(last, |end| Bound::Excluded((workspace_id, end)));
        let places = self.consents.unanswered.range((first, last)).map(|(_, (_, place))| *place);
        places.filter_map(move |place| Some((place, self.consent_at(workspace_id, place)?)))
    }

    pub(super) fn apply_consent(&mut self, record: &Record, event: &ConsentEvent) {
        match event {
            ConsentEvent::Requested(asked) => {
                self.consents.insert(record.workspace_id, asked.authorization_id, Consent::asked(asked, record.time));
            }
            ConsentEvent::Viewed(viewed) => {
                let consent = self.consent_mut(record, viewed.authorization_id);
                consent.views = consent.views.saturating_add(1);
            }
            ConsentEvent::Declined(declined) => {
                self.settle_consent(record, declined.authorization_id, ConsentAnswer::Declined { at: record.time });
            }
            ConsentEvent::Withdrawn(withdrawn) => {
                let answer = ConsentAnswer::Withdrawn { approved_at: None, at: record.time, by: Withdrawer::Builder };
                self.settle_consent(record, withdrawn.authorization_id, answer);
            }
            // Neither can be taken back by itself.
            ConsentEvent::Minted(_) | ConsentEvent::ManageLink(_) => {}
        }
    }

    /// The first answer to a request, which is the only one.
    pub(super) fn settle_consent(&mut self, record: &Record, place: AuthorizationId, answer: ConsentAnswer) {
        let consent = self.consent_mut(record, place);
        assert!(consent.answer == ConsentAnswer::None, "a request is answered once");
        consent.answer = answer;
        let unanswered = (record.workspace_id, (consent.expires_at, place));
        self.consents.unanswered.remove(&unanswered);
    }

    /// What was consented to is over.
    pub(super) fn withdraw_consent(&mut self, record: &Record, place: AuthorizationId, by: Withdrawer) {
        let consent = self.consent_mut(record, place);
        let ConsentAnswer::Approved { at } = consent.answer else { unreachable!("a consent that stands is withdrawn") };
        consent.answer = ConsentAnswer::Withdrawn { approved_at: Some(at), at: record.time, by };
    }

    fn consent_mut(&mut self, record: &Record, place: AuthorizationId) -> &mut Consent {
        let Some(consent) = self.consents.by_place.get_mut(&(record.workspace_id, place)) else {
            unreachable!("a consent is asked for before anything comes of it");
        };
        consent
    }
}

impl Consent {
    fn asked(asked: &Asked, created_at: Timestamp) -> Self {
        Self {
            consent_id: asked.consent_id,
            agent_id: asked.agent_id,
            user_id: asked.user_id.clone(),
            email: asked.email.clone(),
            scopes: asked.scopes.as_slice().into(),
            redirect_url: asked.redirect_url.clone(),
            expires_at: asked.expires_at,
            metadata: asked.metadata.clone(),
            created_at,
            answer: ConsentAnswer::None,
            views: 0,
        }
    }
}

impl Stored for Consents {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.by_place.save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        let mut consents = Self::default();
        for ((workspace_id, place), consent) in BTreeMap::<(WorkspaceId, AuthorizationId), Box<Consent>>::load(from)? {
            consents.insert(workspace_id, place, *consent);
        }
        Ok(consents)
    }
}

impl Stored for ConsentAnswer {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::None => 0_u8.save(to),
            Self::Approved { at } => (1_u8, *at).save(to),
            Self::Declined { at } => (2_u8, *at).save(to),
            Self::Withdrawn { approved_at, at, by } => {
                (3_u8, *at).save(to)?;
                (*approved_at, *by).save(to)
            }
        }
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        match u8::load(from)? {
            0 => Ok(Self::None),
            1 => Ok(Self::Approved { at: Stored::load(from)? }),
            2 => Ok(Self::Declined { at: Stored::load(from)? }),
            3 => {
                let at = Stored::load(from)?;
                let (approved_at, by) = Stored::load(from)?;
                Ok(Self::Withdrawn { approved_at, at, by })
            }
            tag => Err(unknown(tag)),
        }
    }
}

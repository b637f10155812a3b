//! One event of every variant, with fixed values: the golden bytes are theirs.

use allowlog_proto::chain::Chain;
use allowlog_proto::event::{
    AgentEvent, AgentKind, AgentStatus, Answer, ApiKeyEvent, AuthorizationEvent, Budget, Bundle, BundleEvent, CheckEvent, Condition,
    ConfirmationEvent, ConfirmationResolved, ConsentAgentEvent, ConsentEvent, Constraints, Decided, DeviceEvent, EscalationEvent,
    EscalationResolved, Evaluation, Event, Grant, Granted, OnExceed, PaymentEvent, Plan, Purpose, Refusal, Resolution, Revoked, Risk, Role,
    Scalar, Settlement, SigningKeyEvent, Style, Subject, Terms, Test, TombstoneEvent, Verdict, Withdrawer, WorkspaceEvent,
};
use allowlog_proto::frame::{Frame, FrameBuilder};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, EscalationId, KeyId, Nonce, ReceiptId, TombstoneId, WorkspaceId};
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::money::Micros;
use allowlog_proto::reason::{PolicyVersion, Reason};
use allowlog_proto::record::{NO_RECEIPT, Record, Request};
use allowlog_proto::text::{
    AgentId, Approver, BundleId, ConditionField, ConditionText, ConstraintItem, IdempotencyKey, Label, Name, Note, OpaqueId, Pattern,
    Resource, ScopeName, SessionId, UserId,
};
use allowlog_proto::time::Timestamp;

mod consents;
mod payments;

/// Matches an enum without a wildcard and lists the labels of its variants, so that a new variant first breaks the
/// build here and then, once it has a label, the test that wants a fixture for every label.
macro_rules! variants {
    ($list:ident, $label:ident, $type:ty, { $($pattern:pat => $text:literal,)* }) => {
        pub(crate) const $list: &[&str] = &[$($text),*];

        fn $label(value: &$type) -> &'static str {
            match value {
                $($pattern => $text,)*
            }
        }
    };
}

variants!(EVENTS, event_label, Event, {
    Event::Workspace(WorkspaceEvent::Created { .. }) => "workspace created",
    Event::Workspace(WorkspaceEvent::Changed { .. }) => "workspace changed",
    Event::Workspace(WorkspaceEvent::Described(_)) => "workspace described",
    Event::ApiKey(ApiKeyEvent::Created { .. }) => "api key created",
    Event::ApiKey(ApiKeyEvent::Revoked { .. }) => "api key revoked",
    Event::SigningKey(SigningKeyEvent::Activated { .. }) => "signing key activated",
    Event::Authorization(AuthorizationEvent::Granted(_)) => "authorization granted",
    Event::Authorization(AuthorizationEvent::Revoked(_)) => "authorization revoked",
    Event::Check(CheckEvent::Decided(_)) => "check decided",
    Event::Check(CheckEvent::TokenVerified(_)) => "token verified",
    Event::Confirmation(ConfirmationEvent::Resolved(_)) => "confirmation resolved",
    Event::Escalation(EscalationEvent::Resolved(_)) => "escalation resolved",
    Event::Bundle(BundleEvent::Created(_)) => "bundle created",
    Event::Bundle(BundleEvent::Deleted { .. }) => "bundle deleted",
    Event::Tombstone(TombstoneEvent::Placed { .. }) => "tombstone placed",
    Event::Tombstone(TombstoneEvent::Lifted { .. }) => "tombstone lifted",
    Event::ConsentAgent(ConsentAgentEvent::Created { .. }) => "consent agent created",
    Event::ConsentAgent(ConsentAgentEvent::Changed { .. }) => "consent agent changed",
    Event::ConsentAgent(ConsentAgentEvent::SecretRotated { .. }) => "webhook secret rotated",
    Event::Consent(ConsentEvent::Requested(_)) => "consent requested",
    Event::Consent(ConsentEvent::Viewed(_)) => "consent viewed",
    Event::Consent(ConsentEvent::Declined(_)) => "consent declined",
    Event::Consent(ConsentEvent::Withdrawn(_)) => "consent withdrawn",
    Event::Consent(ConsentEvent::Minted(_)) => "token minted",
    Event::Consent(ConsentEvent::ManageLink(_)) => "manage link created",
    Event::Agent(AgentEvent::Registered(_)) => "agent registered",
    Event::Agent(AgentEvent::StatusChanged { .. }) => "agent status changed",
    Event::Agent(AgentEvent::CredentialIssued { .. }) => "agent credential issued",
    Event::Device(DeviceEvent::Registered(_)) => "device registered",
    Event::Device(DeviceEvent::Attested { .. }) => "device attested",
    Event::Device(DeviceEvent::Revoked { .. }) => "device revoked",
    Event::Payment(PaymentEvent::Decided(_)) => "payment decided",
    Event::Payment(PaymentEvent::IntentCreated(_)) => "payment intent created",
    Event::Payment(PaymentEvent::Authorised(_)) => "payment authorised",
    Event::Payment(PaymentEvent::Refused(_)) => "payment refused",
    Event::Payment(PaymentEvent::Captured(_)) => "payment captured",
    Event::Payment(PaymentEvent::Cancelled(_)) => "payment cancelled",
    Event::Payment(PaymentEvent::Abandoned(_)) => "payment intent abandoned",
    Event::Payment(PaymentEvent::TokenIssued(_)) => "offline token issued",
    Event::Payment(PaymentEvent::Queued(_)) => "offline payment queued",
    Event::Payment(PaymentEvent::Reconciled(_)) => "offline payment reconciled",
});
variants!(GRANTS, grant_label, Granted, {
    Granted { delegation: Some(_), not_before: Some(_), .. } => "delegation for later",
    Granted { delegation: Some(_), not_before: None, .. } => "delegation",
    Granted { consent: None, not_before: Some(_), .. } => "grant for later",
    Granted { consent: None, expires_at: Some(_), .. } => "grant with an end",
    Granted { consent: None, expires_at: None, .. } => "grant without an end",
    Granted { consent: Some(_), .. } => "grant by a consent",
});
variants!(REVOKES, revoke_label, Option<Withdrawer>, {
    None => "revoke of a plain grant",
    Some(Withdrawer::EndUser) => "consent withdrawn by the person",
    Some(Withdrawer::Builder) => "consent withdrawn by the builder",
});
variants!(RISKS, risk_label, Option<Risk>, {
    None => "no risk said",
    Some(Risk::Low) => "risk low",
    Some(Risk::Medium) => "risk medium",
    Some(Risk::High) => "risk high",
    Some(Risk::Critical) => "risk critical",
});
variants!(SUBJECTS, subject_label, Subject, {
    Subject::Unknown { .. } => "subject unknown",
    Subject::Known { expires_at: Some(_), .. } => "subject known",
    Subject::Known { expires_at: None, .. } => "subject known, without an end",
});
variants!(VERDICTS, verdict_label, Verdict, {
    Verdict::Allow { consumed: None } => "allow",
    Verdict::Allow { consumed: Some(_) } => "allow with an approval",
    Verdict::Deny => "deny",
    Verdict::Confirm { .. } => "confirm",
    Verdict::Escalate { opened: true, .. } => "escalate, opened",
    Verdict::Escalate { opened: false, .. } => "escalate, still open",
});
variants!(EVALUATIONS, evaluation_label, Evaluation, {
    Evaluation::NoConditions => "no conditions",
    Evaluation::NoneFired => "no condition fired",
    Evaluation::Fired(_) => "a condition fired",
});
variants!(TESTS, test_label, Test, {
    Test::Eq(Scalar::Text(_)) => "eq text",
    Test::Eq(Scalar::Int(_) | Scalar::Bool(_)) => "eq integer or boolean",
    Test::Neq(_) => "neq",
    Test::Lt(_) => "lt",
    Test::Lte(_) => "lte",
    Test::Gt(_) => "gt",
    Test::Gte(_) => "gte",
    Test::In(_) => "in",
    Test::Exists(_) => "exists",
});
variants!(PLANS, plan_label, Plan, {
    Plan::Free => "plan free",
    Plan::Starter => "plan starter",
    Plan::Pro => "plan pro",
    Plan::Enterprise => "plan enterprise",
});
variants!(STYLES, style_label, Style, {
    Style::Allowly => "style allowly",
    Style::Permitly => "style permitly",
    Style::Affixio => "style affixio",
});
variants!(ROLES, role_label, Role, {
    Role::Runtime => "role runtime",
    Role::Read => "role read",
});
variants!(ANSWERS, answer_label, Answer, {
    Answer::Approved { .. } => "answer approved",
    Answer::Declined => "answer declined",
});
variants!(RESOLUTIONS, resolution_label, Resolution, {
    Resolution::Approved => "resolution approved",
    Resolution::Rejected => "resolution rejected",
});
variants!(AGENT_KINDS, agent_kind_label, AgentKind, {
    AgentKind::Llm => "agent of kind llm",
    AgentKind::Workflow => "agent of kind workflow",
    AgentKind::RobotController => "agent of kind robot-controller",
    AgentKind::Service => "agent of kind service",
});
variants!(AGENT_STATUSES, agent_status_label, AgentStatus, {
    AgentStatus::Active => "agent active",
    AgentStatus::Suspended => "agent suspended",
    AgentStatus::Revoked => "agent revoked",
});
variants!(ON_EXCEED, on_exceed_label, OnExceed, {
    OnExceed::Deny => "denied above the limits",
    OnExceed::Cap => "capped above the limits",
});
variants!(PURPOSES, purpose_label, Purpose, {
    Purpose::Permission => "asked for permission",
    Purpose::Policy => "asked for policy",
    Purpose::Trust => "asked for trust",
    Purpose::Verification => "asked for verification",
    Purpose::OfflineToken => "asked for an offline token",
});
variants!(REFUSALS, refusal_label, Refusal, {
    Refusal::PermissionRequired => "refused: permission required",
    Refusal::PermissionDenied => "refused: permission denied",
    Refusal::PermissionExpired => "refused: permission expired",
    Refusal::AmountExceedsLimit => "refused: amount exceeds limit",
    Refusal::PermissionMismatch => "refused: permission mismatch",
    Refusal::DelegationRevoked => "refused: delegation revoked",
    Refusal::LimitExceeded => "refused: limit exceeded",
});
variants!(SETTLEMENTS, settlement_label, Settlement, {
    Settlement::DoubleSpend => "settlement: double spend",
    Settlement::Expired => "settlement: expired",
    Settlement::OverLimit => "settlement: over limit",
    Settlement::Settled => "settlement: settled",
});

/// The labels of an event and of the enums within it.
pub(crate) fn labels(event: &Event) -> Vec<&'static str> {
    let mut labels = vec![event_label(event)];
    match event {
        Event::Workspace(WorkspaceEvent::Created { plan, .. } | WorkspaceEvent::Changed { plan, .. }) => labels.push(plan_label(plan)),
        Event::ApiKey(ApiKeyEvent::Created { style, role, .. }) => labels.extend([style_label(style), role_label(role)]),
        Event::ApiKey(ApiKeyEvent::Revoked { .. })
        | Event::SigningKey(_)
        | Event::Bundle(_)
        | Event::Tombstone(_)
        | Event::ConsentAgent(_)
        | Event::Check(CheckEvent::TokenVerified(_))
        | Event::Workspace(WorkspaceEvent::Described(_))
        | Event::Agent(AgentEvent::CredentialIssued { .. })
        | Event::Device(_) => {}
        Event::Agent(AgentEvent::Registered(registered)) => labels.push(agent_kind_label(&registered.kind)),
        Event::Agent(AgentEvent::StatusChanged { status, .. }) => labels.push(agent_status_label(status)),
        Event::Payment(event) => labels.extend(labels_of_payment(event)),
        Event::Consent(event) => {
            if let ConsentEvent::Requested(asked) = event {
                labels.extend(asked.scopes.iter().map(|scope| risk_label(&scope.risk)));
            }
        }
        Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
            labels.push(revoke_label(&revoked.consent.as_ref().map(|consent| consent.by)));
        }
        Event::Authorization(AuthorizationEvent::Granted(granted)) => {
            labels.push(grant_label(granted));
            labels.extend(granted.delegation.iter().map(|delegated| on_exceed_label(&delegated.limits.on_exceed)));
            let constraints = granted.terms.scopes.iter().filter_map(|scope| scope.constraints.as_deref());
            let lists = constraints.flat_map(|c| [&c.confirm_when, &c.escalate_when, &c.deny_when]);
            labels.extend(lists.flatten().flatten().map(|condition| test_label(&condition.test)));
        }
        Event::Check(CheckEvent::Decided(decided)) => {
            labels.extend([subject_label(&decided.subject), verdict_label(&decided.verdict), evaluation_label(&decided.evaluation)]);
        }
        Event::Confirmation(ConfirmationEvent::Resolved(resolved)) => labels.push(answer_label(&resolved.answer)),
        Event::Escalation(EscalationEvent::Resolved(resolved)) => labels.push(resolution_label(&resolved.resolution)),
    }
    labels
}

fn labels_of_payment(event: &PaymentEvent) -> Vec<&'static str> {
    let mut labels = Vec::new();
    match event {
        PaymentEvent::Decided(decided) => {
            labels.extend([subject_label(&decided.subject), verdict_label(&decided.verdict), purpose_label(&decided.purpose)]);
            labels.extend(decided.codes.iter().map(|code| code.as_str()));
        }
        PaymentEvent::Refused(refused) => labels.push(refusal_label(&refused.refusal)),
        PaymentEvent::Reconciled(reconciled) => labels.push(settlement_label(&reconciled.settlement)),
        PaymentEvent::IntentCreated(_)
        | PaymentEvent::Authorised(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::Cancelled(_)
        | PaymentEvent::Abandoned(_)
        | PaymentEvent::TokenIssued(_)
        | PaymentEvent::Queued(_) => {}
    }
    labels
}

/// Every fixture under the name of its file, in the order of their records.
pub(crate) fn events() -> Vec<(&'static str, Event)> {
    let mut all = keys();
    all.extend(authorizations());
    all.extend(checks());
    all.extend(answers());
    all.extend(bundles_and_tombstones());
    all.extend(consents::events());
    all.extend(payments::events());
    all
}

/// The next record of a chain. What its receipt says is decided elsewhere: the hash is any.
pub(crate) fn record(chain: &Chain, workspace_id: WorkspaceId, time: Timestamp, event: Event) -> Record {
    let receipt = if event.receipt_id().is_some() { [0x52; 32] } else { NO_RECEIPT };
    Record { receipt, ..chain.record(workspace_id, time, event) }
}

/// The fixtures as records of one chain, a second apart, and the frame that holds them all.
pub(crate) fn log() -> (Vec<(&'static str, Record)>, Frame) {
    let mut chain = Chain::new();
    let mut frame = FrameBuilder::new();
    let mut records = Vec::new();
    let mut time = at("2026-11-23T12:00:00.123Z");
    for (name, event) in events() {
        let mut record = record(&chain, workspace_id(), time, event);
        // A check that can be told from its retry; all else happened for requests without a name.
        record.request = (name == "check_allow")
            .then(|| Request::new(IdempotencyKey::new("retry-7").unwrap(), "POST", "/v1/check", br#"{"scopes":["email.send"]}"#));
        let hash = frame.push(&record).unwrap();
        chain.extend(&record, hash);
        records.push((name, record));
        time = time.saturating_add_ms(1000);
    }
    (records, frame.seal(0, chain.frame_hash()).unwrap())
}

pub(crate) fn workspace_id() -> WorkspaceId {
    WorkspaceId::from_bytes(bytes(0x01))
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(crate) fn object(text: &str) -> CanonicalObject {
    CanonicalObject::new(Value::parse(text.as_bytes()).unwrap().as_object().unwrap(), "").unwrap()
}

/// The bytes of an id: a ULID of 2026-11-23T12:00:00.000Z whose chance is `tag` all over.
fn bytes(tag: u8) -> [u8; 16] {
    let mut bytes = [tag; 16];
    bytes[..6].copy_from_slice(&[0x01, 0xa2, 0x08, 0x46, 0xfe, 0x00]);
    bytes
}

fn authorization_id() -> AuthorizationId {
    AuthorizationId::from_bytes(bytes(0x02))
}

fn escalation_id() -> EscalationId {
    EscalationId::from_bytes(bytes(0x03))
}

fn receipt_id(tag: u8) -> ReceiptId {
    ReceiptId::from_bytes(bytes(tag))
}

fn user() -> UserId {
    UserId::new("user_1").unwrap()
}

fn agent() -> AgentId {
    AgentId::new("agent_1").unwrap()
}

fn scope(name: &str) -> ScopeName {
    ScopeName::new(name).unwrap()
}

fn resource() -> Option<Resource> {
    Some(Resource::new("mailto:zoë@example.com").unwrap())
}

fn keys() -> Vec<(&'static str, Event)> {
    let api_key_id = ApiKeyId::from_bytes(bytes(0x04));
    let public_key = [0xd7; 32];
    let name = |text| Name::new(text).unwrap();
    let api_key = |style, role, expires_at| {
        let secret_hash = [0xa5; 32];
        Event::ApiKey(ApiKeyEvent::Created { api_key_id, name: name("ci"), style, role, expires_at, secret_hash })
    };
    vec![
        ("workspace_created", Event::Workspace(WorkspaceEvent::Created { name: name("Acme ☂"), plan: Plan::Enterprise })),
        ("workspace_changed_free", Event::Workspace(WorkspaceEvent::Changed { name: name("Acme"), plan: Plan::Free })),
        ("workspace_changed_starter", Event::Workspace(WorkspaceEvent::Changed { name: name("Acme"), plan: Plan::Starter })),
        ("workspace_changed_pro", Event::Workspace(WorkspaceEvent::Changed { name: name("Acme"), plan: Plan::Pro })),
        ("api_key_created", api_key(Style::Allowly, Role::Runtime, None)),
        ("api_key_created_permitly", api_key(Style::Permitly, Role::Read, Some(at("2027-01-01T00:00:00Z")))),
        ("api_key_created_affixio", api_key(Style::Affixio, Role::Runtime, None)),
        ("api_key_revoked", Event::ApiKey(ApiKeyEvent::Revoked { api_key_id })),
        (
            "signing_key_activated",
            Event::SigningKey(SigningKeyEvent::Activated {
                key_id: KeyId::of(&public_key),
                public_key,
                active_from: at("2026-11-23T12:00:03.124Z"),
            }),
        ),
    ]
}

/// Constraints with every member and every operator.
fn constraints() -> Constraints {
    let items = |texts: &[&str]| Some(texts.iter().map(|text| ConstraintItem::new(text).unwrap()).collect());
    Constraints {
        max_per_day: Some(300), // needs three bytes as a varint
        resource_pattern: Some(Pattern::new("mailto:*@example.com").unwrap()),
        allowed_initiators: items(&["scheduler", ""]),
        allowed_domains: items(&["example.com"]),
        allowed_fields: items(&[]),
        confirm_when: Some(vec![
            condition("amount", Test::Gt(10_000)),
            condition("amount", Test::Gte(-1)),
            condition("amount", Test::Lt(9_007_199_254_740_991)),
            condition("amount", Test::Lte(0)),
        ]),
        escalate_when: Some(vec![
            condition("kind", Test::Eq(Scalar::Text(ConditionText::new("wire").unwrap()))),
            condition("urgent", Test::Eq(Scalar::Bool(true))),
            condition("kind", Test::Neq(Scalar::Int(7))),
            condition("kind", Test::In(vec![Scalar::Int(-1), Scalar::Bool(false), Scalar::Text(ConditionText::new("").unwrap())])),
            condition("ticket", Test::Exists(false)),
        ]),
        deny_when: Some(Vec::new()),
    }
}

fn authorizations() -> Vec<(&'static str, Event)> {
    let full = Granted {
        receipt_id: receipt_id(0x10),
        authorization_id: authorization_id(),
        user_id: user(),
        terms: Terms {
            agent_id: agent(),
            scopes: vec![
                Grant { name: scope("email.send"), constraints: Some(Box::new(constraints())) },
                Grant { name: scope("calendar.read"), constraints: None },
            ],
            requires_confirm_for: vec![scope("email.send")],
            requires_escalation_for: vec![scope("calendar.read"), scope("email.send")],
            escalation_targets: vec![(scope("calendar.read"), Approver::new("finance").unwrap())],
        },
        expires_at: Some(Timestamp::MAX),
        not_before: Some(at("2026-11-23T12:00:00Z")),
        budget_limit: Micros::new(9_007_199_254_740_991),
        bundle_id: Some(BundleId::new("mail tools").unwrap()),
        replaces: Some(AuthorizationId::from_bytes(bytes(0x05))),
        metadata: object(r#"{"ticket":{"no":7,"text":"a\nb"},"\ud83d\ude00":[true,null]}"#),
        policy_version: PolicyVersion::V20261126,
        consent: None,
        delegation: None,
    };
    let minimal = Granted {
        receipt_id: receipt_id(0x11),
        authorization_id: AuthorizationId::from_bytes(bytes(0x06)),
        terms: minimal_terms(),
        budget_limit: None,
        bundle_id: None,
        expires_at: Some(at("2026-12-01T00:00:00Z")),
        not_before: None,
        replaces: None,
        metadata: CanonicalObject::default(),
        ..full.clone()
    };
    let endless = Granted {
        receipt_id: receipt_id(0x14),
        authorization_id: AuthorizationId::from_bytes(bytes(0x0a)),
        expires_at: None,
        ..minimal.clone()
    };
    let revoked = Revoked {
        receipt_id: receipt_id(0x12),
        authorization_id: authorization_id(),
        user_id: user(),
        agent_id: agent(),
        revoked_by: Some(Label::new("superseded").unwrap()),
        superseded_by: Some(AuthorizationId::from_bytes(bytes(0x06))),
        notes: Some(Note::new("renewed").unwrap()),
        policy_version: PolicyVersion::V20261126,
        consent: None,
    };
    let bare = Revoked { receipt_id: receipt_id(0x13), revoked_by: None, superseded_by: None, notes: None, ..revoked.clone() };
    vec![
        ("authorization_granted", Event::Authorization(AuthorizationEvent::Granted(Box::new(full)))),
        ("authorization_granted_minimal", Event::Authorization(AuthorizationEvent::Granted(Box::new(minimal)))),
        ("authorization_granted_endless", Event::Authorization(AuthorizationEvent::Granted(Box::new(endless)))),
        ("authorization_revoked", Event::Authorization(AuthorizationEvent::Revoked(Box::new(revoked)))),
        ("authorization_revoked_minimal", Event::Authorization(AuthorizationEvent::Revoked(Box::new(bare)))),
    ]
}

/// One scope, and nobody is asked.
fn minimal_terms() -> Terms {
    Terms {
        agent_id: agent(),
        scopes: vec![Grant { name: scope("a"), constraints: None }],
        requires_confirm_for: Vec::new(),
        requires_escalation_for: Vec::new(),
        escalation_targets: Vec::new(),
    }
}

fn condition(field: &str, test: Test) -> Condition {
    Condition { field: ConditionField::new(field).unwrap(), test }
}

fn bundles_and_tombstones() -> Vec<(&'static str, Event)> {
    let bundle_id = BundleId::new("mail tools").unwrap();
    let bundle = Bundle {
        bundle_id: bundle_id.clone(),
        terms: minimal_terms(),
        default_expiry_days: Some(3650),
        description: Some(Note::new("for interns").unwrap()),
    };
    let bare = Bundle { default_expiry_days: None, description: None, ..bundle.clone() };
    let tombstone_id = TombstoneId::from_bytes(bytes(0x09));
    let resource = Resource::new("invoice:7").unwrap();
    let placed = |reason| Event::Tombstone(TombstoneEvent::Placed { tombstone_id, resource: resource.clone(), reason });
    vec![
        ("bundle_created", Event::Bundle(BundleEvent::Created(Box::new(bundle)))),
        ("bundle_created_minimal", Event::Bundle(BundleEvent::Created(Box::new(bare)))),
        ("bundle_deleted", Event::Bundle(BundleEvent::Deleted { bundle_id })),
        ("tombstone_placed", placed(Some(Note::new("fraud").unwrap()))),
        ("tombstone_placed_minimal", placed(None)),
        ("tombstone_lifted", Event::Tombstone(TombstoneEvent::Lifted { tombstone_id, resource: resource.clone() })),
    ]
}

/// A check without resource, session, cost and context.
pub(crate) fn minimal_check(receipt: u8, verdict: Verdict, reason: Reason) -> Decided {
    Decided {
        receipt_id: receipt_id(receipt),
        subject: Subject::Known {
            authorization_id: authorization_id(),
            user_id: user(),
            agent_id: agent(),
            expires_at: Some(at("2026-12-01T00:00:00Z")),
        },
        scope: scope("email.send"),
        resource: None,
        session_id: None,
        estimated_cost: None,
        context: CanonicalObject::default(),
        budget: None,
        evaluation: Evaluation::NoConditions,
        verdict,
        reason,
        policy_version: PolicyVersion::V20261126,
    }
}

fn checks() -> Vec<(&'static str, Event)> {
    let expires_at = at("2026-11-23T12:05:13Z");
    let allow = Decided {
        resource: resource(),
        session_id: Some(SessionId::new("s-1").unwrap()),
        estimated_cost: Micros::new(9_007_199_254_740_991),
        context: object(r#"{"amount":-12,"initiated_by":"scheduler"}"#),
        budget: Some(Budget { limit: Micros::new(9_007_199_254_740_991).unwrap(), spent: Micros::new(0).unwrap() }),
        evaluation: Evaluation::NoneFired,
        ..minimal_check(0x20, Verdict::Allow { consumed: None }, Reason::AuthorizationGrantedScopeActive)
    };
    let consumed = Verdict::Allow { consumed: Some(escalation_id()) };
    // The authorization of a consent, which has no end.
    let endless = Subject::Known { authorization_id: authorization_id(), user_id: user(), agent_id: agent(), expires_at: None };
    let endless = Decided { subject: endless, ..minimal_check(0x27, Verdict::Deny, Reason::ScopeNotAuthorized) };
    let unknown = Decided {
        subject: Subject::Unknown { asked: OpaqueId::new("whatever the caller wrote").unwrap() },
        estimated_cost: Micros::new(0),
        ..minimal_check(0x23, Verdict::Deny, Reason::AuthorizationNotFound)
    };
    let denied = Decided {
        context: object(r#"{"amount":12}"#),
        evaluation: Evaluation::Fired(Box::new(condition("amount", Test::Gt(10)))),
        ..minimal_check(0x22, Verdict::Deny, Reason::DenyConditionMatched)
    };
    let confirm = Verdict::Confirm { nonce: Nonce::from_bytes(bytes(0x07)), expires_at };
    let escalate = |escalation_to, opened| Verdict::Escalate { escalation_id: escalation_id(), escalation_to, expires_at, opened };
    let finance = Some(Approver::new("finance").unwrap());
    [
        ("check_allow", allow),
        ("check_allow_consumed", minimal_check(0x21, consumed, Reason::AuthorizationGrantedViaEscalation)),
        ("check_deny", denied),
        ("check_deny_unknown", unknown),
        ("check_deny_endless", endless),
        ("check_confirm", minimal_check(0x24, confirm, Reason::ScopeRequiresUserConfirmation)),
        ("check_escalate", minimal_check(0x25, escalate(finance, true), Reason::EscalationRequired)),
        ("check_escalate_again", minimal_check(0x26, escalate(None, false), Reason::EscalationRequired)),
    ]
    .into_iter()
    .map(|(name, decided)| (name, Event::Check(CheckEvent::Decided(std::sync::Arc::new(decided)))))
    .collect()
}

fn answers() -> Vec<(&'static str, Event)> {
    let confirmation = |resource, answer| {
        let nonce = Nonce::from_bytes(bytes(0x07));
        let resolved = ConfirmationResolved { nonce, authorization_id: authorization_id(), scope: scope("email.send"), resource, answer };
        Event::Confirmation(ConfirmationEvent::Resolved(Box::new(resolved)))
    };
    let approved =
        Answer::Approved { confirmation_id: AuthorizationId::from_bytes(bytes(0x08)), expires_at: at("2026-11-23T12:01:15.123Z") };
    let full = EscalationResolved {
        receipt_id: receipt_id(0x30),
        escalation_id: escalation_id(),
        authorization_id: authorization_id(),
        user_id: user(),
        agent_id: agent(),
        scope: scope("email.send"),
        resource: resource(),
        escalation_to: Some(Approver::new("finance").unwrap()),
        resolution: Resolution::Approved,
        resolved_by: Approver::new("anna").unwrap(),
        note: Some(Note::new("").unwrap()),
        policy_version: PolicyVersion::V20261126,
    };
    let bare = EscalationResolved {
        receipt_id: receipt_id(0x31),
        resource: None,
        escalation_to: None,
        resolution: Resolution::Rejected,
        note: None,
        ..full.clone()
    };
    vec![
        ("confirmation_approved", confirmation(resource(), approved)),
        ("confirmation_declined", confirmation(None, Answer::Declined)),
        ("escalation_approved", Event::Escalation(EscalationEvent::Resolved(Box::new(full)))),
        ("escalation_rejected", Event::Escalation(EscalationEvent::Resolved(Box::new(bare)))),
    ]
}

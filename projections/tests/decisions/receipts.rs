//! What receipts say, to the byte: from the JSON of a request to the canonical text that is signed.
//!
//! Source: section 7 of the Allowly API in its scopes form, tables of fields, of events and of contexts.

use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation, Visit};
use allowlog_projections::receipts::receipt;
use allowlog_proto::api::allowly::{BundleBody, CheckBody, ConfirmBody, CreateBody, ResolveBody, RevokeBody, TombstoneBody};
use allowlog_proto::api::permitly::AskBody;
use allowlog_proto::event::{Plan, Role, Style, TokenTerms, Visitor};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, ConsentAgentId, ConsentId, EscalationId, Nonce, TokenId};
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::text::Name;

use crate::log::Log;
use crate::wording::instant;

/// A workspace begun at 09:00. Without chance, ids are the millisecond and a number counted up within it.
pub(crate) struct Issuer(pub(crate) Log);

impl Issuer {
    pub(crate) fn new() -> Self {
        let mut issuer = Self(Log::new(|| 0));
        let (api_key_id, name) = (ApiKeyId::from_bytes([1; 16]), Name::new("key").unwrap());
        let (style, role, expires_at) = (Style::Allowly, Role::Runtime, None);
        let api_key = NewApiKey { api_key_id, name, style, role, expires_at, secret_hash: [1; 32] };
        let (name, plan) = (Name::new("acme").unwrap(), Plan::Pro);
        issuer.run(
            "09:00",
            Command::Operator(Operation::CreateWorkspace {
                name,
                plan,
                public_key: [1; 32],
                api_key: Some(api_key),
                metadata: CanonicalObject::default(),
            }),
        );
        issuer
    }

    fn run(&mut self, at: &str, command: Command) {
        self.0.run(&command, instant(at)).expect("decided");
    }

    pub(crate) fn ask(&mut self, at: &str, action: Action) -> Vec<String> {
        let before = self.0.records.len();
        let credential = Credential { api_key_id: ApiKeyId::from_bytes([1; 16]), secret_hash: [1; 32] };
        self.run(at, Command::Caller { credential, request: None, action });
        self.0.records[before..].iter().filter_map(receipt).map(|receipt| receipt.canonical().unwrap()).collect()
    }

    fn create(&mut self, at: &str, body: &str) -> Vec<String> {
        self.ask(at, Action::Create(Box::new(CreateBody::parse(&json(body)).unwrap())))
    }

    fn check(&mut self, at: &str, body: &str) -> Vec<String> {
        self.ask(at, Action::Check(Box::new(CheckBody::parse(&json(body)).unwrap())))
    }

    fn revoke(&mut self, at: &str, id: &str, body: &str) -> Vec<String> {
        self.ask(at, Action::Revoke(AuthorizationId::parse(id), Box::new(RevokeBody::parse(&json(body)).unwrap())))
    }

    fn resolve(&mut self, at: &str, id: &str, body: &str) -> Vec<String> {
        self.ask(at, Action::Resolve(EscalationId::parse(id), Box::new(ResolveBody::parse(&json(body)).unwrap())))
    }

    fn bundle(&mut self, at: &str, body: &str) -> Vec<String> {
        self.ask(at, Action::CreateBundle(Box::new(BundleBody::parse(&json(body)).unwrap())))
    }

    fn tombstone(&mut self, at: &str, body: &str) -> Vec<String> {
        self.ask(at, Action::PlaceTombstone(Box::new(TombstoneBody::parse(&json(body)).unwrap())))
    }

    fn confirm(&mut self, at: &str, nonce: &str, body: &str) -> Vec<String> {
        self.ask(at, Action::Confirm(Nonce::parse(nonce), ConfirmBody::parse(&json(body)).unwrap()))
    }
}

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes()).unwrap()
}

const GRANT_AT_10: &str = "auth_01KKBK0T800000000000000001";

const PLAIN: &str = r#"{"user_id": "u1", "agent_id": "a1", "scopes": ["email.send"], "expires_at": "2026-03-10T12:00:00Z"}"#;

#[test]
fn a_plain_grant() {
    assert_eq!(
        Issuer::new().create("10:00", PLAIN),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"expires_at":"2026-03-10T12:00:00.000Z","scopes":["email.send"]},"#,
            r#""decision":"authorization_granted","event":"authorization.create","issued_at":"2026-03-10T10:00:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_approved_via_customer_ui","#,
            r#""receipt_id":"rcp_01KKBK0T800000000000000000","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_grant_with_all_there_is() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", PLAIN);
    let body = r#"{
        "user_id": "üser\n", "agent_id": "a\"1",
        "scopes": [
            {"name": "z.pay", "constraints": {
                "max_per_day": 9007199254740991, "resource_pattern": "order:*", "allowed_initiators": ["bob", "al\\ice"],
                "allowed_domains": [], "allowed_fields": ["to", "cc"]}},
            {"name": "a.read"},
            {"name": "m.send", "constraints": {"max_per_day": 1}}
        ],
        "requires_confirm_for": ["m.send", "a.read"],
        "requires_escalation_for": ["z.pay"],
        "escalation_targets": {"z.pay": "finance", "m.send": "legal"},
        "expires_at": "2026-03-11T02:00:00.5+02:00",
        "replaces": "auth_01KKBK0T800000000000000001",
        "metadata": {"zone": {"b": [1, null, true], "a": -7}, "agent": "inner", "Region": "eu"}
    }"#;
    assert_eq!(
        issuer.create("10:01", body),
        [concat!(
            r#"{"agent_id":"a\"1","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"Region":"eu","agent":"inner","escalation_targets":{"m.send":"legal","z.pay":"finance"},"#,
            r#""expires_at":"2026-03-11T00:00:00.500Z","replaces":"auth_01KKBK0T800000000000000001","#,
            r#""requires_confirm_for":["m.send","a.read"],"requires_escalation_for":["z.pay"],"#,
            r#""scopes":[{"constraints":{"allowed_domains":[],"allowed_fields":["to","cc"],"allowed_initiators":["bob","al\\ice"],"#,
            r#""max_per_day":9007199254740991,"resource_pattern":"order:*"},"name":"z.pay"},"#,
            r#""a.read",{"constraints":{"max_per_day":1},"name":"m.send"}],"#,
            r#""zone":{"a":-7,"b":[1,null,true]}},"#,
            r#""decision":"authorization_granted","event":"authorization.create","issued_at":"2026-03-10T10:01:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_approved_via_customer_ui","#,
            r#""receipt_id":"rcp_01KKBK2MV00000000000000000","resource":null,"user_id":"üser\u000a","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_grant_with_a_budget_and_conditions_as_they_were_given() {
    let body = r#"{
        "user_id": "u1", "agent_id": "a1",
        "scopes": [
            {"name": "pay", "constraints": {
                "deny_when": [{"field": "amount", "gt": 100}, {"in": ["x", 1, true], "field": "kind"}],
                "escalate_when": [],
                "confirm_when": [{"field": "vip", "exists": false}, {"field": "note", "neq": "é\n"}, {"field": "amount", "lte": -7}],
                "allowed_domains": []}},
            {"name": "read", "constraints": {"confirm_when": []}},
            {"name": "list", "constraints": {}}
        ],
        "budget_limit_micros": 9007199254740991, "expires_at": "2026-03-10T12:00:00Z", "metadata": {"purpose": "x"}
    }"#;
    assert_eq!(
        Issuer::new().create("10:00", body),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"budget_limit_micros":9007199254740991,"expires_at":"2026-03-10T12:00:00.000Z","purpose":"x","#,
            r#""scopes":[{"constraints":{"allowed_domains":[],"#,
            r#""confirm_when":[{"exists":false,"field":"vip"},{"field":"note","neq":"é\u000a"},{"field":"amount","lte":-7}],"#,
            r#""deny_when":[{"field":"amount","gt":100},{"field":"kind","in":["x",1,true]}],"escalate_when":[]},"name":"pay"},"#,
            r#"{"constraints":{"confirm_when":[]},"name":"read"},"list"]},"#,
            r#""decision":"authorization_granted","event":"authorization.create","issued_at":"2026-03-10T10:00:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_approved_via_customer_ui","#,
            r#""receipt_id":"rcp_01KKBK0T800000000000000000","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_grant_from_a_bundle_says_all_of_it() {
    let mut issuer = Issuer::new();
    let bundle = r#"{
        "id": "b/1", "agent_id": "a1", "scopes": [{"name": "send", "constraints": {"max_per_day": 1}}, "read"],
        "requires_confirm_for": ["send"], "requires_escalation_for": ["read"], "escalation_targets": {"read": "legal"},
        "default_expiry_days": 1, "description": "not signed"}"#;
    assert_eq!(issuer.bundle("09:59", bundle), Vec::<String>::new());
    assert_eq!(
        issuer.create("10:00", r#"{"user_id": "u1", "bundle_id": "b/1"}"#),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"bundle_id":"b/1","escalation_targets":{"read":"legal"},"expires_at":"2026-03-11T10:00:00.000Z","#,
            r#""requires_confirm_for":["send"],"requires_escalation_for":["read"],"#,
            r#""scopes":[{"constraints":{"max_per_day":1},"name":"send"},"read"]},"#,
            r#""decision":"authorization_granted","event":"authorization.create","issued_at":"2026-03-10T10:00:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_approved_via_customer_ui","#,
            r#""receipt_id":"rcp_01KKBK0T800000000000000000","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_revoke_that_says_nothing_and_one_by_a_user() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", PLAIN);
    issuer.create("10:01", PLAIN);
    assert_eq!(
        issuer.revoke("10:02", GRANT_AT_10, "{}"),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","context":{},"#,
            r#""decision":"authorization_revoked","event":"authorization.revoke","issued_at":"2026-03-10T10:02:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_revoked_via_settings","#,
            r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
    assert_eq!(
        issuer.revoke("10:03", "auth_01KKBK2MV00000000000000001", r#"{"revoked_by": "user", "notes": "lost\tphone"}"#),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK2MV00000000000000001","#,
            r#""context":{"notes":"lost\u0009phone","revoked_by":"user"},"#,
            r#""decision":"authorization_revoked","event":"authorization.revoke","issued_at":"2026-03-10T10:03:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_revoked_via_settings","#,
            r#""receipt_id":"rcp_01KKBK6A100000000000000000","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_revoke_by_a_successor_says_superseded_whatever_the_caller_says() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", PLAIN);
    issuer.create("10:01", PLAIN);
    let body = r#"{"revoked_by": "admin", "superseded_by": "auth_01KKBK2MV00000000000000001"}"#;
    assert_eq!(
        issuer.revoke("10:02", GRANT_AT_10, body),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"revoked_by":"superseded","superseded_by":"auth_01KKBK2MV00000000000000001"},"#,
            r#""decision":"authorization_revoked","event":"authorization.revoke","issued_at":"2026-03-10T10:02:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"superseded_by_new_authorization","#,
            r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_consent_that_was_given_verified_and_taken_back() {
    const CONSENT: &str = "cr_00000000000000000000000000";
    let mut issuer = Issuer::new();
    let body = r#"{"end_user_ref": "u1", "redirect_url": "https://a.example/x", "scopes": [{"key": "email.send"}, {"key": "a"}]}"#;
    assert!(issuer.ask("10:00", Action::Ask(Box::new(AskBody::parse(&json(body)).unwrap()), Some((2, [2; 32])))).is_empty());
    let consent_id = ConsentId::parse(CONSENT).unwrap();
    let before = issuer.0.records.len();
    let visit = Visit::Answer { consent_id: Some(consent_id), approves: true };
    issuer.run("10:01", Command::Visitor { visitor: Visitor::default(), visit });
    let granted: Vec<String> = issuer.0.records[before..].iter().filter_map(receipt).map(|receipt| receipt.canonical().unwrap()).collect();
    assert_eq!(
        granted,
        [concat!(
            r#"{"agent_id":"ag_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"consent_id":"cr_00000000000000000000000000","scopes":["email.send","a"]},"#,
            r#""decision":"authorization_granted","event":"authorization.create","issued_at":"2026-03-10T10:01:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_approved_via_customer_ui","#,
            r#""receipt_id":"rcp_01KKBK2MV00000000000000001","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
    let agent_id = ConsentAgentId::parse("ag_01KKBK0T800000000000000000").unwrap();
    let token_id = TokenId::parse("tok_01KKBK2MV00000000000000000").unwrap();
    let token = TokenTerms { token_id, expires_at: instant("11:01") };
    assert_eq!(
        issuer.ask("10:02", Action::VerifyToken { consent_id, agent_id, token }),
        [concat!(
            r#"{"agent_id":"ag_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"consent_id":"cr_00000000000000000000000000","token_expires_at":"2026-03-10T11:01:00.000Z","#,
            r#""token_id":"tok_01KKBK2MV00000000000000000"},"#,
            r#""decision":"allow","issued_at":"2026-03-10T10:02:00.000Z","policy_version":"2026-11-26.1","#,
            r#""reason":"authorization_granted_scope_active","receipt_id":"rcp_01KKBK4FE00000000000000000","resource":null,"#,
            r#""scope":"consent.verify","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
    assert_eq!(
        issuer.ask("10:03", Action::WithdrawConsent(Some(consent_id))),
        [concat!(
            r#"{"agent_id":"ag_01KKBK0T800000000000000000","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"consent_id":"cr_00000000000000000000000000","revoked_by":"builder"},"#,
            r#""decision":"authorization_revoked","event":"authorization.revoke","issued_at":"2026-03-10T10:03:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"user_revoked_via_settings","#,
            r#""receipt_id":"rcp_01KKBK6A100000000000000000","resource":null,"user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
    let late = issuer.ask("12:00", Action::VerifyToken { consent_id, agent_id, token }).concat();
    assert!(late.contains(r#""decision":"deny""#) && late.contains(r#""reason":"authorization_revoked""#), "{late}");
}

#[test]
fn a_check_that_matched_nothing() {
    let body = r#"{"authorization_id": "who?", "scopes": ["email.send"], "resource": "mail:1", "session_id": "s1"}"#;
    assert_eq!(
        Issuer::new().check("10:02", body),
        [concat!(
            r#"{"agent_id":"unknown","authorization_id":null,"context":{"session_id":"s1"},"#,
            r#""decision":"deny","issued_at":"2026-03-10T10:02:00.000Z","policy_version":"2026-11-26.1","#,
            r#""reason":"authorization_not_found","receipt_id":"rcp_01KKBK4FE00000000000000000","resource":"mail:1","#,
            r#""scope":"email.send","user_id":"unknown","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_check_has_a_receipt_for_each_scope() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", PLAIN);
    let body = r#"{
        "authorization_id": "auth_01KKBK0T800000000000000001", "scopes": ["email.send", "email.read"], "session_id": "s/1",
        "estimated_cost_micros": 7, "context": {"initiated_by": "bob", "z": [], "b": {"d": 1, "c": "é\u001f"}}
    }"#;
    assert_eq!(
        issuer.check("10:02", body),
        [
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
                r#""context":{"b":{"c":"é\u001f","d":1},"initiated_by":"bob","session_id":"s/1","z":[]},"#,
                r#""decision":"allow","issued_at":"2026-03-10T10:02:00.000Z","policy_version":"2026-11-26.1","#,
                r#""reason":"authorization_granted_scope_active","receipt_id":"rcp_01KKBK4FE00000000000000000","resource":null,"#,
                r#""scope":"email.send","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
                r#""context":{"b":{"c":"é\u001f","d":1},"initiated_by":"bob","session_id":"s/1","z":[]},"#,
                r#""decision":"deny","issued_at":"2026-03-10T10:02:00.000Z","policy_version":"2026-11-26.1","#,
                r#""reason":"scope_not_authorized","receipt_id":"rcp_01KKBK4FE00000000000000001","resource":null,"#,
                r#""scope":"email.read","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
        ]
    );
}

const ASKING: &str = r#"{
    "user_id": "u1", "agent_id": "a1", "scopes": ["pay", "send", "post"], "requires_escalation_for": ["pay", "post"],
    "requires_confirm_for": ["send"], "escalation_targets": {"pay": "finance"}, "expires_at": "2026-03-10T12:00:00Z"}"#;

const ASK: &str = r#"{"authorization_id": "auth_01KKBK0T800000000000000001", "scopes": ["pay", "post", "send"],
    "resource": "", "session_id": "s1", "context": {"note": "x"}}"#;

#[test]
fn a_check_that_asks_people() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", ASKING);
    assert_eq!(
        issuer.check("10:01", ASK),
        [
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
                r#""context":{"escalation":{"escalation_to":"finance","event":"requested","id":"esc_01KKBK2MV00000000000000000","#,
                r#""scope":"pay","status":"pending"},"note":"x","session_id":"s1"},"#,
                r#""decision":"escalate","issued_at":"2026-03-10T10:01:00.000Z","policy_version":"2026-11-26.1","#,
                r#""reason":"escalation_required","receipt_id":"rcp_01KKBK2MV00000000000000001","resource":"","#,
                r#""scope":"pay","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
                r#""context":{"escalation":{"escalation_to":null,"event":"requested","id":"esc_01KKBK2MV00000000000000002","#,
                r#""scope":"post","status":"pending"},"note":"x","session_id":"s1"},"#,
                r#""decision":"escalate","issued_at":"2026-03-10T10:01:00.000Z","policy_version":"2026-11-26.1","#,
                r#""reason":"escalation_required","receipt_id":"rcp_01KKBK2MV00000000000000003","resource":"","#,
                r#""scope":"post","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
                r#""context":{"note":"x","session_id":"s1"},"#,
                r#""decision":"confirm","issued_at":"2026-03-10T10:01:00.000Z","policy_version":"2026-11-26.1","#,
                r#""reason":"scope_requires_user_confirmation","receipt_id":"rcp_01KKBK2MV00000000000000005","resource":"","#,
                r#""scope":"send","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
        ]
    );
    // Asked again, the open escalation is the same, and its receipt says the same but for its own id and time.
    let again = issuer.check("10:02", ASK);
    assert!(again[0].contains(r#""escalation":{"escalation_to":"finance","event":"requested","id":"esc_01KKBK2MV00000000000000000""#));
}

const CONDITIONAL: &str = r#"{
    "user_id": "u1", "agent_id": "a1",
    "scopes": [
        {"name": "deny", "constraints": {"deny_when": [{"field": "amount", "gt": 100}]}},
        {"name": "quiet", "constraints": {"confirm_when": [{"field": "amount", "lt": 0}]}},
        {"name": "list", "constraints": {"confirm_when": [{"field": "tags", "eq": "x"}]}},
        {"name": "ask", "constraints": {"escalate_when": [{"field": "kind", "in": ["x", 1]}]}},
        "plain"
    ],
    "escalation_targets": {"ask": "finance"}, "budget_limit_micros": 50, "expires_at": "2026-03-10T12:00:00Z"}"#;

#[test]
fn a_check_with_a_budget_and_conditions() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", CONDITIONAL);
    let body = r#"{
        "authorization_id": "auth_01KKBK0T800000000000000001", "scopes": ["deny", "quiet", "list", "plain"],
        "estimated_cost_micros": 20, "context": {"amount": 500, "tags": ["x"]}}"#;
    assert_eq!(
        issuer.check("10:02", body),
        [
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","context":{"amount":500,"#,
                r#""budget":{"estimated_cost_micros":20,"limit_micros":50,"spent_after_micros":0,"spent_micros":0},"tags":["x"]},"#,
                r#""decision":"deny","issued_at":"2026-03-10T10:02:00.000Z","#,
                r#""policy_eval":{"field_value":500,"matched_condition":{"field":"amount","op":"gt","value":100}},"#,
                r#""policy_version":"2026-11-26.1","reason":"deny_condition_matched","#,
                r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":null,"#,
                r#""scope":"deny","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","context":{"amount":500,"#,
                r#""budget":{"estimated_cost_micros":20,"limit_micros":50,"spent_after_micros":20,"spent_micros":0},"tags":["x"]},"#,
                r#""decision":"allow","issued_at":"2026-03-10T10:02:00.000Z","#,
                r#""policy_eval":{"field_value":null,"matched_condition":null},"#,
                r#""policy_version":"2026-11-26.1","reason":"authorization_granted_scope_active","#,
                r#""receipt_id":"rcp_01KKBK4FE00000000000000001","resource":null,"#,
                r#""scope":"quiet","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","context":{"amount":500,"#,
                r#""budget":{"estimated_cost_micros":20,"limit_micros":50,"spent_after_micros":20,"spent_micros":20},"tags":["x"]},"#,
                r#""decision":"confirm","issued_at":"2026-03-10T10:02:00.000Z","#,
                r#""policy_eval":{"field_value":null,"matched_condition":{"field":"tags","op":"eq","value":"x"}},"#,
                r#""policy_version":"2026-11-26.1","reason":"context_field_missing","#,
                r#""receipt_id":"rcp_01KKBK4FE00000000000000003","resource":null,"#,
                r#""scope":"list","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
            concat!(
                r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","context":{"amount":500,"#,
                r#""budget":{"estimated_cost_micros":20,"limit_micros":50,"spent_after_micros":40,"spent_micros":20},"tags":["x"]},"#,
                r#""decision":"allow","issued_at":"2026-03-10T10:02:00.000Z","#,
                r#""policy_version":"2026-11-26.1","reason":"authorization_granted_scope_active","#,
                r#""receipt_id":"rcp_01KKBK4FE00000000000000004","resource":null,"#,
                r#""scope":"plain","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
            ),
        ]
    );
}

#[test]
fn a_check_that_a_condition_escalates() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", CONDITIONAL);
    let body =
        r#"{"authorization_id": "auth_01KKBK0T800000000000000001", "scopes": ["ask"], "session_id": "s1", "context": {"kind": "x"}}"#;
    assert_eq!(
        issuer.check("10:01", body),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"budget":{"estimated_cost_micros":0,"limit_micros":50,"spent_after_micros":0,"spent_micros":0},"#,
            r#""escalation":{"escalation_to":"finance","event":"requested","id":"esc_01KKBK2MV00000000000000000","#,
            r#""scope":"ask","status":"pending"},"kind":"x","session_id":"s1"},"#,
            r#""decision":"escalate","issued_at":"2026-03-10T10:01:00.000Z","#,
            r#""policy_eval":{"field_value":"x","matched_condition":{"field":"kind","op":"in","value":["x",1]}},"#,
            r#""policy_version":"2026-11-26.1","reason":"escalate_condition_matched","#,
            r#""receipt_id":"rcp_01KKBK2MV00000000000000001","resource":null,"#,
            r#""scope":"ask","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_check_of_a_closed_resource_says_no_budget_and_no_condition() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", CONDITIONAL);
    assert_eq!(issuer.tombstone("10:01", r#"{"resource": "mail:1", "reason": "lost"}"#), Vec::<String>::new());
    let body = r#"{
        "authorization_id": "auth_01KKBK0T800000000000000001", "scopes": ["deny"], "resource": "mail:1",
        "estimated_cost_micros": 51, "context": {"amount": 500}}"#;
    assert_eq!(
        issuer.check("10:02", body),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","context":{"amount":500},"#,
            r#""decision":"deny","issued_at":"2026-03-10T10:02:00.000Z","#,
            r#""policy_eval":{"field_value":null,"matched_condition":null},"#,
            r#""policy_version":"2026-11-26.1","reason":"resource_tombstoned","#,
            r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":"mail:1","#,
            r#""scope":"deny","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn a_resolution_and_the_allow_that_follows() {
    let mut issuer = Issuer::new();
    issuer.create("10:00", ASKING);
    issuer.check("10:01", ASK);
    assert_eq!(
        issuer.resolve("10:02", "esc_01KKBK2MV00000000000000000", r#"{"resolution": "approved", "resolved_by": "fin", "note": "ok"}"#),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"escalation":{"escalation_to":"finance","event":"resolved","id":"esc_01KKBK2MV00000000000000000","#,
            r#""note":"ok","resolved_by":"fin","scope":"pay","status":"approved"}},"#,
            r#""decision":"escalation_approved","event":"escalation.resolve","issued_at":"2026-03-10T10:02:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"escalation_resolved_by_approver","#,
            r#""receipt_id":"rcp_01KKBK4FE00000000000000000","resource":"","user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
    assert_eq!(
        issuer.resolve("10:03", "esc_01KKBK2MV00000000000000002", r#"{"resolution": "rejected", "resolved_by": "fin", "note": null}"#),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","#,
            r#""context":{"escalation":{"escalation_to":null,"event":"resolved","id":"esc_01KKBK2MV00000000000000002","#,
            r#""note":null,"resolved_by":"fin","scope":"post","status":"rejected"}},"#,
            r#""decision":"escalation_rejected","event":"escalation.resolve","issued_at":"2026-03-10T10:03:00.000Z","#,
            r#""policy_version":"2026-11-26.1","reason":"escalation_resolved_by_approver","#,
            r#""receipt_id":"rcp_01KKBK6A100000000000000000","resource":"","user_id":"u1","version":"1.0","#,
            r#""workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
    let body = r#"{"authorization_id": "auth_01KKBK0T800000000000000001", "scopes": ["pay"], "resource": ""}"#;
    assert_eq!(
        issuer.check("10:04", body),
        [concat!(
            r#"{"agent_id":"a1","authorization_id":"auth_01KKBK0T800000000000000001","context":{},"#,
            r#""decision":"allow","issued_at":"2026-03-10T10:04:00.000Z","policy_version":"2026-11-26.1","#,
            r#""reason":"authorization_granted_via_escalation","receipt_id":"rcp_01KKBK84M00000000000000000","resource":"","#,
            r#""scope":"pay","user_id":"u1","version":"1.0","workspace_id":"ws_01KKBFJYM00000000000000000"}"#,
        )]
    );
}

#[test]
fn keys_workspaces_confirmations_and_the_same_resolution_again_have_none() {
    let mut issuer = Issuer::new();
    assert_eq!(issuer.0.records.iter().filter_map(receipt).count(), 0);
    issuer.create("10:00", ASKING);
    issuer.check("10:01", ASK);
    let approve = r#"{"approved": true}"#;
    assert_eq!(issuer.confirm("10:02", "cnf_01KKBK2MV00000000000000004", approve), Vec::<String>::new());
    let resolution = r#"{"resolution": "approved", "resolved_by": "fin"}"#;
    assert_eq!(issuer.resolve("10:03", "esc_01KKBK2MV00000000000000000", resolution).len(), 1);
    assert_eq!(issuer.resolve("10:04", "esc_01KKBK2MV00000000000000000", resolution), Vec::<String>::new());
}

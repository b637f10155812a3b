//! Conditions: random lists and random contexts, decided by the core and by the interpreter, on every way to an allow.

use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation};
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::allowly::{CheckBody, ConfirmBody, CreateBody, ResolveBody, Source, policy_eval};
use allowlog_proto::event::{
    Condition, Constraints, Decided as ScopeDecided, Grant, Plan, Resolution, Role, Scalar, Style, Terms, Test, Verdict,
};
use allowlog_proto::id::{ApiKeyId, AuthorizationId};
use allowlog_proto::json::{CanonicalObject, Object, Value};
use allowlog_proto::reason::Reason;
use allowlog_proto::text::{AgentId, Approver, ConditionField, ConditionText, Name, OpaqueId, ScopeName, UserId};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::interpreter::{Said, quiet, recorded, say};
use crate::log::Log;
use crate::wording::instant;

/// So few that conditions and contexts meet.
const FIELDS: [&str; 2] = ["amount", "kind"];
/// One of each type that looks like one of another, and the ends.
const INTEGERS: [i64; 6] = [-9_007_199_254_740_991, -1, 0, 1, 2, 9_007_199_254_740_991];
const TEXTS: [&str; 5] = ["", "0", "1", "true", "ä"];

/// A scope with conditions, which may be listed beside them.
#[derive(Debug, Clone)]
struct Scope {
    confirm: bool,
    escalate: bool,
    deny_when: Option<Vec<Condition>>,
    escalate_when: Option<Vec<Condition>>,
    confirm_when: Option<Vec<Condition>>,
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let text = |text: &str| Scalar::Text(ConditionText::new(text).unwrap());
    prop_oneof![
        any::<bool>().prop_map(Scalar::Bool),
        prop::sample::select(INTEGERS.as_slice()).prop_map(Scalar::Int),
        prop::sample::select(TEXTS.as_slice()).prop_map(text),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let whole = || prop::sample::select(INTEGERS.as_slice());
    let test = prop_oneof![
        scalar().prop_map(Test::Eq),
        scalar().prop_map(Test::Neq),
        whole().prop_map(Test::Lt),
        whole().prop_map(Test::Lte),
        whole().prop_map(Test::Gt),
        whole().prop_map(Test::Gte),
        vec(scalar(), 1..4).prop_map(Test::In),
        any::<bool>().prop_map(Test::Exists),
    ];
    (prop::sample::select(FIELDS.as_slice()), test).prop_map(|(field, test)| Condition { field: ConditionField::new(field).unwrap(), test })
}

fn scope() -> impl Strategy<Value = Scope> {
    let list = || option::of(vec(condition(), 0..4));
    (any::<bool>(), any::<bool>(), list(), list(), list()).prop_map(|(confirm, escalate, deny_when, escalate_when, confirm_when)| Scope {
        confirm,
        escalate,
        deny_when,
        escalate_when,
        confirm_when,
    })
}

fn facts() -> impl Strategy<Value = Object> {
    let value = prop_oneof![
        2 => any::<bool>().prop_map(Value::Bool),
        6 => prop::sample::select(INTEGERS.as_slice()).prop_map(Value::Int),
        4 => prop::sample::select(TEXTS.as_slice()).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(Value::Array(vec![Value::Int(1)])),
        1 => Just(Value::Object(Object::new())),
    ];
    btree_map(prop::sample::select(FIELDS.as_slice()), value, 0..3).prop_map(|members| {
        let mut facts = Object::new();
        members.into_iter().for_each(|(name, value)| facts.insert(name, value));
        facts
    })
}

/// The reasons on the way to an allow, or to a denial, with `policy_eval` of each.
fn expected(scope: &Scope, facts: &Object) -> Vec<(Reason, Option<Object>)> {
    let said = |list: &Option<Vec<Condition>>| -> Vec<(Said, Condition)> {
        list.iter().flatten().map(|condition| (say(condition, facts), condition.clone())).collect()
    };
    let (deny, escalate, confirm) = (said(&scope.deny_when), said(&scope.escalate_when), said(&scope.confirm_when));
    let has_any = deny.len() + escalate.len() + confirm.len() > 0;
    let eval = |fired: Option<&Condition>| has_any.then(|| fired.map_or_else(quiet, |condition| recorded(condition, facts)));
    if let Some((_, condition)) = deny.iter().find(|(said, _)| *said == Said::Yes) {
        return vec![(Reason::DenyConditionMatched, eval(Some(condition)))];
    }
    let remembered = deny.iter().find(|(said, _)| *said == Said::Unknown);
    let (escalate, confirm) = (escalate.iter().find(|(said, _)| *said != Said::No), confirm.iter().find(|(said, _)| *said != Said::No));
    let confirm = confirm.or(remembered);
    let mut way = Vec::new();
    if scope.escalate || escalate.is_some() {
        let reason = match escalate {
            _ if scope.escalate => Reason::EscalationRequired,
            Some((Said::Yes, _)) => Reason::EscalateConditionMatched,
            _ => Reason::ContextFieldMissing,
        };
        way.push((reason, eval(escalate.map(|(_, condition)| condition))));
    }
    if scope.confirm || confirm.is_some() {
        let reason = match confirm {
            _ if scope.confirm => Reason::ScopeRequiresUserConfirmation,
            Some((Said::Yes, _)) => Reason::ConfirmConditionMatched,
            _ => Reason::ContextFieldMissing,
        };
        way.push((reason, eval(confirm.map(|(_, condition)| condition))));
    }
    let allow = match (scope.escalate || escalate.is_some(), way.is_empty()) {
        (true, _) => Reason::AuthorizationGrantedViaEscalation,
        (false, false) => Reason::AuthorizationGrantedViaConfirmation,
        (false, true) => Reason::AuthorizationGrantedScopeActive,
    };
    way.push((allow, eval(escalate.or(confirm).map(|(_, condition)| condition))));
    way
}

/// A workspace with one grant, of which everybody who is asked says yes.
struct Agreeable(Log);

impl Agreeable {
    fn new() -> Self {
        let mut log = Log::new(|| 0);
        let (api_key_id, name) = (ApiKeyId::from_bytes([1; 16]), Name::new("key").unwrap());
        let (style, role, expires_at) = (Style::Allowly, Role::Runtime, None);
        let api_key = NewApiKey { api_key_id, name: name.clone(), style, role, expires_at, secret_hash: [1; 32] };
        let operation = Operation::CreateWorkspace {
            name,
            plan: Plan::Pro,
            public_key: [1; 32],
            api_key: Some(api_key),
            metadata: CanonicalObject::default(),
        };
        log.run(&Command::Operator(operation), instant("09:00")).unwrap();
        Self(log)
    }

    fn ask(&mut self, action: Action) -> Outcome {
        let credential = Credential { api_key_id: ApiKeyId::from_bytes([1; 16]), secret_hash: [1; 32] };
        self.0.run(&Command::Caller { credential, request: None, action }, instant("10:00")).unwrap().outcome
    }

    fn grant(&mut self, scope: &Scope) -> AuthorizationId {
        let Scope { confirm, escalate, deny_when, escalate_when, confirm_when } = scope.clone();
        let constraints = Constraints { deny_when, escalate_when, confirm_when, ..Constraints::default() };
        let name = ScopeName::new("a").unwrap();
        let terms = Terms {
            agent_id: AgentId::new("agent").unwrap(),
            requires_confirm_for: confirm.then(|| name.clone()).into_iter().collect(),
            requires_escalation_for: escalate.then(|| name.clone()).into_iter().collect(),
            escalation_targets: Vec::new(),
            scopes: vec![Grant { name, constraints: Some(Box::new(constraints)) }],
        };
        let body = CreateBody {
            user_id: UserId::new("user").unwrap(),
            source: Source::Inline(terms),
            expires_at: Some(instant("12:00")),
            not_before: None,
            budget_limit: None,
            replaces: None,
            metadata: CanonicalObject::default(),
        };
        let Outcome::Created(created) = self.ask(Action::Create(Box::new(body))) else { panic!("a create creates") };
        created.granted.authorization_id
    }

    /// What is decided, and the answer of whoever is asked.
    fn check(&mut self, id: AuthorizationId, facts: &Object) -> ScopeDecided {
        let body = CheckBody {
            authorization_id: OpaqueId::new(&id.to_string()).unwrap(),
            scopes: vec![ScopeName::new("a").unwrap()],
            resource: None,
            session_id: None,
            estimated_cost: None,
            context: CanonicalObject::new(facts, "context").unwrap(),
            facts: facts.clone(),
        };
        let Outcome::Checked(checked) = self.ask(Action::Check(Box::new(body))) else { panic!("a check checks") };
        let decided = (*checked.results[0]).clone();
        match &decided.verdict {
            Verdict::Allow { .. } | Verdict::Deny => {}
            Verdict::Confirm { nonce, .. } => {
                self.ask(Action::Confirm(Some(*nonce), ConfirmBody { approved: true, ttl_ms: 60_000 }));
            }
            Verdict::Escalate { escalation_id, .. } => {
                let (resolution, resolved_by) = (Resolution::Approved, Approver::new("boss").unwrap());
                self.ask(Action::Resolve(Some(*escalation_id), Box::new(ResolveBody { resolution, resolved_by, note: None })));
            }
        }
        decided
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_core_agrees_with_the_interpreter(scope in scope(), facts in facts()) {
        let mut world = Agreeable::new();
        let id = world.grant(&scope);
        for (reason, eval) in expected(&scope, &facts) {
            let decided = world.check(id, &facts);
            prop_assert_eq!((decided.reason, policy_eval(&decided)), (reason, eval));
        }
    }
}

//! How many there may be, which is too many for a table: delegations of an agent, tokens that hold something, transactions that wait.

use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation, Payments, Registration};
use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::rejected::Rejected;
use allowlog_proto::api::affixio::{DelegationBody, OfflineTokenBody, ReconcileBody, RegisterAgentBody, TransactionBody, TransactionsBody};
use allowlog_proto::event::{AgentKind, PaymentLimits, Plan, Role, Settlement, Style};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, DelegationId, OfflineTransactionId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::text::{MerchantId, Name, OpaqueId, ScopeName};
use allowlog_proto::time::Timestamp;

use crate::dice::Dice;
use crate::log::Log;
use crate::wording::instant;

const MOST: usize = 1000;
const AT_ONCE: usize = 100;

/// A workspace with one agent.
struct Story {
    log: Log,
    agent: OpaqueId,
    now: Timestamp,
}

fn opaque(text: impl ToString) -> OpaqueId {
    OpaqueId::new(&text.to_string()).unwrap()
}

impl Story {
    fn new() -> Self {
        let mut dice = Dice::new(11);
        let mut log = Log::new(move || (u128::from(dice.next()) << 64) | u128::from(dice.next()));
        let (api_key_id, name, now) = (ApiKeyId::from_bytes([1; 16]), Name::new("acme").unwrap(), instant("09:00"));
        let (style, role, expires_at) = (Style::Affixio, Role::Runtime, None);
        let api_key = NewApiKey { api_key_id, name: name.clone(), style, role, expires_at, secret_hash: [1; 32] };
        let (plan, metadata) = (Plan::Pro, CanonicalObject::default());
        let made = Operation::CreateWorkspace { name: name.clone(), plan, public_key: [1; 32], api_key: Some(api_key), metadata };
        let workspace_id = log.run(&Command::Operator(made), now).unwrap().workspace_id;
        let mut story = Self { log, agent: opaque("nobody"), now };
        let (kind, owner, metadata) = (AgentKind::Llm, Some(workspace_id.into()), CanonicalObject::default());
        let body = RegisterAgentBody { name, kind, owner, metadata };
        let made = story.ask(Action::Register(Registration::Agent(Box::new(body)))).unwrap();
        let Outcome::Agent(id) = made.outcome else { panic!("an agent") };
        story.agent = opaque(id);
        story
    }

    fn ask(&mut self, action: Action) -> Result<Decided, Rejected> {
        let credential = Credential { api_key_id: ApiKeyId::from_bytes([1; 16]), secret_hash: [1; 32] };
        self.log.run(&Command::Caller { credential, request: None, action }, self.now)
    }

    fn delegate(&mut self) -> Result<AuthorizationId, Rejected> {
        let body = DelegationBody {
            agent: self.agent.clone(),
            permissions: vec![ScopeName::new("pay").unwrap()],
            not_before: None,
            expires_at: None,
            limits: PaymentLimits::default(),
            metadata: CanonicalObject::default(),
        };
        let made = self.ask(Action::Pay(Payments::Delegate(Box::new(body))))?;
        let Outcome::Delegation(id) = made.outcome else { panic!("a delegation") };
        Ok(id)
    }

    /// A token of that delegation, by its nullifier.
    fn issue(&mut self, id: AuthorizationId) -> Result<[u8; 16], Rejected> {
        let body = OfflineTokenBody {
            agent: self.agent.clone(),
            delegation: opaque(DelegationId::from(id)),
            device: opaque("till"),
            max_amount: Amount::new(1).unwrap(),
            currency: Currency::new("EUR").unwrap(),
            merchants: None,
            life_ms: 60_000,
        };
        let made = self.ask(Action::Pay(Payments::IssueToken(Box::new(body))))?;
        let Outcome::TokenIssued(issued, _) = made.outcome else { panic!("a token") };
        Ok(issued.nullifier)
    }

    /// So many payments with one token.
    fn tell(&mut self, nullifier: [u8; 16], count: usize) -> Result<Vec<OfflineTransactionId>, Rejected> {
        let one = TransactionBody {
            nullifier: Some(nullifier),
            merchant_id: MerchantId::new("m1").unwrap(),
            amount: Amount::new(1).unwrap(),
            currency: Currency::new("EUR").unwrap(),
            occurred_at: None,
            client_ref: None,
        };
        let body = TransactionsBody { device: opaque("till"), transactions: vec![one; count] };
        let told = self.ask(Action::Pay(Payments::Queue(Box::new(body))))?;
        let Outcome::Queued(ids) = told.outcome else { panic!("a queue") };
        Ok(ids)
    }

    fn reconcile(&mut self) -> Vec<(OfflineTransactionId, Settlement)> {
        let done = self.ask(Action::Pay(Payments::Reconcile(Box::new(ReconcileBody { device: opaque("till") })))).unwrap();
        let Outcome::Reconciled(settled) = done.outcome else { panic!("results") };
        settled.results.iter().map(|one| (one.transaction_id, one.settlement)).collect()
    }
}

fn is_conflict<T>(result: &Result<T, Rejected>) -> bool {
    matches!(result, Err(Rejected::Conflict(_)))
}

#[test]
fn an_agent_has_a_thousand_delegations_that_stand() {
    let mut story = Story::new();
    let first = story.delegate().unwrap();
    for _ in 1..MOST {
        story.delegate().unwrap();
    }
    assert!(is_conflict(&story.delegate()));
    story.ask(Action::Pay(Payments::Revoke(Some(first), Box::default()))).unwrap();
    story.delegate().expect("one was revoked");
    assert!(is_conflict(&story.delegate()));
}

#[test]
fn a_delegation_has_a_thousand_tokens_that_hold_something() {
    let mut story = Story::new();
    let (one, other) = (story.delegate().unwrap(), story.delegate().unwrap());
    let first = story.issue(one).unwrap();
    for _ in 1..MOST {
        story.issue(one).unwrap();
    }
    assert!(is_conflict(&story.issue(one)));
    story.issue(other).expect("another delegation's are apart");
    story.tell(first, 1).unwrap();
    assert_eq!(story.reconcile().len(), 1);
    story.issue(one).expect("one is spent");
    assert!(is_conflict(&story.issue(one)));
    story.now = instant("09:00:59.999+1d");
    assert!(is_conflict(&story.issue(one)));
    story.now = instant("09:01+1d");
    story.issue(one).expect("nothing is held any more");
}

#[test]
fn a_device_has_a_thousand_transactions_that_wait_and_a_hundred_are_settled_at_once() {
    let mut story = Story::new();
    let delegation = story.delegate().unwrap();
    let nullifier = story.issue(delegation).unwrap();
    let mut told = Vec::new();
    for _ in 0..MOST / AT_ONCE {
        told.extend(story.tell(nullifier, AT_ONCE).unwrap());
    }
    assert!(is_conflict(&story.tell(nullifier, 1)));
    let results = story.reconcile();
    assert_eq!(results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), told[..AT_ONCE], "the oldest first");
    assert_eq!(results[0].1, Settlement::Settled);
    assert!(results[1..].iter().all(|(_, settlement)| *settlement == Settlement::DoubleSpend));
    assert!(is_conflict(&story.tell(nullifier, AT_ONCE + 1)), "all or nothing");
    told.extend(story.tell(nullifier, AT_ONCE).unwrap());
    for rest in told[AT_ONCE..].chunks(AT_ONCE) {
        assert_eq!(story.reconcile().iter().map(|(id, _)| *id).collect::<Vec<_>>(), rest);
    }
    assert!(story.reconcile().is_empty());
}

//! Consents beyond single cases: whatever happens in whatever order has one winner, and what others are told of it is a function of
//! the log.

use allowlog_projections::audit::{kind, lapse_id, row, row_of_lapse};
use allowlog_projections::command::{Action, Command, Credential, NewApiKey, Operation, Visit};
use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::rejected::Rejected;
use allowlog_projections::webhooks::{claims, claims_of, notice};
use allowlog_proto::api::permitly::AskBody;
use allowlog_proto::chain::Hash;
use allowlog_proto::event::{AuthorizationEvent, ConsentEvent, Event, Plan, Role, Style, TokenTerms, Visitor};
use allowlog_proto::id::{ApiKeyId, AuthorizationId, ConsentId, WebhookId};
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::record::Record;
use allowlog_proto::text::{Name, UserId};
use allowlog_proto::time::Timestamp;
use proptest::prelude::*;

use crate::dice::Dice;
use crate::log::Log;
use crate::wording::instant;

const USER: &str = "anna";

/// A workspace with one request for consent, made at 09:00, that stands until 09:30.
struct Story {
    log: Log,
    consent_id: ConsentId,
    authorization_id: AuthorizationId,
    now: Timestamp,
    token: Option<TokenTerms>,
}

impl Story {
    fn new() -> Self {
        let mut dice = Dice::new(7);
        let mut log = Log::new(move || (u128::from(dice.next()) << 64) | u128::from(dice.next()));
        let (api_key_id, name) = (ApiKeyId::from_bytes([1; 16]), Name::new("key").unwrap());
        let (style, role, expires_at) = (Style::Permitly, Role::Runtime, None);
        let api_key = NewApiKey { api_key_id, name, style, role, expires_at, secret_hash: [1; 32] };
        let (name, plan) = (Name::new("acme").unwrap(), Plan::Free);
        let now = instant("09:00");
        log.run(
            &Command::Operator(Operation::CreateWorkspace {
                name,
                plan,
                public_key: [1; 32],
                api_key: Some(api_key),
                metadata: CanonicalObject::default(),
            }),
            now,
        )
        .unwrap();
        let body = r#"{"end_user_ref":"anna","redirect_url":"https://a.example/x","scopes":[{"key":"a"},{"key":"é"}]}"#;
        let body = AskBody::parse(&Value::parse(body.as_bytes()).unwrap()).unwrap();
        let none = AuthorizationId::from_bytes([0; 16]);
        let mut story = Self { log, consent_id: ConsentId::from_bytes([0; 16]), authorization_id: none, now, token: None };
        story.ask(Action::Ask(Box::new(body), Some((2, [3; 32])))).unwrap();
        let Some(Event::Consent(ConsentEvent::Requested(asked))) = story.log.records.last().map(|record| record.event.clone()) else {
            panic!("a request")
        };
        (story.consent_id, story.authorization_id) = (asked.consent_id, asked.authorization_id);
        story
    }

    fn ask(&mut self, action: Action) -> Result<Decided, Rejected> {
        let credential = Credential { api_key_id: ApiKeyId::from_bytes([1; 16]), secret_hash: [1; 32] };
        self.log.run(&Command::Caller { credential, request: None, action }, self.now)
    }

    fn visit(&mut self, visit: Visit) -> Result<Decided, Rejected> {
        self.log.run(&Command::Visitor { visitor: Visitor::default(), visit }, self.now)
    }

    /// Does one thing, and says whether it came to something.
    fn act(&mut self, act: Act) -> bool {
        let consent_id = Some(self.consent_id);
        let decided = match act {
            Act::Approve => self.visit(Visit::Answer { consent_id, approves: true }),
            Act::Decline => self.visit(Visit::Answer { consent_id, approves: false }),
            Act::View => self.visit(Visit::View(consent_id)),
            Act::Withdraw => self.ask(Action::WithdrawConsent(consent_id)),
            Act::TakeBack => {
                let workspace_id = self.log.records[0].workspace_id;
                self.visit(Visit::Withdraw { workspace_id, user_id: UserId::new(USER).unwrap(), consent_id })
            }
            Act::Revoke => self.ask(Action::Revoke(Some(self.authorization_id), Box::default())),
            Act::Mint => self.ask(Action::MintToken(consent_id)),
            Act::Lapse => {
                self.now = self.now.max(instant("09:30"));
                return false;
            }
        };
        if let Ok(Decided { outcome: Outcome::Created(created), .. }) = &decided {
            self.token = Some(created.granted.consent.as_ref().expect("a consent").token);
        }
        decided.is_ok_and(|decided| !decided.events.is_empty())
    }

    fn status(&self) -> &'static str {
        self.log.state.consent(self.consent_id).expect("a consent").2.status(self.now).as_str()
    }

    /// The kinds of all webhooks, in order.
    fn notices(&self) -> Vec<&'static str> {
        self.log.records.iter().filter_map(|record| notice(record, hash(record))).map(|notice| notice.kind).collect()
    }
}

fn hash(record: &Record) -> Hash {
    record.encode(&mut Vec::new()).unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Approve,
    Decline,
    View,
    Withdraw,
    TakeBack,
    Revoke,
    Mint,
    Lapse,
}

const ACTS: [Act; 8] = [Act::Approve, Act::Decline, Act::View, Act::Withdraw, Act::TakeBack, Act::Revoke, Act::Mint, Act::Lapse];

/// What may follow on how a request stands; nothing else ever does.
fn may_follow(before: &str, after: &str) -> bool {
    before == after || matches!((before, after), ("pending", "approved" | "declined" | "expired" | "revoked") | ("approved", "revoked"))
}

/// Plays the acts, and holds that there is one winner of which others are told once.
fn one_winner(acts: &[Act]) {
    let mut story = Story::new();
    let mut seen = vec!["pending"];
    for act in acts {
        let before = story.status();
        let told = story.notices().len();
        let came_to_something = story.act(*act);
        let after = story.status();
        assert!(may_follow(before, after), "{act:?} made {after} of {before} in {acts:?}");
        let news = story.notices().len() - told;
        let is_news = came_to_something && !matches!(act, Act::View | Act::Mint);
        assert_eq!(news, usize::from(is_news), "{act:?} told {news} times in {acts:?}");
        assert_eq!(is_news, before != after && *act != Act::Lapse, "{act:?} in {acts:?}");
        if after != *seen.last().unwrap() {
            seen.push(after);
        }
    }
    let expected: &[&str] = match seen[..] {
        ["pending"] | ["pending", "expired"] => &[],
        ["pending", "approved"] => &["consent.approved"],
        ["pending", "declined"] => &["consent.declined"],
        ["pending", "revoked"] => &["consent.revoked"],
        ["pending", "approved", "revoked"] => &["consent.approved", "consent.revoked"],
        _ => panic!("{seen:?} in {acts:?}"),
    };
    assert_eq!(story.notices(), expected, "{acts:?}");
    // There is an authorization exactly if somebody said yes, and it is good exactly as long as the consent stands.
    let workspace_id = story.log.records[0].workspace_id;
    let granted = story.log.state.authorization(workspace_id, story.authorization_id).map(|granted| granted.revoked_at.is_none());
    assert_eq!(granted, seen.contains(&"approved").then(|| story.status() == "approved"), "{acts:?}");
    story.log.audit();
}

#[test]
fn whatever_comes_first_wins_in_every_order() {
    let mut orders = 0;
    let mut all = vec![Vec::new()];
    for _ in 0..5 {
        let longer = |acts: &Vec<Act>| {
            let acts = acts.clone();
            let left = [Act::Approve, Act::Decline, Act::Withdraw, Act::TakeBack, Act::Lapse].into_iter().filter(|a| !acts.contains(a));
            left.map(|act| [acts.as_slice(), &[act]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    for acts in &all {
        one_winner(acts);
        orders += 1;
    }
    assert_eq!(orders, 120);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_first_wins(acts in proptest::collection::vec(proptest::sample::select(&ACTS[..]), 0..14)) {
        one_winner(&acts);
    }
}

#[test]
fn a_hundred_views_are_recorded_and_all_are_answered() {
    let mut story = Story::new();
    let before = story.log.records.len();
    for view in 1..=103 {
        let decided = story.visit(Visit::View(Some(story.consent_id))).expect("whoever has the link may look");
        assert_eq!(decided.outcome, Outcome::ConsentViewed(decided.workspace_id));
        assert_eq!(decided.events.len(), usize::from(view <= 100), "view {view}");
    }
    assert_eq!(story.log.records.len(), before + 100);
    assert!(story.act(Act::Approve), "it can still be answered");
    assert!(!story.act(Act::View));
}

#[test]
fn a_webhook_is_told_in_the_same_bytes_each_time() {
    let mut story = Story::new();
    assert!(story.act(Act::Approve) && story.act(Act::Withdraw));
    let [.., granted, revoked] = &story.log.records[..] else { panic!("a grant and a revoke") };
    let told = notice(granted, hash(granted)).unwrap();
    assert_eq!(told.id, WebhookId::from_bytes(*hash(granted).0.first_chunk().unwrap()));
    let (id, agent, consent) = (told.id, told.agent_id, story.consent_id);
    assert_eq!(
        told.body(Some("h.c.s")),
        format!(
            "{{\"created_at\":\"2026-03-10T09:00:00.000Z\",\"data\":{{\"agent_id\":\"{agent}\",\"consent_id\":\"{consent}\",\
             \"end_user_ref\":\"anna\",\"scopes\":[\"a\",\"é\"],\"token\":\"h.c.s\"}},\"id\":\"{id}\",\"type\":\"consent.approved\"}}"
        )
    );
    assert_eq!(told, notice(&Record::decode(&bytes(granted)).unwrap(), hash(granted)).unwrap(), "as it is read again");
    let told = notice(revoked, hash(revoked)).unwrap();
    assert_ne!(told.id, id);
    assert!(!told.body(None).contains("token") && told.claims.is_none(), "a token comes with an approval only");
}

fn bytes(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_token_says_what_was_approved_and_is_a_function_of_its_record() {
    let mut story = Story::new();
    story.now = instant("09:00:00.777");
    assert!(story.act(Act::Approve) && story.act(Act::Mint));
    let [.., granted, minted] = &story.log.records[..] else { panic!("a grant and a token") };
    let first = claims(granted).unwrap();
    assert_eq!((first.user_id.as_str(), first.consent_id), (USER, story.consent_id));
    assert_eq!(first.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(), ["a", "é"]);
    assert_eq!((first.issued_at, first.expires_at), (instant("09:00"), instant("10:00")), "whole seconds");
    assert_eq!(Some(first.token_id), story.token.map(|token| token.token_id));
    let second = claims(minted).unwrap();
    assert_ne!(second.token_id, first.token_id);
    let same = (&first.user_id, first.agent_id, first.consent_id, &first.scopes);
    assert_eq!((&second.user_id, second.agent_id, second.consent_id, &second.scopes), same);
    let Event::Consent(ConsentEvent::Minted(event)) = &minted.event else { panic!("a token") };
    assert_eq!(claims_of(event, minted.time), second);
    let others = story.log.records.iter().filter(|record| claims(record).is_some()).count();
    assert_eq!(others, 2, "no other record leads to a token");
}

#[test]
fn rows_have_ids_of_their_own_in_the_order_of_their_milliseconds() {
    let mut story = Story::new();
    story.act(Act::View);
    story.act(Act::View);
    story.act(Act::Lapse);
    let rows: Vec<_> = story.log.records.iter().filter_map(|record| row(record, hash(record))).collect();
    assert_eq!(rows.iter().map(|row| row.event_type).collect::<Vec<_>>(), ["requested", "viewed", "viewed"]);
    let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), 3, "even within a millisecond");
    let (.., consent) = story.log.state.consent(story.consent_id).unwrap();
    let lapse = row_of_lapse(consent);
    assert_eq!((lapse.id, lapse.id.time_ms()), (lapse_id(consent), instant("09:30").as_ms()));
    assert!(ids.iter().all(|id| *id < lapse.id));
    for record in &story.log.records {
        let told = row(record, hash(record)).map(|row| (row.event_type, row.consent_id));
        assert_eq!(kind(&record.event), told, "what a row is of can be told without its record's hash");
    }
}

#[test]
fn a_consents_story_is_found_by_the_authorization_from_the_request_on() {
    let mut story = Story::new();
    assert!(story.act(Act::View) && story.act(Act::Approve) && story.act(Act::Mint) && story.act(Act::TakeBack));
    let theirs = |record: &&Record| record.event.authorization_id() == Some(story.authorization_id);
    let found: Vec<&Record> = story.log.records.iter().filter(theirs).collect();
    assert!(matches!(found[0].event, Event::Consent(ConsentEvent::Requested(_))));
    assert!(matches!(found[2].event, Event::Authorization(AuthorizationEvent::Granted(_))));
    assert_eq!(found.len(), 5);
    assert_eq!(found.iter().filter(|record| record.event.receipt_id().is_some()).count(), 2, "the grant and the revoke");
}

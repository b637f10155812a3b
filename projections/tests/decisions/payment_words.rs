//! Requests about agents, devices, delegations and payments, from their words.

use allowlog_projections::command::{Action, Payments, Registration};
use allowlog_projections::state::State;
use allowlog_proto::api::affixio::{
    AttestBody, AuthoriseBody, CaptureBody, DelegationBody, GateBody, IntentBody, OfflineTokenBody, ReconcileBody, RegisterAgentBody,
    RegisterDeviceBody, RevokeDelegationBody, RevokeDeviceBody, TransactionBody, TransactionsBody,
};
use allowlog_proto::event::{AgentKind, AgentStatus, Interval, OnExceed, Payment, PaymentLimits, Period, Purpose};
use allowlog_proto::id::{DelegationId, DeviceId, OfflineTokenId, OrgId, PaymentIntentId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::text::{Category, Channel, ClientRef, Label, MerchantId, Name, Note, OpaqueId, Resource, ScopeName};

use crate::table::Words;
use crate::wording::{Names, instant};

const TOKEN_LIFE_S: u64 = 3600;

/// What a caller asks for, nothing if the verb is about something else.
pub(crate) fn action(names: &Names, state: &State, verb: &str, mut words: Words<'_>) -> Option<Action> {
    if let Some(registration) = registration(names, verb, &mut words) {
        return Some(Action::Register(registration));
    }
    let body = |words: &mut Words<'_>| AuthoriseBody { decision: named(names, words, "with"), amount: words.option("amount").map(amount) };
    Some(Action::Pay(match verb {
        "delegate" => Payments::Delegate(Box::new(delegation(names, words))),
        "end" => {
            let body = RevokeDelegationBody {
                reason: words.option("reason").map(|text| Note::new(text).unwrap()),
                revoked_by: words.option("by").map(|text| Label::new(text).unwrap()),
            };
            Payments::Revoke(DelegationId::parse(&names.text(words.0[0])).map(Into::into), Box::new(body))
        }
        "permit" => Payments::Decide(Box::new(gate(names, Purpose::Permission, words))),
        "policy" => Payments::Decide(Box::new(gate(names, Purpose::Policy, words))),
        "trust" => Payments::Decide(Box::new(gate(names, Purpose::Trust, words))),
        "prove" => Payments::Decide(Box::new(gate(names, Purpose::Verification, words))),
        "intent" => Payments::CreateIntent(Box::new(intent(names, words))),
        "authorise" => {
            let body = body(&mut words);
            Payments::Authorise(intent_id(names, words.0[0]), Box::new(body))
        }
        "capture" => {
            let body = body(&mut words);
            Payments::Capture(intent_id(names, words.0[0]), CaptureBody { amount: body.amount })
        }
        "cancel" => Payments::Cancel(intent_id(names, words.0[0])),
        "token" => Payments::IssueToken(Box::new(token(names, words))),
        "tell" => Payments::Queue(Box::new(transactions(names, state, &words))),
        "reconcile" => Payments::Reconcile(Box::new(ReconcileBody { device: opaque(names, words.0[0]) })),
        _ => return None,
    }))
}

fn registration(names: &Names, verb: &str, words: &mut Words<'_>) -> Option<Registration> {
    let first = words.0.first().copied().unwrap_or_default();
    let status = |status| Registration::AgentStatus(RegisteredAgentId::parse(&names.text(first)), status);
    let device_id = DeviceId::parse(&names.text(first));
    Some(match verb {
        "register" => Registration::Agent(Box::new(RegisterAgentBody {
            kind: AgentKind::parse(first).expect("a kind of agent"),
            owner: WorkspaceId::parse(&names.text(words.option("in").unwrap_or("W1"))).map(OrgId::from),
            name: Name::new("agent").unwrap(),
            metadata: CanonicalObject::default(),
        })),
        "activate" => status(AgentStatus::Active),
        "suspend" => status(AgentStatus::Suspended),
        "retire" => status(AgentStatus::Revoked),
        "credential" => {
            let agent_id = RegisteredAgentId::parse(&names.text(first));
            Registration::Credential { agent_id, public_key: [7; 32], expires_at: words.option("expires").map(instant) }
        }
        "device" => Registration::Device(Box::new(RegisterDeviceBody { name: None, kind: None, metadata: CanonicalObject::default() })),
        "attest" => Registration::Attest(device_id, Box::new(AttestBody { attestation: CanonicalObject::default() })),
        "distrust" => {
            let reason = words.option("reason").map(|text| Note::new(text).unwrap());
            Registration::RevokeDevice(device_id, Box::new(RevokeDeviceBody { reason }))
        }
        _ => return None,
    })
}

fn opaque(names: &Names, name: &str) -> OpaqueId {
    OpaqueId::new(&names.text(name)).unwrap()
}

fn named(names: &Names, words: &mut Words<'_>, option: &str) -> Option<OpaqueId> {
    words.option(option).map(|name| opaque(names, name))
}

fn intent_id(names: &Names, name: &str) -> Option<PaymentIntentId> {
    PaymentIntentId::parse(&names.text(name))
}

fn amount(text: &str) -> Amount {
    Amount::new(text.parse().unwrap()).unwrap()
}

/// `100EUR`, `100`, `EUR`
fn money(text: &str) -> (Option<Amount>, Option<Currency>) {
    let (digits, letters) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let (amount, currency) = (Some(digits).filter(|d| !d.is_empty()).map(amount), Some(letters).filter(|l| !l.is_empty()));
    (amount, currency.map(|letters| Currency::new(letters).unwrap()))
}

/// `a|b`, or `-` for a list that is there and empty.
fn list<T>(text: &str, item: impl Fn(&str) -> T) -> Vec<T> {
    text.split('|').filter(|text| *text != "-").map(item).collect()
}

fn merchant(text: &str) -> MerchantId {
    MerchantId::new(text).unwrap()
}

/// `delegate P1 pay|mail.read per 500 daily 1000 period 5000/P7D ...`
fn delegation(names: &Names, mut words: Words<'_>) -> DelegationBody {
    let mut listed = |name: &str| words.option(name);
    let limits = PaymentLimits {
        merchants: listed("merchants").map(|text| list(text, merchant)),
        categories: listed("categories").map(|text| list(text, |item| Category::new(item).unwrap())),
        blocked_merchants: listed("blocked").map(|text| list(text, merchant)).unwrap_or_default(),
        per_transaction: listed("per").map(amount),
        daily: listed("daily").map(amount),
        period: listed("period").map(|text| {
            let (most, interval) = text.split_once('/').expect("5000/P7D");
            Period { amount: amount(most), interval: Interval::parse(interval).unwrap() }
        }),
        currencies: listed("currencies").map(|text| list(text, |item| Currency::new(item).unwrap())),
        channels: listed("channels").map(|text| list(text, |item| Channel::new(item).unwrap())),
        step_up_above: listed("stepup").map(amount),
        review_above: listed("review").map(amount),
        requires_trusted_device: words.flag("trusted"),
        on_exceed: if words.flag("cap") { OnExceed::Cap } else { OnExceed::Deny },
    };
    let (not_before, expires_at) = (words.option("starts").map(instant), words.option("expires").map(instant));
    let [agent, permissions] = words.0[..] else { panic!("delegate P1 pay, not {:?}", words.0) };
    DelegationBody {
        agent: opaque(names, agent),
        permissions: list(permissions, |name| ScopeName::new(name).unwrap()),
        not_before,
        expires_at,
        limits,
        metadata: CanonicalObject::default(),
    }
}

/// `permit P1 100EUR to m1 under D1 via online category food from V1 for M1 permission pay on x`; `prove D1 100EUR to m1`
fn gate(names: &Names, purpose: Purpose, mut words: Words<'_>) -> GateBody {
    let payment = Payment {
        merchant_id: words.option("to").map(merchant),
        amount: None,
        currency: None,
        channel: words.option("via").map(|text| Channel::new(text).unwrap()),
        category: words.option("category").map(|text| Category::new(text).unwrap()),
        intent_id: named(names, &mut words, "for"),
    };
    let device = named(names, &mut words, "from");
    let permission = words.option("permission").map(|name| ScopeName::new(name).unwrap());
    let resource = words.option("on").map(|text| Resource::new(text).unwrap());
    let under = named(names, &mut words, "under");
    let first = opaque(names, words.0.remove(0));
    let (agent, delegation) = if purpose == Purpose::Verification { (None, Some(first)) } else { (Some(first), under) };
    let (amount, currency) = words.0.first().map_or((None, None), |text| money(text));
    assert!(words.0.len() < 2, "money alone, not {:?}", words.0);
    let payment = Payment { amount, currency, ..payment };
    GateBody { purpose, agent, delegation, device, permission, payment, resource, context: CanonicalObject::default() }
}

/// `intent 100EUR to m1 via online by P1 under D1 from V1 with Q1`
fn intent(names: &Names, mut words: Words<'_>) -> IntentBody {
    let (merchant_id, channel) = (words.option("to").map(merchant).unwrap(), words.option("via").map(|text| Channel::new(text).unwrap()));
    let (agent, delegation) = (named(names, &mut words, "by"), named(names, &mut words, "under"));
    let (device, decision) = (named(names, &mut words, "from"), named(names, &mut words, "with"));
    let [text] = words.0[..] else { panic!("money alone, not {:?}", words.0) };
    let (amount, currency) = money(text);
    let (amount, currency, metadata) = (amount.unwrap(), currency.unwrap(), CanonicalObject::default());
    IntentBody { merchant_id, amount, currency, channel, agent, delegation, device, decision, metadata }
}

/// `token P1 100EUR under D1 from till to m1|m2 life 3600`
fn token(names: &Names, mut words: Words<'_>) -> OfflineTokenBody {
    let merchants = words.option("to").map(|text| list(text, merchant));
    let life_s: u64 = words.option("life").map_or(TOKEN_LIFE_S, |text| text.parse().unwrap());
    let (delegation, device) = (named(names, &mut words, "under").unwrap(), named(names, &mut words, "from").unwrap());
    let [agent, text] = words.0[..] else { panic!("an agent and money, not {:?}", words.0) };
    let (max_amount, currency) = money(text);
    let (max_amount, currency) = (max_amount.unwrap(), currency.unwrap());
    OfflineTokenBody { agent: opaque(names, agent), delegation, device, max_amount, currency, merchants, life_ms: life_s * 1000 }
}

/// `tell till O1 50EUR to m1 occurred 09:10 ref r1 + O2 ...`
fn transactions(names: &Names, state: &State, words: &Words<'_>) -> TransactionsBody {
    let one = |words: &[&str]| {
        let mut words = Words(words.to_vec());
        let occurred_at = words.option("occurred").map(instant);
        let client_ref = words.option("ref").map(|text| ClientRef::new(text).unwrap());
        let merchant_id = words.option("to").map(merchant).unwrap();
        let [token, text] = words.0[..] else { panic!("a token and money, not {:?}", words.0) };
        let workspace_id = WorkspaceId::parse(&names.text("W1")).unwrap();
        let token = OfflineTokenId::parse(&names.text(token)).and_then(|id| state.offline_token(workspace_id, id));
        let (amount, currency) = money(text);
        let (amount, currency) = (amount.unwrap(), currency.unwrap());
        // What is no token has a nullifier all the same.
        let nullifier = Some(token.map_or([9; 16], |token| token.nullifier));
        TransactionBody { nullifier, merchant_id, amount, currency, occurred_at, client_ref }
    };
    TransactionsBody { device: opaque(names, words.0[0]), transactions: words.0[1..].split(|word| *word == "+").map(one).collect() }
}

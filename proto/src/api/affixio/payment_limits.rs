//! The limits of a delegation, read from what a caller writes and written in canonical form.
//!
//! Dropping a limit silently is unsafe: what is not known here is refused, and an empty list allows nothing. So `[]` is not absent here,
//! as it is elsewhere; only `null` is, and `{}` where an object may stand.
//!
//! Source: section 3 of the AffixIO API.

use std::fmt::Display;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::members::amount;
use crate::api::fields::{Fields, boolean, text, wrong_kind};
use crate::event::{Interval, OnExceed, PaymentLimits, Period};
use crate::json::{Object, Value};
use crate::limits::PAYMENT_LIST_MAX;
use crate::money::{Amount, Currency};
use crate::schema::{Members, any_of, array, boolean as a_boolean, closed, describe, named, null, one_of, patterned};
use crate::text::{Category, Channel, MerchantId};
use crate::time::{GivenTimestamp, Timestamp};

const MERCHANTS: [&str; 3] = ["allowed_merchants", "merchant_ids", "allowlist"];
const CATEGORIES: [&str; 3] = ["allowed_categories", "categories", "allowed_mcc"];
const BLOCKED: [&str; 1] = ["blocked_merchants"];
const PER_TRANSACTION: [&str; 4] = ["per_transaction", "max_per_transaction", "per_tx", "max_amount"];
const DAILY: [&str; 2] = ["daily", "daily_max"];
const PERIODS: [&str; 3] = ["period", "weekly", "monthly"];
const CHANNELS: [&str; 3] = ["channels", "channel", "allowed_channels"];
const START: [&str; 5] = ["start", "from", "not_before", "valid_from", "starts_at"];
const END: [&str; 5] = ["end", "to", "not_after", "valid_until", "ends_at"];

/// Names that limits have within these objects, and beside which they limit nothing.
const PLACED: [(&[&str], &str); 8] = [
    (&MERCHANTS, "merchant_constraints"),
    (&CATEGORIES, "merchant_constraints"),
    (&BLOCKED, "merchant_constraints"),
    (&PER_TRANSACTION, "amount_limits"),
    (&DAILY, "amount_limits"),
    (&PERIODS, "amount_limits"),
    (&START, "validity_window"),
    (&END, "validity_window"),
];
/// Names that might be taken for those of limits.
const MISPLACED: [&str; 8] =
    ["expires_at", "limits", "amount_limit", "merchants", "merchant_constraint", "currencies", "currency", "validity"];

const DAY_S: u64 = 86_400;

/// What is wrong with a limit: where below it, and what.
type Faults = Vec<(String, String)>;

/// Reads the limits among the members of a delegation.
pub(super) fn parse(fields: &mut Fields<'_>, body: &Value) -> PaymentLimits {
    refuse_misplaced(fields, body);
    let (merchants, categories, blocked) = merchant_constraints(fields, body);
    let (per_transaction, daily, period) = amount_limits(fields, body);
    PaymentLimits {
        merchants,
        categories,
        blocked_merchants: blocked.unwrap_or_default(),
        per_transaction,
        daily,
        period,
        currencies: currency_limits(fields, body),
        channels: one(fields, body, &CHANNELS, one_or_many(Channel::new)),
        step_up_above: one(fields, body, &["step_up_above"], plain(amount)),
        review_above: one(fields, body, &["review_above"], plain(amount)),
        requires_trusted_device: one(fields, body, &["require_trusted_device"], plain(boolean)).unwrap_or_default(),
        on_exceed: one(fields, body, &["on_exceed"], plain(text(on_exceed))).unwrap_or_default(),
    }
}

/// Members that nobody knows are passed over, but not one that its sender takes for a limit.
fn refuse_misplaced(fields: &mut Fields<'_>, body: &Value) {
    for (names, place) in PLACED {
        for name in names.iter().filter(|name| given(body, name).is_some()) {
            fields.refuse(name, format!("limits nothing here; it belongs into `{place}`"));
        }
    }
    for name in MISPLACED.iter().filter(|name| given(body, name).is_some()) {
        fields.refuse(name, "limits nothing here; see `merchant_constraints`, `amount_limits`, `currency_limits`, `validity_window`");
    }
}

type Merchants = (Option<Vec<MerchantId>>, Option<Vec<Category>>, Option<Vec<MerchantId>>);

fn merchant_constraints(outer: &mut Fields<'_>, body: &Value) -> Merchants {
    let name = "merchant_constraints";
    match given(body, name) {
        None => (None, None, None),
        Some(Value::Array(_)) => (one(outer, body, &[name], many(MerchantId::new)), None, None),
        Some(value) => within(outer, name, value, "an object, or an array of merchants", &[&MERCHANTS, &CATEGORIES, &BLOCKED], |fields| {
            (
                one(fields, value, &MERCHANTS, many(MerchantId::new)),
                one(fields, value, &CATEGORIES, many(Category::new)),
                one(fields, value, &BLOCKED, many(MerchantId::new)),
            )
        }),
    }
}

fn amount_limits(outer: &mut Fields<'_>, body: &Value) -> (Option<Amount>, Option<Amount>, Option<Period>) {
    let name = "amount_limits";
    match given(body, name) {
        None => (None, None, None),
        Some(Value::Int(_) | Value::Unsafe(_)) => (one(outer, body, &[name], plain(amount)), None, None),
        Some(value) => {
            within(outer, name, value, "an object, or an integer of minor units", &[&PER_TRANSACTION, &DAILY, &PERIODS], |fields| {
                (one(fields, value, &PER_TRANSACTION, plain(amount)), one(fields, value, &DAILY, plain(amount)), period(fields, value))
            })
        }
    }
}

/// A delegation has one rolling period, however it is spelt.
fn period(fields: &mut Fields<'_>, limits: &Value) -> Option<Period> {
    let mut periods = PERIODS.into_iter().filter_map(|name| Some((name, given(limits, name)?)));
    let (name, value) = periods.next()?;
    if let Some((other, _)) = periods.next() {
        fields.refuse(other, format!("must not be given beside `{name}`: there is one period"));
        return None;
    }
    let days = match name {
        "weekly" => 7_u64,
        "monthly" => 30,
        _ => return written_period(fields, value),
    };
    let amount = one(fields, limits, &[name], plain(amount))?;
    Some(Period { amount, interval: Interval::seconds(days.saturating_mul(DAY_S))? })
}

fn written_period(outer: &mut Fields<'_>, value: &Value) -> Option<Period> {
    within(outer, "period", value, "an object", &[&["amount"], &["interval"]], |fields| {
        if value.as_object().is_some_and(Object::is_empty) {
            return None;
        }
        let most = one(fields, value, &["amount"], plain(amount));
        let interval = one(fields, value, &["interval"], plain(text(Interval::parse)));
        for name in ["amount", "interval"] {
            if given(value, name).is_none() {
                fields.refuse(name, "is required");
            }
        }
        Some(Period { amount: most?, interval: interval? })
    })
}

fn currency_limits(outer: &mut Fields<'_>, body: &Value) -> Option<Vec<Currency>> {
    let name = "currency_limits";
    let value = given(body, name)?;
    if value.as_object().is_none() {
        return one(outer, body, &[name], one_or_many(Currency::new));
    }
    within(outer, name, value, "an object", &[&["allowed"]], |fields| one(fields, value, &["allowed"], one_or_many(Currency::new)))
}

/// Reads from when to when a delegation stands.
pub(super) fn validity_window(outer: &mut Fields<'_>, body: &Value) -> (Option<Timestamp>, Option<Timestamp>) {
    let name = "validity_window";
    let Some(value) = given(body, name) else { return (None, None) };
    within(outer, name, value, "an object", &[&START, &END], |fields| {
        let start = one(fields, value, &START, plain(text(Timestamp::parse)));
        let end = one(fields, value, &END, plain(text(Timestamp::parse)));
        if start.zip(end).is_some_and(|(start, end)| end <= start) {
            fields.refuse("end", "must be after the start");
        }
        (start, end)
    })
}

fn on_exceed(text: &str) -> Result<OnExceed, &'static str> {
    match text {
        "deny" => Ok(OnExceed::Deny),
        "cap" => Ok(OnExceed::Cap),
        _ => Err("must be `deny` or `cap`"),
    }
}

/// The member, unless it is not there or `null`.
fn given<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.as_object()?.get(name).filter(|value| **value != Value::Null)
}

/// Reads an object of limits: one that is something else, or has a member that is not `known`, is refused.
fn within<T: Default>(
    outer: &mut Fields<'_>,
    name: &str,
    value: &Value,
    wanted: &str,
    known: &[&[&str]],
    read: impl FnOnce(&mut Fields<'_>) -> T,
) -> T {
    let Value::Object(object) = value else {
        outer.refuse(name, wrong_kind(wanted, value));
        return T::default();
    };
    let mut fields = Fields::of(value, outer.path_of(name));
    for (name, _) in object.iter().filter(|(name, value)| **value != Value::Null && !known.concat().contains(name)) {
        fields.refuse(name, "is not a limit this server knows");
    }
    let limit = read(&mut fields);
    outer.absorb(fields.into_errors());
    limit
}

/// Reads the limit that stands under one of these names; where several are given they must say the same.
fn one<T: PartialEq>(fields: &mut Fields<'_>, value: &Value, names: &[&str], read: impl Fn(&Value) -> Result<T, Faults>) -> Option<T> {
    let mut found: Option<(&str, T)> = None;
    for name in names {
        match given(value, name).map(&read) {
            None => {}
            Some(Err(faults)) => faults.into_iter().for_each(|(place, fault)| fields.refuse(&format!("{name}{place}"), fault)),
            Some(Ok(limit)) => match &found {
                Some((first, said)) if *said != limit => {
                    fields.refuse(name, format!("must be the same as `{first}`, which it is another name of"));
                }
                Some(_) => {}
                None => found = Some((name, limit)),
            },
        }
    }
    found.map(|(_, limit)| limit)
}

fn plain<T>(read: impl Fn(&Value) -> Result<T, String>) -> impl Fn(&Value) -> Result<T, Faults> {
    move |value| read(value).map_err(|fault| vec![(String::new(), fault)])
}

/// A list of texts.
fn many<T, E: Display>(new: impl Fn(&str) -> Result<T, E>) -> impl Fn(&Value) -> Result<Vec<T>, Faults> {
    move |value| {
        let Value::Array(items) = value else { return Err(vec![(String::new(), wrong_kind("an array of strings", value))]) };
        if items.len() > PAYMENT_LIST_MAX {
            return Err(vec![(String::new(), format!("must be at most {PAYMENT_LIST_MAX} strings"))]);
        }
        let (mut list, mut faults) = (Vec::new(), Vec::new());
        for (i, item) in items.iter().enumerate() {
            match text(&new)(item) {
                Ok(item) => list.push(item),
                Err(fault) => faults.push((format!("[{i}]"), fault)),
            }
        }
        if faults.is_empty() { Ok(list) } else { Err(faults) }
    }
}

/// The same, or one text.
fn one_or_many<T, E: Display>(new: impl Fn(&str) -> Result<T, E>) -> impl Fn(&Value) -> Result<Vec<T>, Faults> {
    move |value| match value.as_text() {
        Some(_) => text(&new)(value).map(|one| vec![one]).map_err(|fault| vec![(String::new(), fault)]),
        None => many(&new)(value),
    }
}

/// A list of merchants where it is optional and `[]` says something.
pub(super) fn merchant_list(fields: &mut Fields<'_>, body: &Value, name: &str) -> Option<Vec<MerchantId>> {
    one(fields, body, &[name], many(MerchantId::new))
}

/// The limits in canonical form, as answers and receipts have them: what is not limited is not there.
pub fn limits(limits: &PaymentLimits) -> Object {
    let PaymentLimits {
        merchants,
        categories,
        blocked_merchants,
        per_transaction,
        daily,
        period,
        currencies,
        channels,
        step_up_above,
        review_above,
        requires_trusted_device,
        on_exceed,
    } = limits;
    let list = |texts: Vec<&str>| Value::Array(texts.into_iter().map(Into::into).collect());
    let amount = |amount: &Amount| Value::Int(amount.get());
    let mut merchant_constraints = Object::new();
    if let Some(merchants) = merchants {
        merchant_constraints.insert("allowed_merchants", list(merchants.iter().map(|id| id.as_str()).collect()));
    }
    if let Some(categories) = categories {
        merchant_constraints.insert("allowed_categories", list(categories.iter().map(|category| category.as_str()).collect()));
    }
    if !blocked_merchants.is_empty() {
        merchant_constraints.insert("blocked_merchants", list(blocked_merchants.iter().map(|id| id.as_str()).collect()));
    }
    let mut amount_limits = Object::new();
    if let Some(most) = per_transaction {
        amount_limits.insert("per_transaction", amount(most));
    }
    if let Some(most) = daily {
        amount_limits.insert("daily", amount(most));
    }
    if let Some(Period { amount: most, interval }) = period {
        let mut period = Object::new();
        period.insert("amount", amount(most));
        period.insert("interval", interval.to_string().as_str().into());
        amount_limits.insert("period", Value::Object(period));
    }
    let mut object = Object::new();
    for (name, members) in [("merchant_constraints", merchant_constraints), ("amount_limits", amount_limits)] {
        if !members.is_empty() {
            object.insert(name, Value::Object(members));
        }
    }
    if let Some(currencies) = currencies {
        object.insert("currency_limits", list(currencies.iter().map(Currency::as_str).collect()));
    }
    if let Some(channels) = channels {
        object.insert("channels", list(channels.iter().map(|channel| channel.as_str()).collect()));
    }
    for (name, above) in [("step_up_above", step_up_above), ("review_above", review_above)] {
        if let Some(above) = above {
            object.insert(name, amount(above));
        }
    }
    if *requires_trusted_device {
        object.insert("require_trusted_device", Value::Bool(true));
    }
    object.insert("on_exceed", on_exceed.as_str().into());
    object
}

/// The limits as members of a request; [`parse`] and [`validity_window`] read them.
pub(super) fn members(members: Members) -> Members {
    let misplaced = PLACED.iter().flat_map(|(names, _)| names.iter()).chain(&MISPLACED);
    let members = misplaced.fold(members, |members, name| members.nullable(name, "Limits nothing here, and is refused.", null()));
    members
        .nullable("merchant_constraints", "Whom it may pay; a plain array is `allowed_merchants`.", named::<MerchantConstraints>())
        .nullable("amount_limits", "How much; a plain number is `per_transaction`.", named::<AmountLimits>())
        .nullable("currency_limits", "In which currencies.", named::<CurrencyLimits>())
        .nullable("validity_window", "From when to when it stands.", named::<ValidityWindow>())
        .nullable("channels", "How it may pay.", texts_or_one::<Channel>())
        .nullable("channel", "Another name of `channels`.", texts_or_one::<Channel>())
        .nullable("allowed_channels", "Another name of `channels`.", texts_or_one::<Channel>())
        .nullable("step_up_above", "Above it the user is asked first.", named::<Amount>())
        .nullable("review_above", "Above it a reviewer is asked first.", named::<Amount>())
        .nullable("require_trusted_device", "Only from registered devices.", a_boolean())
        .nullable("on_exceed", "What becomes of a payment above the limits: `deny` if nothing is said.", one_of(&["deny", "cap"]))
}

fn texts<T: utoipa::ToSchema>() -> RefOr<Schema> {
    array(named::<T>(), 0, PAYMENT_LIST_MAX).into()
}

fn texts_or_one<T: utoipa::ToSchema>() -> RefOr<Schema> {
    any_of([texts::<T>(), named::<T>()]).into()
}

/// Members that are other names of the first.
fn aliases(members: Members, names: &[&str], about: &str, schema: impl Fn() -> RefOr<Schema>) -> Members {
    let (first, others) = names.split_first().unwrap_or((&"", &[]));
    let members = members.nullable(first, about, schema());
    let again = format!("Another name of `{first}`.");
    others.iter().fold(members, |members, name| members.nullable(name, &again, schema()))
}

/// `merchant_constraints` of a request.
pub(super) enum MerchantConstraints {}

describe!(MerchantConstraints, refers to [MerchantId, Category], {
    let object = Members::of("Whom it may pay. An empty list allows nothing; a member the server does not know is refused.");
    let object = aliases(object, &MERCHANTS, "Only these merchants.", texts::<MerchantId>);
    let object = aliases(object, &CATEGORIES, "Only merchants of these kinds.", texts::<Category>);
    let object = aliases(object, &BLOCKED, "Never these.", texts::<MerchantId>);
    any_of([object.build_strict(), texts::<MerchantId>()]).into()
});

/// `amount_limits` of a request.
pub(super) enum AmountLimits {}

describe!(AmountLimits, refers to [Amount], {
    let period = Members::of("All payments of a rolling period together, in each currency.")
        .required("amount", "At most so much.", named::<Amount>())
        .required("interval", "How long the period is: a duration (ISO 8601) of a second to 366 days.", interval())
        .build_strict();
    let nothing: RefOr<Schema> = closed(ObjectBuilder::new().schema_type(Type::Object)).into();
    let object = Members::of("How much it may pay, in minor units. There is one period; a member the server does not know is refused.");
    let object = aliases(object, &PER_TRANSACTION, "One payment.", named::<Amount>);
    let object = aliases(object, &DAILY, "All payments of a UTC day together, in each currency.", named::<Amount>)
        .nullable("period", "All payments of a rolling period together.", any_of([period, nothing]))
        .nullable("weekly", "A period of `P7D`.", named::<Amount>())
        .nullable("monthly", "A period of `P30D`.", named::<Amount>());
    any_of([object.build_strict(), named::<Amount>()]).into()
});

fn interval() -> ObjectBuilder {
    let date = r"(\d+Y)?(\d+M)?(\d+W)?(\d+D)?";
    patterned("A duration of whole numbers.", &format!(r"^P(?=[0-9T]){date}(T(?=[0-9])(\d+H)?(\d+M)?(\d+S)?)?$"), "P7D")
}

/// `currency_limits` of a request.
pub(super) enum CurrencyLimits {}

describe!(CurrencyLimits, refers to [Currency], {
    let object = Members::of("The same in an object.").nullable("allowed", "Only these.", texts_or_one::<Currency>());
    any_of([texts_or_one::<Currency>(), object.build_strict()]).into()
});

/// `validity_window` of a request.
pub(super) enum ValidityWindow {}

describe!(ValidityWindow, refers to [GivenTimestamp], {
    let object = Members::of("From when to when it stands.");
    let object = aliases(object, &START, "Before it nothing is allowed.", named::<GivenTimestamp>);
    aliases(object, &END, "From then on nothing is allowed; after `start`.", named::<GivenTimestamp>).build_strict()
});

/// `merchant_constraints` of an answer.
pub(super) enum ShownMerchantConstraints {}

describe!(ShownMerchantConstraints, refers to [MerchantId, Category], {
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("allowed_merchants", texts::<MerchantId>())
        .property("allowed_categories", texts::<Category>())
        .property("blocked_merchants", texts::<MerchantId>());
    closed(object).description(Some("Whom it may pay; what is not limited is not there.")).into()
});

/// `amount_limits` of an answer.
pub(super) enum ShownAmountLimits {}

describe!(ShownAmountLimits, refers to [Amount], {
    let object = || ObjectBuilder::new().schema_type(Type::Object);
    let period = object().property("amount", named::<Amount>()).required("amount").property("interval", interval()).required("interval");
    let object = object()
        .property("per_transaction", named::<Amount>())
        .property("daily", named::<Amount>())
        .property("period", closed(period));
    closed(object).description(Some("How much it may pay; what is not limited is not there.")).into()
});

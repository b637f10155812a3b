//! What has been spent under a delegation in one currency: exact, in minor units, and forgotten as soon as no limit looks at it.

use std::collections::BTreeMap;

use allowlog_proto::event::{Interval, PaymentLimits};
use allowlog_proto::id::{OfflineTokenId, ReceiptId};
use allowlog_proto::money::Amount;
use allowlog_proto::time::Timestamp;

use super::stored::stored;

/// What has been spent in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Spend {
    /// The latest UTC day on which anything was spent.
    day: u64,
    /// What was spent on it.
    day_sum: u64,
    /// What was spent within the rolling period, by instant and receipt; nothing where there is no such limit.
    period: BTreeMap<(Timestamp, ReceiptId), u64>,
    /// All of it together.
    period_sum: u64,
    /// What offline tokens hold.
    reserved: BTreeMap<OfflineTokenId, Reserved>,
}

/// What an offline token holds. It may be paid at any time until then, so it counts on every day and in every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    amount: u64,
    /// From this instant on it is given back.
    until: Timestamp,
}

stored!(Spend { day, day_sum, period, period_sum, reserved });
stored!(Reserved { amount, until });

/// What is left at an instant, in minor units; nothing said means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Of the UTC day.
    pub daily: Option<u64>,
    /// Of the rolling period.
    pub period: Option<u64>,
}

impl Spend {
    /// What is left of the limits at `now`. What lapsed before is not counted, whether it was forgotten or not.
    pub(super) fn left(&self, limits: &PaymentLimits, now: Timestamp) -> Left {
        let held = self.reserved.values().filter(|held| now < held.until).fold(0_u64, |sum, held| sum.saturating_add(held.amount));
        let daily = limits.daily.map(|most| {
            let spent = if self.day == now.day() { self.day_sum } else { 0 };
            minor(most).saturating_sub(spent.saturating_add(held))
        });
        let period = limits.period.map(|period| {
            let lapsed = |at: Timestamp| now >= at.saturating_add_ms(period.interval.as_ms());
            let over =
                self.period.iter().take_while(|((at, _), _)| lapsed(*at)).fold(0_u64, |sum, (_, amount)| sum.saturating_add(*amount));
            minor(period.amount).saturating_sub(self.period_sum.saturating_sub(over).saturating_add(held))
        });
        Left { daily, period }
    }

    /// How many tokens hold something at `now`.
    pub(super) fn held(&self, now: Timestamp) -> usize {
        self.reserved.values().filter(|held| now < held.until).count()
    }

    /// Something was spent at `at`; `interval` is that of the rolling limit, if there is one.
    pub(super) fn take(&mut self, at: Timestamp, receipt_id: ReceiptId, amount: Amount, interval: Option<Interval>) {
        let amount = minor(amount);
        if self.day != at.day() {
            (self.day, self.day_sum) = (at.day(), 0);
        }
        self.day_sum = self.day_sum.saturating_add(amount);
        if interval.is_some() {
            self.period.insert((at, receipt_id), amount);
            self.period_sum = self.period_sum.saturating_add(amount);
        }
    }

    /// So much of what was spent at `at` is given back, as far as anything still looks at it.
    pub(super) fn give_back(&mut self, at: Timestamp, receipt_id: ReceiptId, amount: u64) {
        if self.day == at.day() {
            self.day_sum = self.day_sum.saturating_sub(amount);
        }
        if let Some(spent) = self.period.get_mut(&(at, receipt_id)) {
            *spent = spent.saturating_sub(amount);
            self.period_sum = self.period_sum.saturating_sub(amount);
        }
    }

    /// A token holds so much until then.
    pub(super) fn reserve(&mut self, token_id: OfflineTokenId, amount: Amount, until: Timestamp) {
        self.reserved.insert(token_id, Reserved { amount: minor(amount), until });
    }

    /// What a token held is given back.
    pub(super) fn release(&mut self, token_id: OfflineTokenId) {
        self.reserved.remove(&token_id);
    }

    /// Drops what no limit looks at any more.
    pub(super) fn forget(&mut self, now: Timestamp, interval: Interval) {
        while let Some(first) = self.period.first_entry().filter(|first| now >= first.key().0.saturating_add_ms(interval.as_ms())) {
            self.period_sum = self.period_sum.saturating_sub(first.remove());
        }
    }
}

/// Minor units, of which there are never less than one.
pub(super) fn minor(amount: Amount) -> u64 {
    amount.get().unsigned_abs()
}

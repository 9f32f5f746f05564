//! Orders that are still open to change, and what each adds to the books. Every order is a join of
//! its events, held in a normal form that does not depend on their order of arrival; the books
//! change by what the orders add after an event minus what they added before it. It keeps no sums
//! and reads no time: `Customer::apply` books the changes.
//!
//! The normal form, for the events of one order id: completions belong together up to
//! `Windows::edit_days` from the first of them, and a later one begins another order. A refund or a
//! cancel belongs to the earliest order within `refund_days` of it, before or after; one without
//! such an order is kept by its day, as an order without completion, until an order comes for it.
//! The window is closed on both sides because what may still be joined must still be here: an event
//! comes at most `lateness_days` behind the latest day, so whatever lies further back than both
//! windows together can be let go, on the same day in every order of arrival.

use rust_decimal::Decimal;
use smallvec::SmallVec;

use super::Windows;
use super::event_id::EventId;
use crate::calendar::Day;
use crate::money::{Currency, convert};

/// Open orders a customer has at most; of more, the oldest close early.
pub(crate) const OPEN_ORDERS_MAX: usize = 256;
/// Refunds and cancels an order keeps apart at most; of more, the oldest two alike become one.
const FACTS_MAX: usize = 64;

/// An order, or the refunds and cancels of one day whose order is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Of the order id.
    pub(crate) fingerprint: u64,
    /// The earliest completion's day; without completion the day of the facts.
    pub(crate) day: Day,
    pub(crate) completion: Option<Completion>,
    /// Sorted by [`Fact::key`], one of each key.
    pub(crate) facts: Vec<Fact>,
}

/// The completion that counts: of several, the greatest by [`Completion::rank`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) at_ms: i64,
    pub(crate) event_id: EventId,
    /// In the base currency.
    pub(crate) amount_minor: i128,
    /// What the event said, where that was in another currency.
    pub(crate) foreign: Option<Foreign>,
}

/// An amount in another currency, and the rate at which its order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) currency: Currency,
    pub(crate) amount_minor: i128,
    /// Without trailing zeros, so that equal rates are equal bytes.
    pub(crate) rate: Decimal,
}

/// What happened to an order on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) day: Day,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Cancelled,
    Refunded(Refund),
}

/// The sum of a day's refunds in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refund {
    /// `None` for the base currency.
    pub(crate) currency: Option<Currency>,
    pub(crate) original_minor: i128,
    /// In the base currency, at the rates configured when the refunds came; equal to
    /// `original_minor` in the base currency.
    pub(crate) converted_minor: i128,
}

/// What an event says of an order.
#[derive(Clone, Debug)]
pub(crate) enum Revision {
    Completed(Day, Completion),
    Changed(Fact),
}

/// How the books change: differences, to be added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) n_orders: i64,
    pub(crate) gross_minor: i128,
    pub(crate) refunded_minor: i128,
    pub(crate) unmatched_minor: i128,
    pub(crate) days: SmallVec<[DayChange; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DayChange {
    pub(crate) day: Day,
    pub(crate) net_minor: i128,
    pub(crate) n_orders: i64,
}

/// The open orders of a customer, sorted by (day, fingerprint), each pair once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenOrders(pub(crate) Vec<Order>);

impl OpenOrders {
    /// Joins what an event says into the orders of that id, and tells what that changes.
    pub(crate) fn revise(
        &mut self,
        fingerprint: u64,
        revision: Revision,
        windows: &Windows,
        base: Currency,
    ) -> Change {
        let mut orders: Revised =
            self.0.extract_if(.., |order| order.fingerprint == fingerprint).collect();
        let mut change = Change::default();
        for order in &orders {
            change.count(order, -1, base);
        }
        let mut facts: SmallVec<[Fact; 4]> =
            orders.iter_mut().flat_map(|order| std::mem::take(&mut order.facts)).collect();
        orders.retain(|order| order.completion.is_some());
        match revision {
            Revision::Completed(day, completion) => {
                complete(&mut orders, fingerprint, day, completion, windows);
            }
            Revision::Changed(fact) => facts.push(fact),
        }
        for fact in facts {
            place(&mut orders, fingerprint, fact, windows);
        }
        for order in orders {
            change.count(&order, 1, base);
            let i = self.0.partition_point(|other| other.key() < order.key());
            self.0.insert(i, order);
        }
        change
    }

    /// Lets go of what can no longer change; what it added to the books stays.
    pub(crate) fn close(&mut self, latest_day: Day, windows: &Windows) {
        let open_from = i64::from(latest_day.0) - windows.open_days();
        let n_old = self.0.partition_point(|order| i64::from(order.day.0) < open_from);
        let n_excess = self.0.len().saturating_sub(OPEN_ORDERS_MAX);
        self.0.drain(..n_old.max(n_excess));
    }
}

/// The orders of one id, by day. There is hardly ever more than one.
type Revised = SmallVec<[Order; 1]>;

/// Joins a completion into the earliest order within the window of edits, or begins another order.
fn complete(
    orders: &mut Revised,
    fingerprint: u64,
    day: Day,
    completion: Completion,
    windows: &Windows,
) {
    let known = orders.iter_mut().find(|order| within(order.day, day, windows.edit_days()));
    if let Some(order) = known {
        order.day = order.day.min(day);
        if order.completion.as_ref().is_none_or(|known| known.rank() < completion.rank()) {
            order.completion = Some(completion);
        }
    } else {
        orders.push(Order { fingerprint, day, completion: Some(completion), facts: Vec::new() });
        orders.sort_by_key(|order| order.day);
    }
}

/// Adds a fact to the earliest order within the window of refunds, else to those without an order.
fn place(orders: &mut Revised, fingerprint: u64, fact: Fact, windows: &Windows) {
    let home = orders.iter().position(|order| match order.completion {
        Some(_) => within(order.day, fact.day, windows.refund_days),
        None => order.day == fact.day,
    });
    let i = home.unwrap_or_else(|| {
        let facts = Vec::new();
        orders.push(Order { fingerprint, day: fact.day, completion: None, facts });
        orders.len() - 1
    });
    orders[i].add(fact);
}

fn within(day: Day, other: Day, days: i32) -> bool {
    day.0.abs_diff(other.0) <= u32::try_from(days).unwrap_or(0)
}

impl Order {
    pub(crate) fn key(&self) -> (Day, u64) {
        (self.day, self.fingerprint)
    }

    fn add(&mut self, fact: Fact) {
        match self.facts.binary_search_by_key(&fact.key(), Fact::key) {
            Ok(i) => self.facts[i].merge(fact),
            Err(i) => self.facts.insert(i, fact),
        }
        if self.facts.len() > FACTS_MAX {
            self.merge_oldest();
        }
    }

    /// Merges the oldest two facts of one kind, under the older day. Without such a pair nothing is
    /// merged: there are then no more facts than currencies with a configured rate.
    fn merge_oldest(&mut self) {
        let same = |i: usize| {
            let kind = self.facts[i].what.kind();
            (i + 1..self.facts.len()).find(|&k| self.facts[k].what.kind() == kind)
        };
        let pair = (0..self.facts.len()).find_map(|i| same(i).map(|k| (i, k)));
        if let Some((i, k)) = pair {
            let fact = self.facts.remove(k);
            self.facts[i].merge(fact);
        }
    }

    /// What came back, in the base currency. Refunds in the order's own currency are summed before
    /// they are converted at the order's rate, so that a refund in full, in whatever parts, nets to
    /// 0.
    fn refunds_minor(&self, base: Currency) -> i128 {
        let foreign = self.completion.as_ref().and_then(|completion| completion.foreign);
        let (mut own_minor, mut converted_minor) = (0, 0);
        for fact in &self.facts {
            match (fact.what, foreign) {
                (What::Cancelled, _) => {}
                (What::Refunded(refund), Some(Foreign { currency, .. }))
                    if refund.currency == Some(currency) =>
                {
                    own_minor += refund.original_minor;
                }
                (What::Refunded(refund), _) => converted_minor += refund.converted_minor,
            }
        }
        let own_converted_minor =
            foreign.map_or(0, |foreign| convert(own_minor, foreign.currency, base, foreign.rate));
        converted_minor + own_converted_minor
    }
}

impl Completion {
    /// Of two completions of an order the greater counts. What follows the event id only makes the
    /// order total, so that the same one wins however they arrive.
    fn rank(&self) -> (i64, &EventId, i128, Option<(Currency, Decimal)>) {
        let foreign = self.foreign.map(|foreign| (foreign.currency, foreign.rate));
        let stated_minor = self.foreign.map_or(self.amount_minor, |foreign| foreign.amount_minor);
        (self.at_ms, &self.event_id, stated_minor, foreign)
    }
}

impl Fact {
    pub(crate) fn key(&self) -> (Day, (bool, Option<Currency>)) {
        (self.day, self.what.kind())
    }

    fn merge(&mut self, other: Self) {
        if let (What::Refunded(refund), What::Refunded(more)) = (&mut self.what, other.what) {
            refund.original_minor += more.original_minor;
            refund.converted_minor += more.converted_minor;
        }
    }
}

impl What {
    /// Whether it is a refund, and in which currency (`None` for the base).
    fn kind(&self) -> (bool, Option<Currency>) {
        match self {
            Self::Cancelled => (false, None),
            Self::Refunded(refund) => (true, refund.currency),
        }
    }
}

impl Change {
    /// Counts what an order adds to the books, `sign` times (1 or -1).
    ///
    /// A cancelled order adds nothing. A refund beyond the amount is unmatched, as is one without
    /// completion, cancelled or not: nothing of it was ever counted that the cancel could undo. An
    /// order stands unless it is refunded in full; a free one always does.
    pub(crate) fn count(&mut self, order: &Order, sign: i8, base: Currency) {
        let money_sign = i128::from(sign);
        let refunds_minor = order.refunds_minor(base);
        let Some(completion) = &order.completion else {
            self.unmatched_minor += money_sign * refunds_minor;
            return;
        };
        if order.facts.iter().any(|fact| fact.what == What::Cancelled) {
            return;
        }
        let amount_minor = completion.amount_minor;
        let refunded_minor = refunds_minor.min(amount_minor);
        let stands = amount_minor == 0 || refunded_minor < amount_minor;
        self.n_orders += i64::from(sign);
        self.gross_minor += money_sign * amount_minor;
        self.refunded_minor += money_sign * refunded_minor;
        self.unmatched_minor += money_sign * (refunds_minor - refunded_minor);
        self.count_day(DayChange {
            day: order.day,
            net_minor: money_sign * (amount_minor - refunded_minor),
            n_orders: if stands { i64::from(sign) } else { 0 },
        });
    }

    fn count_day(&mut self, more: DayChange) {
        let known = self.days.iter_mut().find(|change| change.day == more.day);
        if let Some(change) = known {
            change.net_minor += more.net_minor;
            change.n_orders += more.n_orders;
        } else {
            self.days.push(more);
        }
    }
}

//! The state of one customer and how an event changes it: the day ledger, the orders still open to
//! change, totals, counters, and path state. Everything but the path state is the same in whatever
//! order events arrive, as long as they are no later than the windows allow.
//! It scores nothing, reads no clock and sends nothing: the pipeline calls [`Customer::apply`] and
//! keeps the result; `clv`, `churn` and `record` read it.

mod counters;
mod event_id;
mod ledger;
mod orders;
mod path;
#[cfg(test)]
mod tests;

use rust_decimal::Decimal;

use crate::calendar::{Calendar, Day};
use crate::event::{Body, Event, Intake};
use crate::money::{Amount, convert};

pub use counters::{Counters, Usage};
pub use ledger::{DAYS_KEPT_MAX, DayEntry, Ledger};
pub use path::{Driver, LastSignals, Latch, Latches, Path, SignalKind, Source, UsageLatch};

pub(crate) use event_id::EventId;
pub(crate) use ledger::Folded;
use orders::Revision;
pub(crate) use orders::{
    Completion, Fact, Foreign, OPEN_ORDERS_MAX, OpenOrders, Order, Refund, What,
};

/// How long what is known of a customer stays open to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Days between an order and a refund or cancel that still belongs to it.
    pub refund_days: i32,
    /// Days by which an event may come late and still find all it belongs to.
    pub lateness_days: i32,
    /// Accepted events among which a redelivery is recognised.
    pub dedup_events: usize,
    /// Days for which an erasure is remembered; the pipeline keeps them, not the customer.
    pub erasure_memory_days: i32,
}

impl Windows {
    /// Days between an order's first completion and an edit of it. Never shorter than the lateness:
    /// else what a late first completion leaves behind would depend on the order of arrival.
    fn edit_days(&self) -> i32 {
        self.refund_days.max(self.lateness_days)
    }

    /// Days behind the customer's latest day for which an order stays open.
    fn open_days(&self) -> i64 {
        i64::from(self.edit_days()) + i64::from(self.lateness_days)
    }
}

/// Everything that is known of one customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// Purchase days.
    pub ledger: Ledger,
    /// Sums over all orders.
    pub totals: Totals,
    /// Sums over everything else.
    pub counters: Counters,
    /// What depends on the order of arrival.
    pub path: Path,
    pub(crate) orders: OpenOrders,
    pub(crate) latest_day: Option<Day>,
}

/// Sums over all orders, in minor units of the base currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Orders completed and not cancelled, refunded in full or not.
    pub n_orders: u64,
    /// Their amounts. Always the ledger's net plus `refunded_minor`.
    pub gross_minor: i128,
    /// Refunds of these orders, each up to its amount.
    pub refunded_minor: i128,
    /// Refunds without an order to belong to, or beyond its amount.
    pub unmatched_minor: i128,
}

impl Totals {
    /// What is left of the gross after all refunds.
    pub fn net_revenue_minor(&self) -> i128 {
        self.gross_minor - self.refunded_minor - self.unmatched_minor
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was accepted before; nothing has changed.
    Duplicate,
    /// The customer has changed.
    Changed,
    /// It asks to forget the customer. Nothing has changed: the caller drops the whole state.
    Erased,
}

impl Customer {
    /// Takes in an event, unless `fingerprint` says that it was taken in before.
    ///
    /// # Panics
    /// If an amount is in a currency without rate: decoding with the same `intake` refuses those.
    pub fn apply(
        &mut self,
        event: &Event,
        fingerprint: u64,
        intake: &Intake,
        calendar: &Calendar,
        windows: &Windows,
    ) -> Applied {
        if self.path.remembers(fingerprint) {
            return Applied::Duplicate;
        }
        let day = calendar.day(event.occurred_at_ms);
        let counters = &mut self.counters;
        match &event.body {
            Body::OrderCompleted(amount) => {
                let revision = Revision::Completed(day, completion(event, *amount, intake));
                self.revise(event, revision, intake, windows);
            }
            Body::OrderRefunded(amount) => {
                let what = What::Refunded(refund(*amount, intake));
                self.revise(event, Revision::Changed(Fact { day, what }), intake, windows);
            }
            Body::OrderCancelled => {
                let revision = Revision::Changed(Fact { day, what: What::Cancelled });
                self.revise(event, revision, intake, windows);
            }
            Body::CartAbandoned => {
                counters.n_carts_abandoned = counters.n_carts_abandoned.saturating_add(1);
            }
            Body::UsageRecorded { thousandths } => counters.usage.record(day, *thousandths),
            Body::SupportContacted => {
                counters.n_support_contacts = counters.n_support_contacts.saturating_add(1);
            }
            Body::AcquisitionRecorded(amount) => {
                counters.acquisition_cost_minor +=
                    convert_at(rate(*amount, intake), *amount, intake);
            }
            Body::CustomerErased => return Applied::Erased,
        }
        self.path.remember(fingerprint, windows.dedup_events);
        let latest_day = self.latest_day.map_or(day, |latest| latest.max(day));
        self.latest_day = Some(latest_day);
        // After every event alike, also one that is no order: what is open depends on the latest
        // day alone, not on which event brought it.
        self.orders.close(latest_day, windows);
        Applied::Changed
    }

    fn revise(&mut self, event: &Event, revision: Revision, intake: &Intake, windows: &Windows) {
        // Nothing can refer to an order without an id, so it is counted and not kept open.
        let mut unnamed = OpenOrders::default();
        let (orders, fingerprint) = match event.order_fingerprint() {
            Some(fingerprint) => (&mut self.orders, fingerprint),
            None => (&mut unnamed, 0),
        };
        let change = orders.revise(fingerprint, revision, windows, intake.currency);
        self.totals.n_orders = self.totals.n_orders.saturating_add_signed(change.n_orders);
        self.totals.gross_minor += change.gross_minor;
        self.totals.refunded_minor += change.refunded_minor;
        self.totals.unmatched_minor += change.unmatched_minor;
        for change in &change.days {
            self.ledger.book(change.day, change.net_minor, change.n_orders);
        }
    }
}

fn completion(event: &Event, amount: Amount, intake: &Intake) -> Completion {
    let rate = rate(amount, intake);
    let foreign = Foreign {
        currency: amount.currency,
        amount_minor: amount.minor.into(),
        rate: rate.normalize(),
    };
    Completion {
        at_ms: event.occurred_at_ms,
        event_id: event.event_id.as_deref().map(EventId::from).unwrap_or_default(),
        amount_minor: convert_at(rate, amount, intake),
        foreign: (amount.currency != intake.currency).then_some(foreign),
    }
}

fn refund(amount: Amount, intake: &Intake) -> Refund {
    Refund {
        currency: (amount.currency != intake.currency).then_some(amount.currency),
        original_minor: amount.minor.into(),
        converted_minor: convert_at(rate(amount, intake), amount, intake),
    }
}

fn rate(amount: Amount, intake: &Intake) -> Decimal {
    let rate = intake.rates.rate(amount.currency, intake.currency);
    rate.expect("decoding refuses a currency without a rate")
}

fn convert_at(rate: Decimal, amount: Amount, intake: &Intake) -> i128 {
    convert(amount.minor.into(), amount.currency, intake.currency, rate)
}

//! What the input adds up to and what must have come of each record, counted from the JSON alone:
//! it shares nothing with the engine but the input. Called by `verdict` at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ERASURE_MEMORY_DAYS;
use super::workload::Stored;

/// Weeks of use that are kept, up to the last one with any.
const WEEKS_KEPT: i64 = 16;

/// The sums of one customer, in minor units and thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) n_orders: u64,
    pub(super) gross_minor: i64,
    pub(super) refunded_minor: i64,
    pub(super) n_carts: u64,
    pub(super) n_contacts: u64,
    pub(super) acquisition_minor: i64,
    pub(super) used_thousandths: u64,
}

/// What must be visible of one partition.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Customers who are known in the end.
    pub(super) customers: BTreeMap<String, Sums>,
    /// Those of them with an order that stands: silence must have lost them all.
    pub(super) lost: BTreeSet<String>,
    /// Offsets with a score of their own.
    pub(super) scored: BTreeSet<i64>,
    /// Offsets with a dead letter.
    pub(super) refused: BTreeSet<i64>,
}

#[derive(Debug, Default)]
struct Order {
    /// By time and event id: the greatest counts.
    completions: BTreeMap<(String, String), i64>,
    refunded_minor: i64,
    is_cancelled: bool,
}

#[derive(Debug, Default)]
struct Known {
    event_ids: BTreeSet<String>,
    orders: BTreeMap<String, Order>,
    sums: Sums,
    used_by_week: BTreeMap<i64, u64>,
}

impl Known {
    fn add(&mut self, event: &Value, event_id: String, at: String) {
        let sums = &mut self.sums;
        let order_id = event["order_id"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "cart.abandoned" => sums.n_carts += 1,
            "support.contacted" => sums.n_contacts += 1,
            "acquisition.recorded" => sums.acquisition_minor += minor(&event["cost"]),
            "usage.recorded" => {
                let thousandths = event["quantity"].as_f64().unwrap_or_default() * 1000.0;
                let thousandths: u64 = format!("{thousandths:.0}").parse().unwrap_or_default();
                *self.used_by_week.entry(day(&at).div_euclid(7)).or_default() += thousandths;
            }
            kind => {
                let order = self.orders.entry(order_id.to_owned()).or_default();
                match kind {
                    "order.completed" => {
                        order.completions.insert((at, event_id), minor(&event["amount"]));
                    }
                    "order.refunded" => order.refunded_minor += minor(&event["amount"]),
                    _ => order.is_cancelled = true,
                }
            }
        }
    }

    /// The sums, and whether an order stands.
    fn total(&self) -> (Sums, bool) {
        let mut sums = self.sums;
        let mut has_standing = false;
        for order in self.orders.values() {
            let amount = order.completions.last_key_value().map(|(_, minor)| *minor);
            match (amount, order.is_cancelled) {
                (Some(_), true) => {}
                (Some(amount), false) => {
                    sums.n_orders += 1;
                    sums.gross_minor += amount;
                    sums.refunded_minor += order.refunded_minor;
                    has_standing |= order.refunded_minor < amount;
                }
                (None, _) => sums.refunded_minor += order.refunded_minor,
            }
        }
        let last_week = self.used_by_week.keys().next_back().copied().unwrap_or_default();
        let kept = self.used_by_week.range(last_week - WEEKS_KEPT + 1..);
        sums.used_thousandths = kept.map(|(_, thousandths)| thousandths).sum();
        (sums, has_standing)
    }
}

fn minor(amount: &Value) -> i64 {
    amount.as_str().unwrap_or("0.00").replace('.', "").parse().unwrap_or(0)
}

/// Days from 1970-01-01 to the date with which an instant begins.
fn day(at: &str) -> i64 {
    let number = |part: Option<&str>| part.and_then(|it| it.parse::<i64>().ok()).unwrap_or(0);
    let mut parts = at.get(..10).unwrap_or_default().split('-');
    let (year, month, date) = (number(parts.next()), number(parts.next()), number(parts.next()));
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let is_leap = leaps(year) > leaps(year - 1);
    let lengths = [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: i64 = lengths.iter().take(usize::try_from(month - 1).unwrap_or(0)).sum();
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + months + date - 1
}

pub(super) fn recount(log: &[Stored]) -> Expected {
    let mut expected = Expected::default();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut erased: BTreeMap<String, String> = BTreeMap::new();
    let mut newest = String::new();
    for (offset, stored) in (0..).zip(log) {
        let event: Value = serde_json::from_slice(&stored.payload).unwrap_or(Value::Null);
        let text = |name: &str| event[name].as_str().unwrap_or("").to_owned();
        let (id, event_id, at) = (text("customer_id"), text("event_id"), text("occurred_at"));
        if event_id.is_empty() {
            // Whatever cannot be read has no event id here.
            expected.refused.insert(offset);
            continue;
        }
        if erased.get(&id).is_some_and(|erased_at| at <= *erased_at) {
            continue;
        }
        if known.get(&id).is_some_and(|known| known.event_ids.contains(&event_id)) {
            continue;
        }
        newest = newest.max(at.clone());
        erased.retain(|_, erased_at| day(erased_at) >= day(&newest) - ERASURE_MEMORY_DAYS);
        if text("type") == "customer.erased" {
            known.remove(&id);
            erased.insert(id, at);
            continue;
        }
        expected.scored.insert(offset);
        let of_customer = known.entry(id).or_default();
        of_customer.event_ids.insert(event_id.clone());
        of_customer.add(&event, event_id, at);
    }
    for (id, of_customer) in known {
        let (sums, has_standing) = of_customer.total();
        if has_standing {
            expected.lost.insert(id.clone());
        }
        expected.customers.insert(id, sums);
    }
    expected
}

//! What the input adds up to and what must have come of each record, counted from the JSON alone:
//! it shares nothing with the engine but the input. Called by `world` at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::workload::Stored;

/// The sums of one customer, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) n_orders: u64,
    pub(super) gross_minor: i64,
    pub(super) refunded_minor: i64,
}

/// What must be visible of one partition.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Customers who are known in the end.
    pub(super) customers: BTreeMap<String, Sums>,
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

fn minor(event: &Value) -> i64 {
    let text = event["amount"].as_str().unwrap_or("0.00");
    text.replace('.', "").parse().unwrap_or(0)
}

pub(super) fn recount(log: &[Stored]) -> Expected {
    let mut expected = Expected::default();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut erased: BTreeMap<String, String> = BTreeMap::new();
    let mut orders: BTreeMap<String, BTreeMap<String, Order>> = BTreeMap::new();
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
        if text("type") == "customer.erased" {
            orders.remove(&id);
            seen.remove(&id);
            erased.insert(id, at);
            continue;
        }
        if !seen.entry(id.clone()).or_default().insert(event_id.clone()) {
            continue;
        }
        expected.scored.insert(offset);
        let of_customer = orders.entry(id).or_default();
        let order = match text("type").as_str() {
            "cart.abandoned" => continue,
            _ => of_customer.entry(text("order_id")).or_default(),
        };
        match text("type").as_str() {
            "order.completed" => {
                order.completions.insert((at, event_id), minor(&event));
            }
            "order.refunded" => order.refunded_minor += minor(&event),
            _ => order.is_cancelled = true,
        }
    }
    for (id, of_customer) in orders {
        let mut sums = Sums::default();
        for order in of_customer.values() {
            let amount = order.completions.last_key_value().map(|(_, minor)| *minor);
            match (amount, order.is_cancelled) {
                (Some(_), true) => {}
                (Some(amount), false) => {
                    sums.n_orders += 1;
                    sums.gross_minor += amount;
                    sums.refunded_minor += order.refunded_minor;
                }
                (None, _) => sums.refunded_minor += order.refunded_minor,
            }
        }
        expected.customers.insert(id, sums);
    }
    expected
}

//! What a committed reader sees in the end, and whether it is what the recount says.

use std::collections::{BTreeMap, BTreeSet};

use super::Shop;
use super::broker::Broker;
use super::log::Entry;
use super::recount::{Expected, Sums, recount};
use crate::churn::Lifecycle;
use crate::customer::{SignalKind, Usage};
use crate::engine::Topic;
use crate::record::changelog::{Key, decode};
use crate::record::score::Score;
use crate::record::signal::Signal;
use crate::record::wire::Money;

fn minor(money: Money) -> i64 {
    i64::try_from(money.minor()).unwrap_or(-1)
}

/// All that a committed reader sees in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Visible {
    /// The last score of each customer.
    scores: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Scores that events made, by partition and offset.
    scored: BTreeMap<(i32, i64), u32>,
    pub(super) signals: BTreeMap<String, u32>,
    /// Customers of whom a signal has said that they left.
    lapses: BTreeSet<String>,
    /// Dead letters, by partition and offset.
    refused: BTreeMap<(i32, i64), u32>,
    /// The changelog as compaction leaves it.
    state: BTreeMap<(i32, Vec<u8>), Vec<u8>>,
}

impl Visible {
    /// What the broker shows.
    pub(super) fn of(broker: &Broker, shop: &Shop) -> Self {
        let mut visible = Self::default();
        for Entry { key, value, .. } in broker.committed((Topic::Scores, 0)) {
            let Some(value) = value else {
                visible.scores.remove(key);
                continue;
            };
            let score = Score::read(value).expect("a score is read back");
            if let Some(source) = score.source.filter(|_| score.cause == "event") {
                *visible.scored.entry((source.partition, source.offset)).or_default() += 1;
            }
            visible.scores.insert(key.clone(), value.clone());
        }
        for entry in broker.committed((Topic::Signals, 0)) {
            let signal = entry.value.as_deref().map(Signal::read);
            let signal = signal.expect("a signal has a value").expect("a signal is read back");
            if signal.kind == SignalKind::Lapse.as_str() {
                visible.lapses.insert(signal.customer_id.into_owned());
            }
            *visible.signals.entry(signal.signal_id.into_owned()).or_default() += 1;
        }
        for entry in broker.committed((Topic::DeadLetters, 0)) {
            let number = |name: &str| {
                let value = entry.headers.iter().find(|(header, _)| header == name);
                let value = value.and_then(|(_, value)| value.as_deref());
                let text = value.and_then(|value| str::from_utf8(value).ok()).unwrap_or("");
                text.parse::<i64>().unwrap_or(-1)
            };
            let partition = i32::try_from(number("lifetide.partition")).unwrap_or(-1);
            *visible.refused.entry((partition, number("lifetide.offset"))).or_default() += 1;
        }
        for partition in shop.logs.keys() {
            for Entry { key, value, .. } in broker.committed((Topic::Changelog, *partition)) {
                let place = (*partition, key.clone());
                match value {
                    Some(value) => visible.state.insert(place, value.clone()),
                    None => visible.state.remove(&place),
                };
            }
        }
        visible
    }

    /// The customers of a partition with their use and their questions, as the changelog has them.
    fn held(&self, partition: i32) -> impl Iterator<Item = (String, (u64, u64))> {
        let of_partition = (partition, Vec::new())..(partition + 1, Vec::new());
        self.state.range(of_partition).filter_map(|((_, key), value)| {
            let Ok(Key::Customer(id)) = Key::read(key) else { return None };
            let counters = decode(value).expect("a state is read back").counters;
            let usage = &counters.usage;
            let weeks = i32::try_from(Usage::WEEKS).unwrap_or(0);
            let latest = usage.latest_week().unwrap_or(0);
            let used = (latest - weeks + 1..=latest).map(|week| usage.in_week(week)).sum();
            Some((id.to_owned(), (used, counters.n_support_contacts)))
        })
    }

    /// Holds what is visible against the recount.
    pub(super) fn judge(&self, shop: &Shop) -> Result<(), String> {
        let mut answered = self.scored.clone();
        let mut refused = self.refused.clone();
        let mut scores = self.scores.clone();
        for (partition, log) in &shop.logs {
            let Expected { customers, lost, scored: events, refused: poison } = recount(log);
            for (name, expected, found) in
                [("score", events, &mut answered), ("dead letter", poison, &mut refused)]
            {
                for offset in expected {
                    let n_found = found.remove(&(*partition, offset)).unwrap_or(0);
                    if n_found != 1 {
                        return Err(format!(
                            "the record at offset {offset} of partition {partition} has {n_found} \
                             of its one {name}"
                        ));
                    }
                }
            }
            let held: Vec<String> = self.held(*partition).map(|(id, _)| id).collect();
            let known: Vec<String> = customers.keys().cloned().collect();
            if held != known {
                return Err(format!("partition {partition} holds {held:?}, the recount {known:?}"));
            }
            for (id, (used_thousandths, n_contacts)) in self.held(*partition) {
                let json = scores.remove(id.as_bytes());
                let json = json.ok_or_else(|| format!("customer {id} has no score"))?;
                let score = Score::read(&json)?;
                let history = &score.history;
                let found = Sums {
                    n_orders: history.orders,
                    gross_minor: minor(history.gross),
                    refunded_minor: minor(history.refunded),
                    n_carts: history.carts_abandoned,
                    n_contacts,
                    acquisition_minor: history.acquisition_cost.map_or(0, minor),
                    used_thousandths,
                };
                let sums = customers[&id];
                if found != sums {
                    return Err(format!("customer {id} has {found:?}, the recount {sums:?}"));
                }
                let has_left = score.segment.lifecycle == Lifecycle::Lapsed.as_str();
                if lost.contains(&id) && !(has_left && self.lapses.contains(&id)) {
                    return Err(format!("customer {id} was silent for decades and has not left"));
                }
            }
        }
        let n_signals_twice = self.signals.values().filter(|n| **n > 1).count();
        match (answered.is_empty(), refused.is_empty(), scores.is_empty(), n_signals_twice) {
            (true, true, true, 0) => Ok(()),
            _ => Err(format!(
                "too much is visible: scores of {answered:?}, dead letters of {refused:?}, \
                 customers {:?}, {n_signals_twice} signals twice",
                scores.keys()
            )),
        }
    }

    /// Where another run of the same input shows something else.
    pub(super) fn difference(&self, other: &Self) -> String {
        let part = if self.state != other.state {
            "state"
        } else if self.signals != other.signals {
            "signals"
        } else {
            "scores or dead letters"
        };
        format!("the {part} are not those of the same input in peace: {other:?}")
    }
}

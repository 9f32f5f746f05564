//! What happens in a simulated shop: orders, edits, refunds before and after their order, cancels,
//! carts, use, support, acquisition, erasures, redeliveries, late and future events, and what
//! cannot be read. From a seed and nothing else.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::engine::{Record, Rejected};
use crate::event::{Body, Envelope, Event, Intake, decode};
use crate::money::Amount;

/// 2024-01-01, noon.
const FIRST_MS: i64 = 1_704_110_400_000;
const DAY_MS: i64 = 86_400_000;
/// Everything happens within this time, which is shorter than the windows that [`super`] sets.
const DAYS: i64 = 300;

/// How far behind the one who asks to be forgotten an event of before may come: the memory of
/// erasures that [`super`] sets lies within, so that some are known and some are forgotten.
const AFTER_ERASURE_DAYS: u64 = 90;

/// A whole number below a bound.
fn whole(dice: &mut Dice, bound: i64) -> i64 {
    dice.below(bound.unsigned_abs()).cast_signed()
}

/// A record of the input topic.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) timestamp_ms: i64,
}

impl Stored {
    fn of(event: &Event, timestamp_ms: i64) -> Self {
        Self { key: event.customer_id.as_bytes().to_vec(), payload: event.encode(), timestamp_ms }
    }

    /// The record as the source hands it to the engine.
    pub(super) fn read(&self, offset: i64, intake: &Intake) -> Record {
        let (payload, key) = (Some(&*self.payload), Some(&*self.key));
        let timestamp_ms = Some(self.timestamp_ms);
        let decoded =
            decode(Envelope { payload, key, timestamp_ms }, intake).map_err(|rejection| {
                let (key, payload) = (Some(self.key.clone()), Some(self.payload.clone()));
                Box::new(Rejected { rejection, key, payload, headers: Vec::new() })
            });
        Record { offset, timestamp_ms, decoded }
    }
}

/// The logs of the input partitions.
pub(super) fn logs(
    dice: &mut Dice,
    n_partitions: i32,
    intake: &Intake,
) -> BTreeMap<i32, Vec<Stored>> {
    (0..n_partitions).map(|partition| (partition, log(dice, partition, intake))).collect()
}

fn log(dice: &mut Dice, partition: i32, intake: &Intake) -> Vec<Stored> {
    let mut arrivals: Vec<(i64, Stored)> = Vec::new();
    for number in 0..2 + dice.below(4) {
        let id = format!("{partition}-{number}");
        other(dice, &id, intake, &mut arrivals);
        use_weekly(dice, &id, &mut arrivals);
        let mut at_ms = FIRST_MS + (whole(dice, 60) * 24 + whole(dice, 10)) * DAY_MS / 24;
        let pace_days = 1 + whole(dice, 20);
        for n_order in 0..=dice.below(9) {
            at_ms += DAY_MS * (1 + whole(dice, 2) * pace_days) + whole(dice, 3_600_000);
            if at_ms > FIRST_MS + (DAYS - 40) * DAY_MS {
                break;
            }
            for (delay_days, event) in order(dice, &id, n_order, at_ms, intake) {
                arrive(dice, &event, delay_days, &mut arrivals);
            }
        }
    }
    for _ in 0..dice.below(4) {
        let arrives_ms = FIRST_MS + whole(dice, DAYS) * DAY_MS;
        arrivals.push((arrives_ms, poison(dice, partition, arrives_ms)));
    }
    arrivals.sort_by_key(|(arrives_ms, _)| *arrives_ms);
    arrivals.into_iter().map(|(_, stored)| stored).collect()
}

/// Some use the shop weekly for months, and then no more.
fn use_weekly(dice: &mut Dice, id: &str, arrivals: &mut Vec<(i64, Stored)>) {
    if !dice.chance(0.2) {
        return;
    }
    let from_ms = FIRST_MS + whole(dice, 60) * DAY_MS;
    for week in 0..9 + whole(dice, 6) {
        let event = Event {
            customer_id: id.into(),
            occurred_at_ms: from_ms + week * 7 * DAY_MS,
            event_id: Some(format!("{id}-used-{week}").into()),
            order_id: None,
            channel: None,
            body: Body::UsageRecorded { thousandths: 6000 + dice.below(9000) },
        };
        let late_days = if dice.chance(0.2) { whole(dice, 12) } else { 0 };
        arrive(dice, &event, late_days, arrivals);
    }
}

/// An event comes in, now and then twice.
fn arrive(dice: &mut Dice, event: &Event, delay_days: i64, arrivals: &mut Vec<(i64, Stored)>) {
    let arrives_ms = event.occurred_at_ms + delay_days * DAY_MS;
    let stored = Stored::of(event, arrives_ms);
    if dice.chance(0.1) {
        arrivals.push((arrives_ms + whole(dice, 9) * DAY_MS, stored.clone()));
    }
    arrivals.push((arrives_ms, stored));
}

/// What else is heard of a customer: use, questions, what it cost to win them, and, from a few, the
/// wish to be forgotten, with an event of before that comes after it.
fn other(dice: &mut Dice, id: &str, intake: &Intake, arrivals: &mut Vec<(i64, Stored)>) {
    let event = |kind: &str, at_ms: i64, body| Event {
        customer_id: id.into(),
        occurred_at_ms: at_ms,
        event_id: Some(format!("{id}-{kind}-{at_ms}").into()),
        order_id: None,
        channel: None,
        body,
    };
    for _ in 0..dice.below(5) {
        let at_ms = FIRST_MS + whole(dice, DAYS) * DAY_MS;
        let minor = 100 + whole(dice, 3000);
        let body = match dice.below(6) {
            0..=2 => Body::UsageRecorded { thousandths: 1 + dice.below(5000) },
            3 => Body::SupportContacted,
            4 => Body::CartAbandoned,
            _ => Body::AcquisitionRecorded(Amount { minor, currency: intake.currency }),
        };
        arrive(dice, &event("other", at_ms, body), 0, arrivals);
    }
    if dice.chance(0.15) {
        let at_ms = FIRST_MS + (20 + whole(dice, DAYS - 20)) * DAY_MS;
        arrive(dice, &event("erased", at_ms, Body::CustomerErased), 0, arrivals);
        let before = event("before", at_ms - whole(dice, 9) * DAY_MS, Body::SupportContacted);
        let delay_days = dice.below(AFTER_ERASURE_DAYS).cast_signed();
        arrive(dice, &before, delay_days, arrivals);
    }
}

/// An order with what becomes of it, each with the days by which it arrives late.
fn order(
    dice: &mut Dice,
    id: &str,
    n_order: u64,
    at_ms: i64,
    intake: &Intake,
) -> Vec<(i64, Event)> {
    let minor = 500 + whole(dice, 20_000);
    let amount = |minor| Amount { minor, currency: intake.currency };
    let event = |kind: &str, days: i64, body| Event {
        customer_id: id.into(),
        occurred_at_ms: at_ms + days * DAY_MS,
        event_id: Some(format!("{id}-{n_order}-{kind}").into()),
        order_id: Some(format!("o{n_order}").into()),
        channel: None,
        body,
    };
    let late_days = if dice.chance(0.2) { whole(dice, 12) } else { 0 };
    let mut events = vec![(late_days, event("bought", 0, Body::OrderCompleted(amount(minor))))];
    match dice.below(14) {
        0 => events.push((0, event("edited", 1, Body::OrderCompleted(amount(minor / 2 + 1))))),
        1 => events.push((0, event("all-back", 2, Body::OrderRefunded(amount(minor))))),
        2 | 3 => {
            events.push((0, event("part-back", 3, Body::OrderRefunded(amount(minor / 3 + 1)))));
        }
        4 => events.push((0, event("too-much", 4, Body::OrderRefunded(amount(minor * 2))))),
        5 => events.push((0, event("cancelled", 2, Body::OrderCancelled))),
        _ => {}
    }
    events
}

fn poison(dice: &mut Dice, partition: i32, at_ms: i64) -> Stored {
    let key = format!("{partition}-0").into_bytes();
    let payload: &[u8] = match dice.below(3) {
        0 => b"\xff{",
        1 => br#"{"type":"order.completed"}"#,
        _ => br#"{"type":"cart.abandoned","customer_id":"x","occurred_at":"2199-01-01T00:00:00Z"}"#,
    };
    Stored { key, payload: payload.to_vec(), timestamp_ms: at_ms }
}

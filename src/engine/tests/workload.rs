//! Events of a shop over two years, from a seed: customers who buy in a rhythm of their own, slow
//! down, stop and return; refunds before their orders, edits, cancels, duplicates, late events,
//! erasures and what cannot be read.

use jiff::tz::TimeZone;

use super::source::{Logs, Stored};
use crate::calendar::{Calendar, Day};
use crate::churn::testing::{DAY_MS, Random, usd};
use crate::customer::Windows;
use crate::event::{Body, Event, Intake};
use crate::money::{Amount, Currency, Rates};
use crate::pipeline::{Rules, testing};

pub(super) const GROUND_PARTITIONS: i32 = 4;

/// 2024-01-01.
pub(super) const FIRST_DAY: i32 = 19_723;

pub(super) fn rules(erasure_memory_days: i32) -> Rules {
    let rates = [(eur(), "1.0833".parse().unwrap())].into();
    let future_skew_max_ms = Some(DAY_MS);
    Rules {
        calendar: Calendar::new(TimeZone::get("Europe/Berlin").unwrap()),
        intake: Intake { currency: usd(), rates: Rates(rates), future_skew_max_ms },
        windows: Windows {
            refund_days: 180,
            lateness_days: 30,
            dedup_events: 8,
            erasure_memory_days,
        },
        ..testing::rules()
    }
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// Noon, UTC, of a day of the workload.
pub(super) fn noon_ms(day: i32) -> i64 {
    i64::from(FIRST_DAY + day) * DAY_MS + DAY_MS / 2
}

/// A day of the workload.
pub(super) fn day(day: i32) -> Day {
    Day(FIRST_DAY + day)
}

/// An event without any id.
pub(super) fn event(id: &str, at_ms: i64, body: Body) -> Event {
    Event {
        customer_id: id.into(),
        occurred_at_ms: at_ms,
        event_id: None,
        order_id: None,
        channel: None,
        body,
    }
}

/// An order at noon.
pub(super) fn order(id: &str, day: i32, minor: i64) -> Event {
    event(id, noon_ms(day), Body::OrderCompleted(Amount { minor, currency: usd() }))
}

/// The partition in which a customer of these tests lies: ids begin with its digit.
pub(super) fn customer_partition(id: &str) -> i32 {
    id.split('-').next().unwrap().parse().unwrap()
}

/// Events in the order given, each when it occurs, as the log of partition 0.
pub(super) fn log(events: &[Event]) -> Logs {
    let stored = (0..).zip(events);
    let stored = stored.map(|(offset, event)| Stored::of(event, offset, event.occurred_at_ms));
    [(0, stored.collect())].into()
}

/// How much happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shop {
    pub(super) seed: u64,
    pub(super) n_partitions: i32,
    /// In each partition.
    pub(super) n_customers: i32,
    pub(super) n_days: i32,
    /// Whether everything arrives when it occurs, in the order of time.
    pub(super) is_in_order: bool,
}

impl Shop {
    pub(super) fn logs(&self) -> Logs {
        (0..self.n_partitions).map(|partition| (partition, self.log(partition))).collect()
    }

    fn log(&self, partition: i32) -> Vec<Stored> {
        let mut arrivals: Vec<(i64, Stored)> = Vec::new();
        let seed = self.seed * 1000 + u64::try_from(partition).unwrap();
        for customer in 0..self.n_customers {
            let random = Random(seed * 1000 + u64::try_from(customer).unwrap());
            let id = format!("{partition}-{customer}");
            let mut life = Life { shop: *self, random, id, n_orders: 0, events: Vec::new() };
            life.live();
            let stored = life.events.into_iter();
            arrivals.extend(stored.map(|(at_ms, event)| (at_ms, Stored::of(&event, 0, at_ms))));
        }
        let mut random = Random(seed);
        for day in (0..self.n_days).step_by(30) {
            let at_ms = noon_ms(day + random.below(30));
            arrivals.push((at_ms, poison(partition, random.below(4), at_ms)));
        }
        arrivals.sort_by_key(|(at_ms, _)| *at_ms);
        let mut offset = 0;
        let place = |(_, stored): (i64, Stored)| {
            // The markers of transactions and compaction leave gaps in the offsets of a partition.
            offset += 1 + i64::from(random.below(8) / 7);
            Stored { offset, ..stored }
        };
        arrivals.into_iter().map(place).collect()
    }
}

fn poison(partition: i32, kind: i32, at_ms: i64) -> Stored {
    let id = format!("{partition}-0");
    let future = event(&id, at_ms + 4000 * DAY_MS, Body::CartAbandoned);
    let mut stored = Stored::of(&future, 0, at_ms);
    match kind {
        0 => stored.payload = b"\xff{".to_vec(),
        1 => stored.payload = br#"{"type":"order.completed"}"#.to_vec(),
        2 => stored.key = b"someone".to_vec(),
        _ => {}
    }
    stored
}

/// One customer's events as they arrive.
struct Life {
    shop: Shop,
    random: Random,
    id: String,
    n_orders: i32,
    events: Vec<(i64, Event)>,
}

impl Life {
    fn live(&mut self) {
        let n_days = self.shop.n_days;
        let rhythm_days = [5, 9, 16, 30][usize::try_from(self.random.below(4)).unwrap()];
        let mut level_minor = i64::from(1000 + self.random.below(30_000));
        let mut day = self.random.below(n_days / 3);
        let mut stops_on = day + self.random.below(n_days);
        let mut erased_on =
            (self.random.below(5) == 0).then(|| n_days / 4 + self.random.below(n_days));
        if self.random.below(4) == 0 {
            let cost = Amount { minor: 1500, currency: eur() };
            self.push(day, 0, event(&self.id, noon_ms(day), Body::AcquisitionRecorded(cost)));
        }
        while day < n_days {
            if erased_on.take_if(|on| *on <= day).is_some() {
                self.erase(day);
                day += rhythm_days;
            }
            self.buy(day, level_minor);
            if self.random.below(12) == 0 {
                level_minor = level_minor / 3 + 100;
            }
            day += 1 + self.random.below(2 * rhythm_days);
            if day > stops_on {
                day += 150 + self.random.below(250);
                stops_on = day + self.random.below(n_days);
            }
        }
    }

    fn erase(&mut self, day: i32) {
        self.push(day, 0, event(&self.id, noon_ms(day), Body::CustomerErased));
        // What happened before the erasure and is told after it.
        if !self.shop.is_in_order {
            self.push(day, 9, event(&self.id, noon_ms(day - 1), Body::CartAbandoned));
        }
    }

    fn buy(&mut self, day: i32, level_minor: i64) {
        self.n_orders += 1;
        let currency = if self.random.below(10) == 0 { eur() } else { usd() };
        let minor = level_minor / 2 + i64::from(self.random.below(20_000)) * level_minor / 20_000;
        let amount = |minor| Amount { minor, currency };
        let mut bought = event(&self.id, noon_ms(day), Body::OrderCompleted(amount(minor)));
        bought.occurred_at_ms += i64::from(self.random.below(36_000_000));
        let has_id = self.random.below(8) > 0;
        bought.order_id = has_id.then(|| format!("o{}", self.n_orders).into());
        let late_days = if self.random.below(8) == 0 { self.random.below(25) } else { 0 };
        if self.random.below(2) == 0 {
            bought.event_id = Some(format!("e{}", self.n_orders).into());
        }
        self.push(day, late_days, bought.clone());
        let days = self.random.below(4);
        match self.random.below(16) {
            0 => self.push(day, late_days + days, bought),
            1 => self.follow(&bought, Body::OrderCompleted(amount(minor / 2)), 1),
            2 | 3 => self.follow(&bought, Body::OrderRefunded(amount(minor)), 4),
            4 => self.follow(&bought, Body::OrderRefunded(amount(minor / 3 + 1)), 9),
            5 if has_id => self.follow(&bought, Body::OrderCancelled, 2),
            6 => self.follow(&bought, Body::CartAbandoned, 0),
            7 => self.follow(&bought, Body::UsageRecorded { thousandths: 2500 }, 0),
            8 => self.follow(&bought, Body::SupportContacted, 0),
            _ => {}
        }
    }

    /// What comes days after an order, perhaps before the order itself is told.
    fn follow(&mut self, bought: &Event, body: Body, days: i32) {
        let occurred_at_ms = bought.occurred_at_ms + i64::from(days) * DAY_MS + 1;
        let event = Event { occurred_at_ms, event_id: None, body, ..bought.clone() };
        self.events.push((occurred_at_ms, event));
    }

    fn push(&mut self, day: i32, late_days: i32, event: Event) {
        let late_days = if self.shop.is_in_order { 0 } else { late_days };
        let at_ms = noon_ms(day + late_days).max(event.occurred_at_ms);
        self.events.push((at_ms + i64::from(late_days), event));
    }
}

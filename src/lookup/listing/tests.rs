//! Tests of lists of a real store. `LIFETIDE_LIST_CUSTOMERS` sets how many the measurement has.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::calendar::Day;
use crate::churn::testing::{tiers, usd};
use crate::churn::{Lifecycle, SignalKind};
use crate::customer::{Customer, DayEntry, Source};
use crate::dice::Dice;
use crate::event::{Body, Event};
use crate::http::Selection;
use crate::lifecycle::LaneState;
use crate::money::Amount;
use crate::pipeline::testing::plan;
use crate::pipeline::{Clock, Plan, Raise};
use crate::record::wire::Estimate;
use crate::store::testing::{few_shards, n_done_during};

const DAY_MS: i64 = 86_400_000;

fn lister() -> Lister {
    let lanes = Lanes::new(1, Duration::from_mins(1));
    lanes.lane(0).set(LaneState::Ready);
    let (store, shutdown) = (Arc::default(), Shutdown::new());
    Lister { store, lanes, n_tiers: tiers().names().count(), shutdown }
}

/// A customer with up to five purchase days, as of the last one or some time after it.
fn customer(dice: &mut Dice) -> Customer {
    let mut customer = Customer::default();
    let mut day = Day(19_000);
    for _ in 0..=dice.below(4) {
        let net_minor = 4000 + i128::from(dice.below(20_000));
        customer.ledger.days.push(DayEntry { day, net_minor, n_orders: 1 });
        customer.latest_day = Some(day);
        day = day.plus(1 + i32::try_from(dice.below(60)).unwrap());
    }
    let silent_days = i64::try_from(dice.below(300)).unwrap();
    customer.path.as_of_ms = (i64::from(day.0) + silent_days) * DAY_MS;
    customer
}

fn fill(lister: &Lister, plan: &Plan, n_customers: u32) -> BTreeMap<String, Customer> {
    let mut dice = Dice::new(5, 1);
    let partitions = [(); 3].map(|()| few_shards());
    let mut all = BTreeMap::new();
    for n in 0..n_customers {
        let (id, value) = (format!("{n:08}"), changelog::encode(&customer(&mut dice)));
        partitions[n as usize % 3].put(&id, None, &value);
        all.insert(id, changelog::decode(&value).unwrap());
    }
    for (partition, customers) in (0..).zip(partitions) {
        customers.set_plan(plan.clone());
        lister.store.insert(partition, customers);
    }
    all
}

#[test]
fn a_list_counts_everybody_and_orders_them_by_what_look_ups_would_find() {
    for name in [None, Some("mbg-nbd")] {
        let (lister, plan) = (lister(), plan(name));
        let all = fill(&lister, &plan, 900);
        let pipeline = plan.pipeline();
        let list = lister.make();
        assert!(!list.is_partial);
        for lifecycle in Lifecycle::ALL {
            let of = Selection { tiers: Vec::new(), lifecycles: vec![lifecycle] };
            let page = list.page(&of, None, 900);
            let n_expected = all.values().filter(|it| pipeline.stake(it).lifecycle == lifecycle);
            assert_eq!(page.total, n_expected.count() as u64, "{lifecycle:?}");
            for (place, stake) in page.customers {
                let expect = pipeline.stake(&all[&*place.customer_id]);
                let value = Estimate::of(expect.value_at_risk).unwrap().value();
                assert_eq!(stake.value_at_risk.to_bits(), value.to_bits());
                assert_eq!((stake.tier, stake.p_alive), (expect.tier, expect.p_alive));
            }
        }
        let page = list.page(&Selection::default(), None, 900);
        assert_eq!((page.total, page.customers.len()), (900, 900));
        assert!(page.customers[0].1.value_at_risk > 1.0);
    }
}

#[test]
fn a_list_says_that_it_is_partial_while_customers_are_read_back_or_the_process_stops() {
    let lister = lister();
    fill(&lister, &plan(None), 30);
    lister.lanes.lane(0).set(LaneState::Restoring);
    assert!(lister.make().is_partial);
    lister.lanes.lane(0).set(LaneState::Ready);
    assert!(!lister.make().is_partial);
    lister.shutdown.request();
    let broken_off = lister.make();
    assert!(broken_off.is_partial);
    assert_eq!(broken_off.page(&Selection::default(), None, 1).total, 0);
}

/// What a customer's signals say, in the order in which they were raised.
struct Signals<'a> {
    pipeline: &'a Pipeline,
    /// Kinds of which the list said the same.
    agreed: Vec<SignalKind>,
}

impl Signals<'_> {
    fn compare(&mut self, customer: &Customer, raise: &Raise) {
        let stake = self.pipeline.stake(customer);
        for ready in &raise.signals {
            let expect = match ready.kind {
                SignalKind::Lapse => Lifecycle::Lapsed,
                SignalKind::SpendDecline => Lifecycle::Declining,
                SignalKind::UsageDecline | SignalKind::Recovered | SignalKind::HighValueReached => {
                    continue;
                }
            };
            if stake.lifecycle == expect {
                let signal: Value = serde_json::from_slice(&ready.json).unwrap();
                let said = signal["value_at_risk"].as_f64().unwrap();
                assert!((said - stake.value_at_risk).abs() <= 1e-6 * said, "{said} {stake:?}");
                assert!(said > 0.0);
                self.agreed.push(ready.kind);
            }
        }
    }
}

/// Smaller and smaller baskets, then silence.
#[test]
fn the_value_at_risk_is_that_of_the_signal_raised_at_the_same_moment() {
    for name in [None, Some("bg-nbd"), Some("mbg-nbd")] {
        let (mut stepping, asked) = (plan(name).pipeline(), plan(name).pipeline());
        let mut signals = Signals { pipeline: &asked, agreed: Vec::new() };
        let mut customer = Customer::default();
        let mut due = None;
        for week in 0..60i64 {
            let at_ms = (19_000 + week * 7) * DAY_MS;
            let minor = if week < 40 { 9_000 } else { 900 };
            let event = Event {
                customer_id: "c".into(),
                occurred_at_ms: at_ms,
                event_id: None,
                order_id: None,
                channel: None,
                body: Body::OrderCompleted(Amount { minor, currency: usd() }),
            };
            let source = Source { partition: 0, offset: week };
            let raise = stepping.apply(&mut customer, &event, source, at_ms).unwrap();
            signals.compare(&customer, &raise);
            due = raise.due;
        }
        while let Some(on) = due.filter(|on| on.0 < 21_000) {
            let due_ms = i64::from(on.0) * DAY_MS;
            let raise = stepping.fire("c", &mut customer, due_ms, due_ms, Clock::Event);
            signals.compare(&customer, &raise);
            due = raise.due;
        }
        assert_eq!(signals.agreed, [SignalKind::SpendDecline, SignalKind::Lapse], "{name:?}");
    }
}

#[test]
fn a_list_of_many_customers_is_made_without_holding_the_store() {
    let n_customers = std::env::var("LIFETIDE_LIST_CUSTOMERS").ok();
    let n_customers: u32 = n_customers.map_or(20_000, |n| n.parse().unwrap());
    let lister = lister();
    let all = fill(&lister, &plan(Some("mbg-nbd")), n_customers);
    let mut values: Vec<_> = all.iter().map(|(id, it)| (id, changelog::encode(it))).collect();
    values.truncate(1000);
    let mut puts = values.iter().zip(lister.store.owned().into_iter().cycle()).cycle();
    let put = || {
        let ((id, value), partition) = puts.next().unwrap();
        lister.store.customers(partition).unwrap().put(id, None, value);
    };
    let began = Instant::now();
    let (n_puts, list) = n_done_during(put, || lister.make());
    let made = began.elapsed();
    let began = Instant::now();
    let page = list.page(&Selection::default(), None, 200);
    let paged = began.elapsed();
    println!("{n_customers} customers: listed in {made:?}, a page in {paged:?}, {n_puts} puts");
    assert_eq!(page.total, u64::from(n_customers));
    assert!(n_puts > u64::from(n_customers / 2), "{n_puts} puts in {made:?}");
    assert!(paged < Duration::from_millis(500), "{paged:?}");
}

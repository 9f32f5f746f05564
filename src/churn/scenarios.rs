//! Simulated customers judged as in operation, events in order and timers on the day they fall due,
//! against the watch by which simulations judge many: the rates that `calibration` measures are
//! those of operation.

use crate::customer::{Driver, Latch, SignalKind};

use super::channels::minor_as_f64;
use super::testing::{DAY_MS, Random, Run, Shop, day};
use super::{Raised, Watch};

const DAYS: i32 = 130 * 7;
const CHANGE: i32 = 78 * 7;

/// What happens to a customer in week 78: factors on orders and on baskets.
#[derive(Clone, Copy)]
struct Change {
    orders: f64,
    basket: f64,
}

const NONE: Change = Change { orders: 1.0, basket: 1.0 };

#[expect(clippy::cast_possible_truncation, reason = "amounts of a few thousand minor units")]
fn minor_of(amount: f64) -> i64 {
    amount.max(1.0) as i64
}

fn shop(rate_weekly: f64) -> Shop {
    let mut shop = Shop::new(None);
    shop.settings.cooldown_days = 0;
    shop.settings.prior.alpha_weeks = 2.0 / rate_weekly;
    shop
}

/// The watch of the simulations against operation: the same purchases, judged by events and timers
/// with a ledger folded anew each time, raise the same alarms of the same drivers on the same days.
#[test]
fn a_watch_raises_what_operation_raises() {
    let mut random = Random(4);
    let mut n_alarms = 0;
    for case in 0..150 {
        let rate_weekly = [0.1, 0.5, 1.5][case % 3];
        let change =
            [NONE, Change { orders: 0.4, basket: 1.0 }, Change { orders: 1.0, basket: 0.4 }];
        let change = change[case / 3 % 3];
        let mut operation = Run::new(shop(rate_weekly));
        operation.shop.settings.false_alarms_per_customer_year = 1.0;
        let rules = operation.shop.rules();
        let mut watch = Watch::new(day(0), &rules.parameters);
        operation.order(0, 4000);
        let (mut seen, mut watched) = (Vec::new(), Vec::new());
        for today in 1..DAYS {
            let was = operation.customer.path.latches;
            operation.silent_until(today);
            watched.extend(watch.silent_until(day(today)));
            let (orders, size) =
                if today < CHANGE { (1.0, 1.0) } else { (change.orders, change.basket) };
            if random.unit() < rate_weekly / 7.0 * orders {
                let minor = minor_of(4000.0 * size * random.gamma(2.78));
                operation.order(today, minor);
                watched.extend(watch.purchase(day(today), minor_as_f64(minor.into())));
            }
            let now = operation.customer.path.latches;
            let raised = |was: Option<Latch>, now: Option<Latch>| {
                now.filter(|now| was.is_none_or(|was| was.raised_on != now.raised_on))
            };
            seen.extend(raised(was.orders, now.orders).map(|latch| (latch, true)));
            seen.extend(raised(was.basket, now.basket).map(|latch| (latch, false)));
        }
        let told = |driver| if driver == Driver::Silence { Driver::Frequency } else { driver };
        let seen: Vec<_> =
            seen.iter().map(|(l, is_orders)| (l.raised_on, *is_orders, told(l.driver))).collect();
        let watched: Vec<_> = watched.iter().map(|a| (a.on, a.is_of_orders, a.driver)).collect();
        assert_eq!(seen, watched, "case {case}");
        n_alarms += seen.len();
    }
    assert!(n_alarms > 100, "{n_alarms}");
}

/// The week in which orders stop; up to then there is one a week, on any day.
const LAST_ORDERED: i32 = 64;

/// A dozen units a week, a third of it from week 52 on.
fn shrinks(week: i32) -> u32 {
    let usual = [12, 9, 14, 11, 13][week.rem_euclid(5).unsigned_abs() as usize];
    if week < 52 { usual } else { usual / 3 }
}

/// Somebody who orders, and uses so many units week by week.
fn lived(units: impl Fn(i32) -> u32, seed: u64, is_watched_daily: bool) -> Run {
    let mut random = Random(seed);
    let mut run = Run::new(shop(1.0));
    for week in 0..104 {
        let (ordered_on, used_on) = (random.below(7), random.below(7));
        for day in 0..7 {
            let today = week * 7 + day;
            if is_watched_daily {
                run.silent_until(today);
            }
            if day == ordered_on && week < LAST_ORDERED {
                run.order(today, 4000);
            }
            if day == used_on && units(week) > 0 {
                run.used(today, units(week));
            }
        }
    }
    run.silent_until(104 * 7);
    run
}

fn first_on(run: &Run, kinds: &[SignalKind]) -> Option<i32> {
    let is_asked = |raised: &&Raised| kinds.contains(&raised.kind);
    let first = run.raised.iter().find(is_asked)?;
    i32::try_from(first.raised_at_ms / DAY_MS).ok()
}

/// The pattern of those who leave a subscription: they use less weeks before they spend less.
#[test]
fn shrinking_use_is_signalled_weeks_before_spending_falls() {
    for seed in 0..40 {
        let run = lived(shrinks, seed, false);
        let usage_on = first_on(&run, &[SignalKind::UsageDecline]).unwrap();
        assert!((54 * 7..=58 * 7).contains(&usage_on), "seed {seed}: {usage_on}");
        let spend_on = first_on(&run, &[SignalKind::SpendDecline, SignalKind::Lapse]).unwrap();
        assert!(spend_on >= usage_on + 8 * 7, "seed {seed}: {usage_on} {spend_on}");
    }
}

#[test]
fn steady_use_and_no_use_at_all_give_no_usage_decline() {
    for seed in 0..20 {
        for run in [lived(|week| shrinks(week % 52), seed, false), lived(|_| 0, seed, false)] {
            assert_eq!(first_on(&run, &[SignalKind::UsageDecline]), None, "seed {seed}");
            assert!(first_on(&run, &[SignalKind::Lapse]).is_some(), "seed {seed}");
        }
    }
}

/// A clock that moves every day fires the timers that events fire when they come: the same signals
/// and the same state.
#[test]
fn a_clock_between_the_events_changes_nothing() {
    for seed in 0..20 {
        let units = |week| if week < 60 { shrinks(week % 52) } else { 0 };
        let (by_events, by_clock) = (lived(units, seed, false), lived(units, seed, true));
        assert_eq!(by_events.log(), by_clock.log(), "seed {seed}");
        assert_eq!(by_events.customer, by_clock.customer, "seed {seed}");
        assert!(by_events.customer.path.latches.usage.is_some());
    }
}

/// Use that comes up to four weeks late and out of order adds up to the same customer, by whose
/// state alone the next timer is set.
#[test]
fn late_use_in_any_order_gives_the_same_timer() {
    let usage = |weeks: &[i32]| {
        let mut run = Run::new(shop(1.0));
        run.order(0, 4000);
        for week in weeks {
            run.used(week * 7 + 2, shrinks(*week));
        }
        (run.customer.counters, run.due)
    };
    let in_order: Vec<i32> = (10..26).collect();
    let mut mixed = in_order.clone();
    mixed.chunks_mut(4).for_each(<[i32]>::reverse);
    mixed.swap(12, 15);
    assert_eq!(usage(&in_order), usage(&mixed));
    assert!(usage(&in_order).1.is_some());
}

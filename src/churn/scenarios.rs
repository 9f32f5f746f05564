//! Simulated customers judged as in operation, events in order and timers on the day they fall due,
//! against the watch by which simulations judge many: the rates that `calibration` measures are
//! those of operation.

use crate::customer::{Driver, Latch};

use super::Watch;
use super::channels::minor_as_f64;
use super::testing::{Random, Run, Shop, day};

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

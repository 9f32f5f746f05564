//! Simulated customers with planted changes, judged as in operation: events in order, timers on the
//! day they fall due. What is asserted are the rates that the design promises.

use crate::customer::Driver;

use super::testing::{Random, Run, Shop, day};

const DAYS: i32 = 130 * 7;
const COUNTED_FROM: i32 = 26 * 7;
const CHANGE: i32 = 78 * 7;

/// What happens to a customer in week 78: factors on orders and on baskets.
#[derive(Clone, Copy)]
struct Change {
    orders: f64,
    basket: f64,
}

const NONE: Change = Change { orders: 1.0, basket: 1.0 };

/// One alarm of decline.
struct Alarm {
    day: i32,
    driver: Driver,
    is_basket: bool,
}

struct Life {
    alarms: Vec<Alarm>,
    n_gated_days: u32,
    is_gated_at_change: bool,
    is_alarmed_at_change: bool,
}

fn live(rate_weekly: f64, change: Change, random: &mut Random) -> Life {
    let basket = 4000.0 * libm::exp(0.5 * random.normal());
    let mut run = Run::new(shop(rate_weekly));
    let mut life = Life {
        alarms: Vec::new(),
        n_gated_days: 0,
        is_gated_at_change: false,
        is_alarmed_at_change: false,
    };
    for today in 0..DAYS {
        let was = run.customer.path.latches;
        run.silent_until(today);
        let (orders, size) =
            if today < CHANGE { (1.0, 1.0) } else { (change.orders, change.basket) };
        if today == 0 || random.unit() < rate_weekly / 7.0 * orders {
            run.order(today, minor_of(basket * size * random.gamma(2.78)));
        }
        let now = run.customer.path.latches;
        for (was, now, is_basket) in
            [(was.orders, now.orders, false), (was.basket, now.basket, true)]
        {
            if let (None, Some(latch)) = (was, now) {
                life.alarms.push(Alarm { day: today, driver: latch.driver, is_basket });
            }
        }
        let is_gated = run.customer.ledger.n_days_until(day(today - 56)) >= 3;
        life.n_gated_days += u32::from(is_gated && today >= COUNTED_FROM);
        if today + 1 == CHANGE {
            life.is_gated_at_change = is_gated;
            life.is_alarmed_at_change = now.orders.is_some() || now.basket.is_some();
        }
    }
    life
}

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

fn share(part: usize, whole: usize) -> f64 {
    f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
}

#[test]
fn false_alarms_stay_near_the_promised_rate() {
    let mut random = Random(1);
    let (mut n_orders, mut n_basket, mut n_gated_days) = (0, 0, 0);
    for _ in 0..1500 {
        let life = live(0.5, NONE, &mut random);
        let counted = life.alarms.iter().filter(|alarm| alarm.day >= COUNTED_FROM);
        let (basket, orders): (Vec<&Alarm>, Vec<&Alarm>) = counted.partition(|a| a.is_basket);
        n_orders += orders.len();
        n_basket += basket.len();
        n_gated_days += life.n_gated_days;
    }
    let years = f64::from(n_gated_days) / 365.25;
    let per_year = |n: usize| f64::from(u32::try_from(n).unwrap()) / years;
    let rate = per_year(n_orders + n_basket);
    assert!((0.25 / 1.5..0.25 * 1.5).contains(&rate), "{rate:.3} a gated customer-year");
}

/// Shares of customers flagged within 13 and 26 weeks, and of the first alarms with a right driver.
fn flagged(change: Change, right: &[Driver], seed: u64) -> (f64, f64, f64) {
    let mut random = Random(seed);
    let (mut n, mut within_13, mut within_26, mut n_right) = (0, 0, 0, 0);
    for _ in 0..800 {
        let life = live(0.5, change, &mut random);
        if !life.is_gated_at_change || life.is_alarmed_at_change {
            continue;
        }
        n += 1;
        let first = life.alarms.iter().find(|alarm| alarm.day >= CHANGE);
        within_13 += usize::from(first.is_some_and(|alarm| alarm.day < CHANGE + 13 * 7));
        if let Some(alarm) = first.filter(|alarm| alarm.day < CHANGE + 26 * 7) {
            within_26 += 1;
            n_right += usize::from(right.contains(&alarm.driver));
        }
    }
    (share(within_13, n), share(within_26, n), share(n_right, within_26))
}

fn check(change: Change, right: &[Driver], least: (f64, f64, f64)) {
    let got = flagged(change, right, 2);
    assert!(got.0 >= least.0 && got.1 >= least.1 && got.2 >= least.2, "{got:?} {least:?}");
}

#[test]
fn planted_changes_are_flagged_with_their_driver() {
    let stops = Change { orders: 0.0, basket: 1.0 };
    check(stops, &[Driver::Silence, Driver::Frequency, Driver::Both], (0.44, 0.78, 0.95));
    let halved_orders = Change { orders: 0.5, basket: 1.0 };
    check(halved_orders, &[Driver::Silence, Driver::Frequency], (0.12, 0.35, 0.8));
    let halved_baskets = Change { orders: 1.0, basket: 0.5 };
    check(halved_baskets, &[Driver::Basket], (0.42, 0.7, 0.8));
}

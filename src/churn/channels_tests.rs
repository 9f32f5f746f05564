//! The channels against their definitions, and what an alarm or a season does to them.

use super::*;
use crate::churn::orders::ORDER_WEIGHT;
use crate::churn::testing::{Random, customer, day, model, season, settings, usd};
use crate::clv::whole_days;

const EMPTY_WEIGHT: f64 = 0.597_837_000_755_620_4;

fn parameters() -> Parameters {
    Parameters::new(&settings(), None, usd())
}

fn weekly(n_orders: i32, minor: i64) -> Vec<(i32, i64)> {
    (0..n_orders).map(|week| (week * 7, minor)).collect()
}

fn on(orders: &[(i32, i64)], today: i32, frozen: Frozen, parameters: &Parameters) -> Channels {
    channels(&customer(orders).ledger, day(today), frozen, parameters).unwrap()
}

fn close(got: f64, expect: f64) {
    assert!((got - expect).abs() < 1e-9, "{got} {expect}");
}

#[test]
fn both_channels_stand_at_zero_until_the_lagged_baseline_holds_three_days() {
    let closed = on(&weekly(10, 4000), 300, Frozen::default(), &parameters());
    assert_eq!((closed.orders.value, closed.orders.crosses_on), (0.0, None));
    assert_eq!((closed.basket.value, closed.rate_weekly), (0.0, None));
    assert!(!closed.orders.is_crossed() && closed.orders.is_under_half());
    let open = on(&weekly(11, 4000), 70, Frozen::default(), &parameters());
    assert_eq!((open.rate_weekly, open.n_baseline_days), (Some(0.4), 3));
}

/// λ₀ = (2 + 2) / (8 + 2) = 0.4 at day 70, of which a decline takes 0.24 a week.
#[test]
fn silence_grows_in_a_line_to_the_day_of_the_alarm() {
    let at = |today| on(&weekly(11, 4000), today, Frozen::default(), &parameters()).orders;
    close(at(70).value, 0.0);
    assert_eq!((at(70).since, at(71).since), (None, Some(day(70))));
    close(at(84).value, 0.48);
    let crosses = 70 + whole_days(at(70).threshold / 0.24 * 7.0);
    assert_eq!(at(84).crosses_on, Some(day(crosses)));
    assert!(!at(crosses - 1).is_crossed() && at(crosses).is_crossed());
    close(at(5000).value, at(crosses).threshold);
}

/// With half as much bought in the first half of the year as in the second, silence weighs less
/// in the first and the alarm comes later; the day is the first that the days' sum reaches.
#[test]
fn silence_weighs_as_much_as_its_season() {
    let seasonal = Parameters { season: Some(season()), ..parameters() };
    let at = |today| on(&weekly(11, 4000), today, Frozen::default(), &seasonal).orders;
    let weight = |from: i32, to: i32| (from..to).map(|d| season().weight(day(d))).sum::<f64>();
    let rate = 4.0 / (8.0 + weight(0, 14) / 7.0);
    close(at(100).value, 0.6 * rate * weight(70, 100) / 7.0);
    let crosses = at(70).crosses_on.unwrap();
    assert!(!at(crosses.0 - 1).is_crossed() && at(crosses.0).is_crossed());
    assert!(0.6 * rate * weight(70, crosses.0) / 7.0 >= at(70).threshold);
    assert!(0.6 * rate * weight(70, crosses.0 - 1) / 7.0 < at(70).threshold);
    let plain = on(&weekly(11, 4000), 70, Frozen::default(), &parameters());
    assert!(Some(crosses) != plain.orders.crosses_on);
}

#[test]
fn an_order_takes_its_weight_away_from_what_silence_brought() {
    let mut orders = weekly(11, 4000);
    orders.push((140, 4000));
    let channel = on(&orders, 140, Frozen::default(), &parameters()).orders;
    close(channel.value, 2.4 - ORDER_WEIGHT);
    assert_eq!((channel.since, channel.baseline_on), (Some(day(70)), day(140)));
    let threshold = on(&orders, 140, Frozen::default(), &parameters()).orders.threshold;
    orders.push((9000, 4000));
    let capped = on(&orders, 9000, Frozen::default(), &parameters()).orders;
    assert!(capped.value < threshold, "held at the threshold while silent");
}

/// Without a model m₀ = 40 e^(1/5.56) and each basket of 10 adds
/// 2.78 (ln(1 / 0.55) − (1 / 0.55 − 1) 10 / m₀).
#[test]
fn small_baskets_add_up_against_the_own_past() {
    let mut orders = weekly(15, 4000);
    orders.extend([(105, 1000), (112, 1000)]);
    let basket = on(&orders, 112, Frozen::default(), &parameters()).basket;
    let mean = 40.0 * libm::exp(1.0 / 5.56);
    close(basket.value, 2.0 * 2.78 * (EMPTY_WEIGHT - 9.0 / 11.0 * 10.0 / mean));
    assert_eq!(basket.since, Some(day(105)));
    orders.push((119, 90_000));
    let cleared = on(&orders, 119, Frozen::default(), &parameters()).basket;
    assert_eq!((cleared.value, cleared.since), (0.0, None));
}

#[test]
fn a_free_order_is_no_basket_and_orders_of_a_day_share_it() {
    let mut orders = weekly(15, 4000);
    let before = on(&orders, 98, Frozen::default(), &parameters()).basket;
    orders.push((105, 0));
    assert_eq!(on(&orders, 105, Frozen::default(), &parameters()).basket, before);
    orders.extend([(112, 1000), (112, 1400)]);
    let basket = on(&orders, 112, Frozen::default(), &parameters()).basket;
    let mean = 40.0 * libm::exp(1.0 / 5.56);
    close(basket.value, 2.78 * (EMPTY_WEIGHT - 9.0 / 11.0 * 12.0 / mean));
}

#[test]
fn an_alarm_keeps_the_baseline_of_its_day() {
    let mut orders = weekly(15, 4000);
    let frozen = Frozen { orders: Some(day(98)), basket: Some(day(98)) };
    let rate_then = on(&orders, 98, Frozen::default(), &parameters()).rate_weekly;
    orders.extend((1..40).map(|n| (98 + 21 * n, 3000)));
    let held = on(&orders, 1000, frozen, &parameters());
    assert_eq!(held.rate_weekly, rate_then);
    assert_eq!((held.orders.baseline_on, held.basket.baseline_on), (day(98), day(98)));
    assert!(held.basket.is_crossed());
    let free = on(&orders, 1000, Frozen::default(), &parameters());
    assert!(free.rate_weekly < rate_then && !free.basket.is_crossed());
}

/// The definitions, read literally and in quadratic time.
fn reference(
    orders: &[(i32, i64)],
    today: i32,
    frozen: Frozen,
    parameters: &Parameters,
) -> (f64, f64) {
    let start = orders.len().saturating_sub(FOLD_DAYS_MAX);
    let days = |from: i32, to: i32| {
        let weight = |d| parameters.season.map_or(1.0, |season| season.weight(day(d)));
        (from..to).map(weight).sum::<f64>()
    };
    let baseline = |j: i32| {
        let n = orders.iter().filter(|(d, _)| *d <= j - 56).count();
        let weight = parameters.prior.r + f64::from(count(n)) - 1.0;
        let weeks = || parameters.prior.alpha_weeks + days(orders[0].0, j - 56) / 7.0;
        (n >= 3).then(|| Baseline { rate_weekly: weight / weeks(), weight })
    };
    let held = |j: i32, on: Option<Day>| on.map_or(j, |on| j.min(on.0));
    let (mut level, mut basket) = (0.0, 0.0);
    for (i, (j, minor)) in orders.iter().enumerate().skip(start) {
        if let Some(from) = i.checked_sub(1).filter(|from| *from >= start) {
            let before = orders[from].0;
            if let Some(baseline) = baseline(held(before, frozen.orders)) {
                let silent_weeks = days(before, *j) / 7.0;
                let grown: f64 = level + 0.6 * baseline.rate_weekly * silent_weeks;
                level = grown.min(parameters.thresholds.orders(&baseline));
            }
        }
        level = (level - ORDER_WEIGHT).max(0.0);
        level = baseline(held(*j, frozen.orders)).map_or(0.0, |_| level);
        let j = held(*j, frozen.basket);
        let from = if frozen.basket.is_some_and(|on| orders[i].0 > on.0) {
            orders.partition_point(|(d, _)| *d <= j).saturating_sub(FOLD_DAYS_MAX)
        } else {
            start
        };
        let all: Vec<f64> = orders[from..]
            .iter()
            .filter(|(d, minor)| *d <= j && *d > orders[0].0 && *minor > 0)
            .map(|(_, minor)| libm::log(minor_as_f64(i128::from(*minor))))
            .collect();
        let old = &all[..all.len().saturating_sub(3)];
        let shrunk = parameters.ln_population_basket;
        let weight = if shrunk.is_some() { 2.0 } else { 0.0 };
        let n = f64::from(count(old.len())) + weight;
        let ln_mean = (old.iter().sum::<f64>() + weight * shrunk.unwrap_or(0.0)) / n;
        let mean = libm::exp(ln_mean + 0.5 / parameters.basket_shape);
        if *minor > 0 && i > 0 {
            basket = baseline(j).filter(|_| n > 0.0).map_or(0.0, |baseline| {
                let ratio = minor_as_f64(i128::from(*minor)) / mean * (1.0 / 0.55 - 1.0);
                let grown: f64 = basket + parameters.basket_shape * (EMPTY_WEIGHT - ratio);
                grown.clamp(0.0, parameters.thresholds.basket(&baseline, n))
            });
        }
    }
    let last = orders[orders.len() - 1].0;
    let silent_weeks = days(last, today) / 7.0;
    let now = baseline(held(last, frozen.orders)).map_or(0.0, |baseline| {
        let grown: f64 = level + 0.6 * baseline.rate_weekly * silent_weeks;
        grown.min(parameters.thresholds.orders(&baseline))
    });
    (now, basket)
}

#[test]
fn the_fold_agrees_with_the_definitions_read_literally() {
    let with_model = Parameters::new(&settings(), Some(&model("bg-nbd", true)), usd());
    let seasonal = Parameters { season: Some(season()), ..parameters() };
    let mut random = Random(7);
    for case in 0..300 {
        let n = if case % 50 == 0 { 400 } else { 2 + random.below(60) };
        let mut next = 0;
        let orders: Vec<(i32, i64)> = (0..n)
            .map(|_| {
                let gap_max = random.below(40);
                next += 1 + random.below(1 + gap_max);
                (next, i64::from(random.below(6)) * i64::from(random.below(4000)))
            })
            .collect();
        let today = next + random.below(200);
        let mut some_day = || (random.below(3) > 0).then(|| day(random.below(today)));
        let frozen = Frozen { orders: some_day(), basket: some_day() };
        for parameters in [&parameters(), &with_model, &seasonal] {
            let got = on(&orders, today, frozen, parameters);
            let (level, basket) = reference(&orders, today, frozen, parameters);
            assert!((got.orders.value - level).abs() < 1e-9, "{case} {got:?} {level}");
            assert!((got.basket.value - basket).abs() < 1e-9, "{case} {got:?} {basket}");
        }
    }
}

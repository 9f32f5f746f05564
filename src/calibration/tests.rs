//! What the thresholds promise, on smaller populations than the command's, and that the table in
//! the source is the one that the command finds.

use super::measure::{FalseAlarms, Price, Swing};
use super::remake::{SEED, remake_alarms};
use super::usage::{UsageAlarms, UsageFound, remake_usage};
use super::user::Habit;
use super::{Report, measure};
use crate::churn::{FALSE_ALARMS, N_ALARMS, Thresholds, UsageThresholds};
use crate::dice::Dice;

/// Every figure of the last row; the others take as long as they have fewer alarms.
#[test]
fn the_table_in_the_source_is_what_the_command_finds() {
    let remade = remake_alarms(SEED, N_ALARMS - 1);
    assert_eq!(remade, Thresholds::new(FALSE_ALARMS[N_ALARMS - 1]));
}

/// Alarms are nearly Poisson, so that a rate of n alarms has a standard error of 1/sqrt(n) of it;
/// 4 of them are allowed beyond the promise. Fewer than 40 alarms of a class say nothing.
fn check(alarms: &FalseAlarms, configured: f64, promise: f64, what: &str) {
    let n = alarms.n_orders + alarms.n_basket;
    if alarms.years * configured < 40.0 {
        return;
    }
    let allowed = promise + 4.0 / n.max(1.0).sqrt();
    let over = alarms.rate() / configured - 1.0;
    assert!(over.abs() < allowed, "{what}: {:.3} of {configured}, {n} alarms", alarms.rate());
}

/// The promise: within 20 % over all customers with a baseline, within 50 % in each class of true
/// rate, for rare and frequent buyers, with a season and without. The seed is not the table's.
#[test]
fn false_alarms_keep_their_price() {
    for (i, swing) in (0..).zip(Swing::ALL) {
        for (k, mean_weekly) in (0..).zip([0.5, 0.1]) {
            for (configured, n_customers) in [(0.05, 10_000), (0.25, 4_000), (1.0, 2_000)] {
                let dice = Dice::new(31, 10 * i + k);
                let price = Price::of(configured, mean_weekly, swing, n_customers, dice);
                let what = format!("{mean_weekly} a week, season: {swing:?}");
                check(&price.all, configured, 0.2, &what);
                for (class, alarms) in price.classes.iter().enumerate() {
                    check(alarms, configured, 0.5, &format!("{what}, class {class}"));
                }
            }
        }
    }
}

/// Least shares flagged within 13 and 26 weeks, and of right drivers, by four standard errors under
/// what `lifetide calibrate` measures.
#[test]
fn planted_changes_are_flagged_with_their_driver() {
    let report: Report = measure(32, 1500);
    let least = [
        (0.49, 0.86, 0.98),
        (0.12, 0.39, 0.90),
        (0.45, 0.74, 0.90),
        (0.14, 0.39, 1.0),
        (0.05, 0.17, 0.87),
    ];
    for ((name, found), least) in report.found(0.5).zip(least) {
        let got = (found.n_13 / found.n, found.n_26 / found.n, found.n_named / found.n_26);
        assert!(got.0 > least.0 && got.1 > least.1 && got.2 >= least.2, "{name}: {got:?}");
    }
}

/// As of the other channels: the last row, and the others take longer.
#[test]
fn the_usage_thresholds_in_the_source_are_what_the_command_finds() {
    let remade = remake_usage(SEED, N_ALARMS - 1);
    assert_eq!(remade, UsageThresholds::new(FALSE_ALARMS[N_ALARMS - 1]));
}

/// The promise of the usage channel: within 20 % over all habits, and, but where hardly an alarm is
/// allowed, within 50 % over those of one rate or of one dispersion. An alarm is often followed by
/// another of the same user, hence the doubled error.
#[test]
fn false_alarms_of_use_keep_their_price() {
    for (configured, n_users) in [(0.05, 3_000), (0.25, 1_000), (1.0, 400)] {
        let thresholds = UsageThresholds::new(configured);
        let mut dice = Dice::new(33, 6);
        let prices: Vec<(Habit, UsageAlarms)> = Habit::ALL
            .into_iter()
            .map(|habit| (habit, UsageAlarms::of(&thresholds, habit, n_users, &mut dice)))
            .collect();
        let check = |promise: f64, what: &str, is_asked: &dyn Fn(&Habit) -> bool| {
            let asked = prices.iter().filter(|(habit, _)| is_asked(habit));
            let all = asked.fold(UsageAlarms::default(), |sum, (_, alarms)| sum.plus(*alarms));
            let over = all.rate() / configured - 1.0;
            let allowed = promise + 8.0 / all.n.sqrt();
            assert!(over.abs() < allowed, "{what}: {:.3} of {configured}", all.rate());
        };
        check(0.2, "all", &|_| true);
        if configured < 0.1 {
            continue;
        }
        for Habit { weekly, shape } in Habit::ALL {
            let is = |one: f64, other: f64| (one - other).abs() < f64::EPSILON;
            check(0.5, &format!("{weekly} a week"), &|habit| is(habit.weekly, weekly));
            check(0.5, &format!("shape {shape}"), &|habit| is(habit.shape, shape));
        }
    }
}

/// Least shares flagged within 4, 8 and 13 weeks, by four standard errors under what `lifetide
/// calibrate` measures, of weekly users who differ most and least, and of rare ones.
#[test]
fn planted_falls_of_use_are_flagged() {
    for (factor, weekly, shape, least) in [
        (0.0, 4.0, 4.0, [0.70, 0.90, 0.90]),
        (0.0, 20.0, 1.0, [0.30, 0.70, 0.85]),
        (0.0, 1.0, 16.0, [0.05, 0.50, 0.80]),
        (0.5, 20.0, 16.0, [0.30, 0.50, 0.50]),
        (0.5, 4.0, 4.0, [0.05, 0.15, 0.20]),
    ] {
        let mut dice = Dice::new(34, 7);
        let found = UsageFound::of(factor, Habit { weekly, shape }, 1000, &mut dice);
        let shares = found.shares();
        let is_enough = shares.iter().zip(least).all(|(share, least)| *share > least);
        assert!(is_enough, "x {factor} of {weekly} a week, shape {shape}: {shares:?}");
    }
}

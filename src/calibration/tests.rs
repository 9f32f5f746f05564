//! What the thresholds promise, on smaller populations than the command's, and that the table in
//! the source is the one that the command finds.

use super::measure::{FalseAlarms, Price, Swing};
use super::remake::{SEED, remake_alarms};
use super::{Report, measure};
use crate::churn::{FALSE_ALARMS, N_ALARMS, Thresholds};
use crate::dice::Dice;

/// Every figure of the last row; the others take as long as they have fewer alarms.
#[test]
fn the_table_in_the_source_is_what_the_command_finds() {
    let remade = remake_alarms(SEED, N_ALARMS - 1);
    assert_eq!(remade.thresholds, Thresholds::new(FALSE_ALARMS[N_ALARMS - 1]));
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

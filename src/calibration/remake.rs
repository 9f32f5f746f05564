//! The search for the thresholds: for each tabulated rate the one at which customers with that
//! baseline raise as many false alarms as allowed. Writes no file. Called by the command
//! `calibrate` and by the test that the table in the source is what this finds.

use super::life::{Change, Seasons, Shop};
use super::usage::remake_usage;
use crate::churn::{FALSE_ALARMS, N_ALARMS, N_RATES, Thresholds, UsageThresholds, place};
use crate::dice::{Dice, rounded};

/// The seed of the table in the source.
pub const SEED: u64 = 20_260_501;

/// Mean purchase days a week of the populations from which the table is made: rare, frequent and
/// very frequent buyers, so that between them there are lives of every rate.
const MEANS_WEEKLY: [f64; 3] = [0.1, 0.5, 2.0];

/// What is aimed at, over what is allowed, by place in [`FALSE_ALARMS`]: each population by itself
/// comes out up to 12 % lower than all together or as high, and so lies about the allowed rate.
/// Where few alarms are allowed nothing is added, for the sake of slow buyers among frequent ones,
/// whose rate the prior overstates.
const AIM: [f64; N_ALARMS] = [1.0, 1.0, 1.06, 1.06, 1.06];

/// Customers of each population in the last round, for one false alarm a year; fewer alarms need
/// more customers.
const CUSTOMERS: f64 = 3000.0;

/// Rounds of the search; each has half as many customers again as the one before.
const ROUNDS: i32 = 8;

/// How far one round follows what it saw: e^h alarms is the rule, but customers who are watched for
/// 130 weeks only are slower to alarm than that.
const GAIN: f64 = 0.9;

/// Where the search starts, and what it stays between.
const START: f64 = 3.0;
const LEAST: f64 = 0.5;
const MOST: f64 = 12.0;

/// Thresholds for one rate of false alarms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remade {
    /// Allowed a customer-year over both channels.
    pub false_alarms: f64,
    /// What was found.
    pub thresholds: Thresholds,
    /// The same of the usage channel, for which as many are allowed again.
    pub usage: UsageThresholds,
}

/// The whole table, from [`SEED`] or another.
pub fn remake(seed: u64) -> Vec<Remade> {
    let row = |place| Remade {
        false_alarms: FALSE_ALARMS[place],
        thresholds: remake_alarms(seed, place),
        usage: remake_usage(seed, place),
    };
    (0..FALSE_ALARMS.len()).map(row).collect()
}

/// The thresholds for one tabulated rate of false alarms.
pub fn remake_alarms(seed: u64, place: usize) -> Thresholds {
    let false_alarms = FALSE_ALARMS[place];
    let aim = false_alarms / 2.0 * AIM[place];
    let mut thresholds = Thresholds { orders: [START; N_RATES], basket: [START; N_RATES] };
    for round in 0..ROUNDS {
        let scale = libm::pow(1.5, f64::from(round + 1 - ROUNDS));
        let n_customers = rounded(CUSTOMERS / false_alarms * scale).max(1);
        let observed = Seen::of(thresholds, seed, u64::from(round.unsigned_abs()), n_customers);
        observed.correct(&mut thresholds.orders, &observed.orders, aim);
        observed.correct(&mut thresholds.basket, &observed.basket, aim);
    }
    let hundredths = |table: [f64; N_RATES]| table.map(|h| libm::round(h * 100.0) / 100.0);
    Thresholds { orders: hundredths(thresholds.orders), basket: hundredths(thresholds.basket) }
}

/// What a round saw by tabulated rate: what lies between two counts for both, by its distance.
#[derive(Default)]
struct Seen {
    years: [f64; N_RATES],
    orders: [f64; N_RATES],
    basket: [f64; N_RATES],
}

impl Seen {
    fn of(thresholds: Thresholds, seed: u64, round: u64, n_customers: i64) -> Self {
        let mut counts = Self::default();
        for (population, mean_weekly) in (0..).zip(MEANS_WEEKLY) {
            let shop = Shop::new(mean_weekly, Seasons::default(), thresholds);
            let mut dice = Dice::new(seed, round * 100 + population);
            for _ in 0..n_customers {
                let life = shop.live(Change::NONE, &mut dice);
                for stretch in &life.stretches {
                    let years = f64::from(stretch.days) / 365.25;
                    spread(&mut counts.years, stretch.rate_weekly, years);
                }
                for alarm in life.counted() {
                    let table =
                        if alarm.is_of_orders { &mut counts.orders } else { &mut counts.basket };
                    spread(table, alarm.rate_weekly, 1.0);
                }
            }
        }
        counts
    }

    fn correct(&self, table: &mut [f64; N_RATES], alarms: &[f64; N_RATES], allowed: f64) {
        for i in 0..N_RATES {
            // Half an alarm more on both sides keeps a rate that nobody showed where it is.
            let excess = (alarms[i] + 0.5) / (self.years[i] * allowed + 0.5);
            table[i] = (table[i] + GAIN * libm::log(excess)).clamp(LEAST, MOST);
        }
    }
}

fn spread(table: &mut [f64; N_RATES], rate_weekly: f64, amount: f64) {
    let (below, share) = place(rate_weekly);
    table[below] += (1.0 - share) * amount;
    table[below + 1] += share * amount;
}

impl Remade {
    /// The table as the source file `src/churn/table.rs`.
    pub fn source(all: &[Self], seed: u64) -> String {
        let head = format!(
            "//! The thresholds by simulation, generated from seed {seed}:\n\
             //! `lifetide calibrate --remake > src/churn/table.rs`. Read by `thresholds`.\n\n\
             use super::thresholds::{{N_ALARMS, N_RATES, N_SHARES}};\n"
        );
        let (by_rate, by_share) = (("rate", "N_RATES"), ("share of weeks with use", "N_SHARES"));
        let orders = all.iter().map(|remade| row(&remade.thresholds.orders));
        let basket = all.iter().map(|remade| row(&remade.thresholds.basket));
        let usage = all.iter().map(|remade| row(&remade.usage.0));
        head + &table(("ORDERS", "orders"), by_rate, orders)
            + &table(("BASKET", "basket"), by_rate, basket)
            + &table(("USAGE", "usage"), by_share, usage)
    }
}

fn table(
    (name, says): (&str, &str),
    (by, n): (&str, &str),
    rows: impl Iterator<Item = String>,
) -> String {
    let rows: String = rows.collect();
    format!(
        "\n/// Thresholds of the {says} channel by false alarms, then by {by}, in hundredths.\n\
         pub(super) const {name}: [[u16; {n}]; N_ALARMS] = [\n{rows}];\n"
    )
}

fn row(thresholds: &[f64]) -> String {
    let row: Vec<String> = thresholds.iter().map(|h| rounded(h * 100.0).to_string()).collect();
    format!("    [{}],\n", row.join(", "))
}

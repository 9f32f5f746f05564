//! What the thresholds in force cost and find on simulated customers. Changes nothing. Called by
//! the command `calibrate`.

use std::fmt;

use super::life::{Change, Life, Shop};
use crate::churn::{Driver, Thresholds};
use crate::clv::{SEASON_PARTS, Season};
use crate::dice::Dice;

/// Bounds of the classes of true rates, over the population's mean.
const CLASSES: [f64; 3] = [0.5, 1.0, 2.0];

/// Height of the simulated season.
const SEASON_HEIGHT: f64 = 0.4;

/// What can happen to a customer, and which of the channels should notice.
const CHANGES: [(&str, Change, Option<bool>); 5] = [
    ("stops", Change { orders: 0.0, basket: 1.0 }, Some(true)),
    ("orders / 2", Change { orders: 0.5, basket: 1.0 }, Some(true)),
    ("baskets / 2", Change { orders: 1.0, basket: 0.5 }, Some(false)),
    ("both x 0.7", Change { orders: 0.7, basket: 0.7 }, None),
    ("orders x 0.7, baskets x 1.2", Change { orders: 0.7, basket: 1.2 }, Some(true)),
];

/// False alarms a gated customer-year.
#[derive(Clone, Copy, Debug, Default)]
pub struct FalseAlarms {
    /// Of customers with a baseline.
    pub years: f64,
    /// Of the orders channel.
    pub n_orders: f64,
    /// Of the basket channel.
    pub n_basket: f64,
}

/// What was seen of one kind of change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detection {
    /// Customers with a baseline and no standing alarm when it came.
    pub n: f64,
    /// Flagged within 13 weeks.
    pub n_13: f64,
    /// Flagged within 26 weeks.
    pub n_26: f64,
    /// Of these, with nothing but what fell as driver.
    pub n_alone: f64,
    /// Of these, with what fell as driver, alone or as `both`.
    pub n_named: f64,
}

/// False alarms of one population under one configured rate.
#[derive(Debug)]
pub struct Price {
    configured: f64,
    mean_weekly: f64,
    is_seasonal: bool,
    /// All, then by class of true rate.
    pub all: FalseAlarms,
    /// By class of true rate: under half the mean, under it, under twice, above.
    pub classes: [FalseAlarms; 4],
}

/// All that was measured.
#[derive(Debug)]
pub struct Report {
    /// What the thresholds cost.
    pub prices: Vec<Price>,
    found: Vec<(f64, &'static str, Detection)>,
}

impl FalseAlarms {
    fn add(&mut self, life: &Life) {
        self.years += f64::from(life.gated_days) / 365.25;
        for alarm in life.counted() {
            *(if alarm.is_of_orders { &mut self.n_orders } else { &mut self.n_basket }) += 1.0;
        }
    }

    /// A gated customer-year, over both channels.
    pub fn rate(&self) -> f64 {
        (self.n_orders + self.n_basket) / self.years
    }
}

/// Measures the thresholds in force on so many customers of each population.
pub fn measure(seed: u64, n_customers: u32) -> Report {
    let mut prices = Vec::new();
    for is_seasonal in [false, true] {
        for mean_weekly in [0.5, 0.1] {
            for configured in [0.05, 0.25, 1.0] {
                let stream = 1 + u64::from(is_seasonal);
                let dice = Dice::new(seed, stream);
                prices.push(Price::of(configured, mean_weekly, is_seasonal, n_customers, dice));
            }
        }
    }
    let mut found = Vec::new();
    for mean_weekly in [0.5, 0.1] {
        for (name, change, is_of_orders) in CHANGES {
            let mut detection = Detection::default();
            let shop = Shop::new(mean_weekly, None, Thresholds::new(0.25));
            let mut dice = Dice::new(seed, 3);
            for _ in 0..n_customers {
                detection.add(&shop.live(change, &mut dice), is_of_orders);
            }
            found.push((mean_weekly, name, detection));
        }
    }
    Report { prices, found }
}

impl Report {
    /// What was found of customers of this mean rate, by the name of the change.
    pub fn found(&self, mean_weekly: f64) -> impl Iterator<Item = (&'static str, &Detection)> {
        let is_asked = move |mean: f64| (mean - mean_weekly).abs() < f64::EPSILON;
        self.found.iter().filter(move |(mean, ..)| is_asked(*mean)).map(|(_, name, d)| (*name, d))
    }
}

impl Price {
    /// What customers of this mean rate raise under the thresholds of a configured rate.
    pub(super) fn of(
        configured: f64,
        mean_weekly: f64,
        is_seasonal: bool,
        n_customers: u32,
        mut dice: Dice,
    ) -> Self {
        let season = is_seasonal.then(sine).flatten();
        let shop = Shop::new(mean_weekly, season.as_ref(), Thresholds::new(configured));
        let (mut all, mut classes) = (FalseAlarms::default(), [FalseAlarms::default(); 4]);
        for _ in 0..n_customers {
            let life = shop.live(Change::NONE, &mut dice);
            all.add(&life);
            classes[CLASSES.partition_point(|bound| *bound <= life.relative_rate)].add(&life);
        }
        Self { configured, mean_weekly, is_seasonal, all, classes }
    }
}

impl Detection {
    fn add(&mut self, life: &Life, is_of_orders: Option<bool>) {
        if !life.is_gated_at_change || life.is_alarmed_at_change {
            return;
        }
        self.n += 1.0;
        let Some((alarm, days)) = life.first_after_change() else { return };
        self.n_13 += f64::from(u8::from(days < 13 * 7));
        if days < 26 * 7 {
            self.n_26 += 1.0;
            let fell = is_of_orders
                .map(|is_of_orders| if is_of_orders { Driver::Frequency } else { Driver::Basket });
            let is_alone = fell.is_none_or(|fell| alarm.driver == fell);
            self.n_alone += f64::from(u8::from(is_alone));
            self.n_named += f64::from(u8::from(is_alone || alarm.driver == Driver::Both));
        }
    }
}

/// A season that swings by [`SEASON_HEIGHT`] about 1.
fn sine() -> Option<Season> {
    let mut index = [1.0; SEASON_PARTS];
    for (part, weight) in (0..).zip(&mut index) {
        let share = f64::from(part) / 52.0;
        *weight += SEASON_HEIGHT * libm::sin(share * std::f64::consts::TAU);
    }
    Season::new(&index)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "false alarms a gated customer-year, over the configured rate")?;
        writeln!(
            f,
            "{:>8} {:>10} {:>7} {:>6} {:>7} {:>7} {:>6} {:>6} {:>6} {:>6}",
            "a week", "configured", "season", "all", "orders", "basket", "<1/2", "<1", "<2", ">2"
        )?;
        for price in &self.prices {
            let Price { configured, mean_weekly, is_seasonal, all, classes } = price;
            let season = if *is_seasonal { "±40 %" } else { "none" };
            write!(
                f,
                "{mean_weekly:>8} {configured:>10} {season:>7} {:>6.2} {:>7.2} {:>7.2}",
                all.rate() / configured,
                all.n_orders / all.years / configured,
                all.n_basket / all.years / configured
            )?;
            for class in classes {
                write!(f, " {:>6.2}", class.rate() / configured)?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nflagged at 0.25 within 13 and 26 weeks; driver named alone, or with both")?;
        for (mean_weekly, name, found) in &self.found {
            let Detection { n, n_13, n_26, n_alone, n_named } = found;
            let (at_13, at_26) = (n_13 / n, n_26 / n);
            write!(f, "{mean_weekly:>8} {name:<28} {at_13:.3} {at_26:.3}")?;
            writeln!(f, "   {:.3} {:.3}", n_alone / n_26, n_named / n_26)?;
        }
        Ok(())
    }
}

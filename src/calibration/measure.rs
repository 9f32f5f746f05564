//! What the thresholds in force cost and find on simulated customers. Changes nothing. Called by
//! the command `calibrate`.

use std::fmt;

use super::life::{Change, LIFE_DAYS, Life, Seasons, Shop};
use crate::churn::{Driver, Thresholds};
use crate::clv::{SEASON_PARTS, Season};
use crate::customer::{DayEntry, Ledger};
use crate::dice::Dice;
use crate::fit::Statistics;
use crate::money::Currency;

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

/// Customers from whose purchases a season is estimated.
const SEASON_CUSTOMERS: u32 = 4000;

/// A season that moves a population, and what its watch knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swing {
    /// There is none, and none is thought of.
    None,
    /// It is known as it is.
    Known,
    /// It is known as `fit` estimates it from the purchases of such a population.
    Estimated,
}

impl Swing {
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Known, Self::Estimated];

    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Known => "known",
            Self::Estimated => "fitted",
        }
    }
}

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
    /// Of these, because the channel of what fell crossed.
    pub n_crossed: f64,
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
    swing: Swing,
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
    for (stream, swing) in (1..).zip(Swing::ALL) {
        for mean_weekly in [0.5, 0.1] {
            for configured in [0.05, 0.25, 1.0] {
                let dice = Dice::new(seed, stream);
                prices.push(Price::of(configured, mean_weekly, swing, n_customers, dice));
            }
        }
    }
    let mut found = Vec::new();
    for mean_weekly in [0.5, 0.1] {
        for (name, change, is_of_orders) in CHANGES {
            let mut detection = Detection::default();
            let shop = Shop::new(mean_weekly, Seasons::default(), Thresholds::new(0.25));
            let mut dice = Dice::new(seed, 4);
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
        swing: Swing,
        n_customers: u32,
        mut dice: Dice,
    ) -> Self {
        let thresholds = Thresholds::new(configured);
        let sine = sine();
        let real = sine.as_ref().filter(|_| swing != Swing::None);
        let estimate = (swing == Swing::Estimated).then(|| {
            let shop = Shop::new(mean_weekly, Seasons { real, known: None }, thresholds);
            estimate(&shop, &mut dice)
        });
        let known = estimate.as_ref().map_or(real, Option::as_ref);
        let shop = Shop::new(mean_weekly, Seasons { real, known }, thresholds);
        let (mut all, mut classes) = (FalseAlarms::default(), [FalseAlarms::default(); 4]);
        for _ in 0..n_customers {
            let life = shop.live(Change::NONE, &mut dice);
            all.add(&life);
            classes[CLASSES.partition_point(|bound| *bound <= life.relative_rate)].add(&life);
        }
        Self { configured, mean_weekly, swing, all, classes }
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
            let has_crossed = is_of_orders.is_none_or(|it| it == alarm.is_of_orders);
            self.n_crossed += f64::from(u8::from(has_crossed));
            let fell = is_of_orders
                .map(|is_of_orders| if is_of_orders { Driver::Frequency } else { Driver::Basket });
            let is_alone = fell.is_none_or(|fell| alarm.driver == fell);
            self.n_alone += f64::from(u8::from(is_alone));
            self.n_named += f64::from(u8::from(is_alone || alarm.driver == Driver::Both));
        }
    }
}

/// The season that `fit` finds in the purchases of a population.
fn estimate(shop: &Shop, dice: &mut Dice) -> Option<Season> {
    let mut statistics = Statistics::default();
    let lives: Vec<Life> = (0..SEASON_CUSTOMERS).map(|_| shop.live(Change::NONE, dice)).collect();
    // While all are watched: then they leave, one after the other.
    let today = lives.iter().map(|life| life.first).min()?.plus(LIFE_DAYS);
    for life in lives {
        let entry = |day| DayEntry { day, net_minor: 0, n_orders: 1 };
        let ledger = Ledger { folded: None, days: life.days.into_iter().map(entry).collect() };
        statistics.take(&ledger, today, Currency::parse("USD")?);
    }
    Season::new(&statistics.season().ok()?)
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
            let Price { configured, mean_weekly, swing, all, classes } = price;
            let season = swing.as_str();
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
        let season = SEASON_HEIGHT * 100.0;
        writeln!(f, "season: ±{season:.0} %, known as it is or as `lifetide fit` estimates it")?;
        writeln!(
            f,
            "\nflagged at 0.25 within 13 and 26 weeks; of these, with the channel of what fell \
             crossed, with it as driver alone, and alone or in `both`"
        )?;
        for (mean_weekly, name, found) in &self.found {
            let Detection { n, n_13, n_26, n_crossed, n_alone, n_named } = found;
            let (at_13, at_26) = (n_13 / n, n_26 / n);
            write!(f, "{mean_weekly:>8} {name:<28} {at_13:.3} {at_26:.3}")?;
            let [crossed, alone, named] = [n_crossed, n_alone, n_named].map(|named| named / n_26);
            writeln!(f, "   {crossed:.3} {alone:.3} {named:.3}")?;
        }
        Ok(())
    }
}

//! The usage channel's thresholds: the search for them, what those in force cost and what they
//! find, on simulated users of every habit. Writes no file. Called by the command `calibrate`, and
//! by the test that the table in the source is what this finds.

use std::fmt;

use super::user::{Habit, UserLife, WEEKS_A_YEAR};
use crate::churn::{FALSE_ALARMS, N_SHARES, UsageThresholds, place_share};
use crate::dice::{Dice, rounded};

/// Users of each habit in the last round, for one false alarm a year.
const USERS: f64 = 800.0;

/// How often rare users, whose weeks are judged by half at most, are drawn for one of the others.
const RARE_WEIGHT: i64 = 4;
const RARE_WEEKLY: f64 = 0.4;

/// Rounds of the search, each with a quarter more users than the one before.
const ROUNDS: i32 = 10;

/// How far a round follows what it saw: e^h alarms is the rule, but no silence of rare users is as
/// sure as that, so that a round goes no further than the first may, and each a share of that.
const GAIN: f64 = 0.8;
const STEP_MAX: f64 = 1.6;
const STEP_LEFT: f64 = 0.7;

/// What is aimed at, over what is allowed: users together come out that much lower than by shares
/// of weeks with use, for rare users are counted more often there.
const AIM: f64 = 1.05;

/// Where the search starts, and what it stays between.
const START: f64 = 4.0;
const LEAST: f64 = 0.5;
const MOST: f64 = 12.0;

/// What can happen to a user in week 78.
const CHANGES: [(&str, f64); 2] = [("use / 2", 0.5), ("use stops", 0.0)];

/// Within so many weeks of it a flag is counted.
pub const FOUND_WEEKS: [i32; 3] = [4, 8, 13];

/// The configured rates that are measured.
const CONFIGURED: [f64; 3] = [0.05, 0.25, 1.0];

/// The thresholds for one tabulated rate of false alarms.
pub fn remake_usage(seed: u64, place: usize) -> UsageThresholds {
    let aim = FALSE_ALARMS[place] * AIM;
    let mut table = [START; N_SHARES];
    for round in 0..ROUNDS {
        let scale = libm::pow(1.25, f64::from(round + 1 - ROUNDS));
        let step_max = STEP_MAX * libm::pow(STEP_LEFT, f64::from(round));
        let n_users = rounded(USERS / FALSE_ALARMS[place] * scale).max(1);
        let (mut years, mut alarms) = ([0.0; N_SHARES], [0.0; N_SHARES]);
        for (stream, habit) in (0..).zip(Habit::ALL) {
            let mut dice = Dice::new(seed, 1000 + u64::from(round.unsigned_abs()) * 100 + stream);
            let weight = if habit.weekly < RARE_WEEKLY { RARE_WEIGHT } else { 1 };
            for _ in 0..n_users * weight {
                let life = UserLife::of(habit, 1.0, &UsageThresholds(table), &mut dice);
                life.judged.iter().for_each(|share| spread(&mut years, *share, 1.0 / WEEKS_A_YEAR));
                life.alarms.iter().for_each(|share| spread(&mut alarms, *share, 1.0));
            }
        }
        for i in 0..N_SHARES {
            // Half an alarm more on both sides keeps a share that nobody showed where it is.
            let excess = (alarms[i] + 0.5) / (years[i] * aim + 0.5);
            let step = (GAIN * libm::log(excess)).clamp(-step_max, step_max);
            table[i] = (table[i] + step).clamp(LEAST, MOST);
        }
    }
    UsageThresholds(table.map(|h| libm::round(h * 100.0) / 100.0))
}

fn spread(table: &mut [f64; N_SHARES], share_used: f64, amount: f64) {
    let (below, share) = place_share(share_used);
    table[below] += (1.0 - share) * amount;
    table[below + 1] += share * amount;
}

/// False alarms of users, and the years with a verdict in which they were raised.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageAlarms {
    /// Of users whose use can be compared.
    pub years: f64,
    /// Alarms of those who use as ever.
    pub n: f64,
}

/// Users with a verdict and no standing alarm when the change came, and those flagged in time.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageFound {
    /// All of them.
    pub n: f64,
    /// Flagged within each of [`FOUND_WEEKS`].
    pub n_within: [f64; FOUND_WEEKS.len()],
}

/// What the thresholds in force cost and find among users of one habit.
#[derive(Debug)]
pub struct UsageReport {
    prices: Vec<(f64, Habit, UsageAlarms)>,
    found: Vec<(&'static str, Habit, UsageFound)>,
}

impl UsageAlarms {
    /// Of so many users of a habit.
    pub(super) fn of(
        thresholds: &UsageThresholds,
        habit: Habit,
        n_users: u32,
        dice: &mut Dice,
    ) -> Self {
        let mut alarms = Self::default();
        for _ in 0..n_users {
            let life = UserLife::of(habit, 1.0, thresholds, dice);
            life.judged.iter().for_each(|_| alarms.years += 1.0 / WEEKS_A_YEAR);
            life.alarms.iter().for_each(|_| alarms.n += 1.0);
        }
        alarms
    }

    /// A year with a verdict.
    pub fn rate(&self) -> f64 {
        self.n / self.years
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { years: self.years + other.years, n: self.n + other.n }
    }
}

impl UsageFound {
    /// Of so many users of a habit whose use is changed by a factor, at the default rate.
    pub(super) fn of(factor: f64, habit: Habit, n_users: u32, dice: &mut Dice) -> Self {
        let thresholds = UsageThresholds::new(0.25);
        let mut found = Self::default();
        for _ in 0..n_users {
            let life = UserLife::of(habit, factor, &thresholds, dice);
            if life.is_open_at_change {
                found.n += 1.0;
                for (n, weeks) in found.n_within.iter_mut().zip(FOUND_WEEKS) {
                    let is_within = life.found_weeks.is_some_and(|found| found <= weeks);
                    *n += f64::from(u8::from(is_within));
                }
            }
        }
        found
    }

    /// Shares of all.
    pub fn shares(&self) -> [f64; FOUND_WEEKS.len()] {
        self.n_within.map(|n| n / self.n)
    }
}

/// Measures the thresholds in force on so many users of each habit.
pub fn measure_usage(seed: u64, n_users: u32) -> UsageReport {
    let mut dice = Dice::new(seed, 5);
    let mut prices = Vec::new();
    for configured in CONFIGURED {
        let thresholds = UsageThresholds::new(configured);
        for habit in Habit::ALL {
            prices.push((
                configured,
                habit,
                UsageAlarms::of(&thresholds, habit, n_users, &mut dice),
            ));
        }
    }
    let mut found = Vec::new();
    for (name, factor) in CHANGES {
        for habit in Habit::ALL {
            found.push((name, habit, UsageFound::of(factor, habit, n_users, &mut dice)));
        }
    }
    UsageReport { prices, found }
}

impl UsageReport {
    /// What the thresholds of a configured rate cost among the habits that are asked for.
    pub fn price(&self, configured: f64, is_asked: impl Fn(&Habit) -> bool) -> UsageAlarms {
        let is_asked = |(of, habit, _): &&(f64, Habit, UsageAlarms)| {
            (of - configured).abs() < f64::EPSILON && is_asked(habit)
        };
        let prices = self.prices.iter().filter(is_asked);
        prices.fold(UsageAlarms::default(), |sum, (.., alarms)| sum.plus(*alarms))
    }

    /// What was found, by the name of the change and the habit.
    pub fn found(&self) -> impl Iterator<Item = &(&'static str, Habit, UsageFound)> {
        self.found.iter()
    }
}

impl fmt::Display for UsageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nuse: false alarms a user-year with a verdict, over the configured rate")?;
        writeln!(f, "{:>8} {:>6} {:>6} {:>6} {:>6}", "a week", "shape", "0.05", "0.25", "1")?;
        let line = |f: &mut fmt::Formatter<'_>, is_asked: &dyn Fn(&Habit) -> bool| {
            for configured in CONFIGURED {
                let rate = self.price(configured, is_asked).rate();
                write!(f, " {:>6.2}", rate / configured)?;
            }
            writeln!(f)
        };
        write!(f, "{:>8} {:>6}", "all", "all")?;
        line(f, &|_| true)?;
        for habit in Habit::ALL {
            write!(f, "{:>8} {:>6}", habit.weekly, habit.shape)?;
            line(f, &|other| *other == habit)?;
        }
        writeln!(f, "\nuse: flagged at 0.25 within 4, 8 and 13 weeks")?;
        for (name, habit, found) in &self.found {
            let [at_4, at_8, at_13] = found.shares();
            let Habit { weekly, shape } = habit;
            writeln!(f, "{weekly:>8} {shape:>6} {name:<10} {at_4:.3} {at_8:.3} {at_13:.3}")?;
        }
        Ok(())
    }
}

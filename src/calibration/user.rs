//! One simulated user: draws the use of each week, keeps it as a customer's state does, and lets
//! the usage channel judge it. Knows no table. Called by `remake` and `measure`.

use crate::calendar::Day;
use crate::churn::{UsageChannel, UsageThresholds, turn_usage, usage_channel};
use crate::customer::{Usage, UsageLatch};
use crate::dice::{Dice, rounded};

/// How long a user is watched, from when on alarms count, and when something happens, in weeks.
const LIFE_WEEKS: i32 = 130;
const COUNTED_FROM_WEEKS: i32 = 26;
const CHANGE_WEEKS: i32 = 78;

/// The first week, in 2024.
const BEGIN_WEEK: i32 = 2818;

pub(super) const WEEKS_A_YEAR: f64 = 365.25 / 7.0;

/// Above this mean a Poisson draw is a normal one.
const POISSON_MEAN_MAX: f64 = 60.0;

/// How somebody uses: counts of each week are Poisson about a mean that is itself gamma
/// distributed, that is, negative binomial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habit {
    /// Mean units of use a week.
    pub weekly: f64,
    /// Shape of the gamma distribution: the smaller, the more one week differs from another.
    pub shape: f64,
}

impl Habit {
    /// From monthly to many times a day, from erratic to steady.
    pub const ALL: [Self; 15] = {
        let (weekly, shapes) = ([0.25, 0.5, 1.0, 4.0, 20.0], [1.0, 4.0, 16.0]);
        let mut all = [Self { weekly: 0.0, shape: 0.0 }; 15];
        let mut i = 0;
        while i < all.len() {
            all[i] = Self { weekly: weekly[i / 3], shape: shapes[i % 3] };
            i += 1;
        }
        all
    };

    /// What is used in a week, whose mean is this many times the usual one.
    fn week(self, factor: f64, dice: &mut Dice) -> u64 {
        let mean = self.weekly * factor;
        if mean <= 0.0 {
            return 0;
        }
        let mean = dice.gamma(self.shape, mean);
        let count = if mean > POISSON_MEAN_MAX {
            libm::round(mean + libm::sqrt(mean) * dice.normal()).max(0.0)
        } else {
            // Arrivals a week apart on average 1 / mean.
            let (mut count, mut at) = (0.0, dice.exponential(1.0));
            while at < mean {
                count += 1.0;
                at += dice.exponential(1.0);
            }
            count
        };
        rounded(count * 1e3).unsigned_abs()
    }
}

/// What became of one user.
#[derive(Debug, Default)]
pub(super) struct UserLife {
    /// The share of weeks with use at the end of each week that counts and has a verdict.
    pub(super) judged: Vec<f64>,
    /// The share of weeks with use at each alarm that counts.
    pub(super) alarms: Vec<f64>,
    /// Whether there was a verdict and no standing alarm when the change came.
    pub(super) is_open_at_change: bool,
    /// Weeks from the change to the first alarm after it.
    pub(super) found_weeks: Option<i32>,
}

impl UserLife {
    /// A life whose use is changed by this factor in week 78.
    pub(super) fn of(
        habit: Habit,
        factor: f64,
        thresholds: &UsageThresholds,
        dice: &mut Dice,
    ) -> Self {
        let mut life = Self::default();
        let mut user = User { usage: Usage::default(), latch: None, thresholds };
        for week in 0..LIFE_WEEKS {
            let thousandths = habit.week(if week < CHANGE_WEEKS { 1.0 } else { factor }, dice);
            // Both an event in a week and its end are looked at: the event lets go of the oldest.
            let mut looks = [None; 2];
            if thousandths > 0 {
                user.usage.record(first_day(week), thousandths);
                looks[0] = user.look(week);
            }
            looks[1] = user.look(week + 1);
            let is_judged = looks[1].is_some_and(|look| look.is_judged);
            if let Some(look) = looks[1].filter(|look| look.is_judged && week >= COUNTED_FROM_WEEKS)
            {
                life.judged.push(look.share_used);
            }
            for (week, look) in (week..).zip(looks) {
                if let Some(look) = look.filter(|look| look.is_alarm && week >= COUNTED_FROM_WEEKS)
                {
                    life.alarms.push(look.share_used);
                    let is_first = week > CHANGE_WEEKS && life.found_weeks.is_none();
                    life.found_weeks = life.found_weeks.or(is_first.then(|| week - CHANGE_WEEKS));
                }
            }
            if week + 1 == CHANGE_WEEKS {
                life.is_open_at_change = is_judged && user.latch.is_none();
            }
        }
        life
    }
}

struct User<'a> {
    usage: Usage,
    latch: Option<UsageLatch>,
    thresholds: &'a UsageThresholds,
}

/// What was seen on one day.
#[derive(Clone, Copy)]
struct Look {
    share_used: f64,
    is_judged: bool,
    is_alarm: bool,
}

impl User<'_> {
    /// Judges on the first day of a week, as `churn` does.
    fn look(&mut self, week: i32) -> Option<Look> {
        let today = first_day(week);
        let channel = usage_channel(&self.usage, today, self.thresholds);
        let seen = channel.filter(|_| self.latch.is_none());
        let is_alarm = turn_usage(&mut self.latch, &self.usage, today, seen.as_ref());
        channel.map(|UsageChannel { share_used, threshold, .. }| Look {
            share_used,
            is_judged: threshold.is_finite(),
            is_alarm,
        })
    }
}

fn first_day(week: i32) -> Day {
    Usage::first_day(BEGIN_WEEK + week)
}

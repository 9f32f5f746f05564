//! One simulated customer: draws the purchases, hands them to the watch and keeps what it raised.
//! Knows no table. Called by `remake` and `measure`.

use crate::calendar::Day;
use crate::churn::Thresholds;
use crate::churn::{Alarm, Parameters, Watch, Watched};
use crate::clv::{RatePrior, Season};
use crate::dice::Dice;

/// How long a customer is watched.
pub(super) const LIFE_DAYS: i32 = 130 * 7;

/// From when on alarms count.
const COUNTED_FROM_DAYS: i32 = 26 * 7;

/// When something happens to the customer.
pub(super) const CHANGE_DAYS: i32 = 78 * 7;

/// 2024-01-01; first purchases spread over the year from it.
const BEGIN: Day = Day(19_723);

/// Shape of the purchase rates, and of the prior.
const RATE_SHAPE: f64 = 2.0;

/// Shape of one customer's baskets.
const BASKET_SHAPE: f64 = 2.78;

/// The mean basket, in minor units, and how far customers' own means spread, as a logarithm.
const BASKET_MINOR: f64 = 4000.0;
const BASKET_SPREAD: f64 = 0.5;

/// What happens to a customer in week 78: factors on orders and on baskets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) orders: f64,
    pub(super) basket: f64,
}

impl Change {
    pub(super) const NONE: Self = Self { orders: 1.0, basket: 1.0 };
}

/// A population under one set of thresholds.
#[derive(Debug)]
pub(super) struct Shop {
    /// Purchase days a week of the average customer.
    mean_weekly: f64,
    /// What moves all customers alike, and its greatest weight.
    season: Option<(Season, f64)>,
    parameters: Parameters,
}

/// The season that there is, and the one that the watch knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seasons<'a> {
    pub(super) real: Option<&'a Season>,
    pub(super) known: Option<&'a Season>,
}

/// A stretch of days that count, under the baseline in force at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) days: i32,
    pub(super) rate_weekly: f64,
}

/// What became of one customer.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// The true rate over the population's mean.
    pub(super) relative_rate: f64,
    /// In order of time, from the first on.
    pub(super) alarms: Vec<Alarm>,
    pub(super) stretches: Vec<Stretch>,
    /// Days that count and on which the baseline holds three purchase days.
    pub(super) gated_days: i32,
    pub(super) is_gated_at_change: bool,
    pub(super) is_alarmed_at_change: bool,
    /// The day of the first purchase.
    pub(super) first: Day,
    /// All purchase days, ascending.
    pub(super) days: Vec<Day>,
}

impl Life {
    /// The alarms that count.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Alarm> {
        let from = self.first.plus(COUNTED_FROM_DAYS);
        self.alarms.iter().filter(move |alarm| alarm.on >= from)
    }

    /// The first alarm after the change, and how many days after.
    pub(super) fn first_after_change(&self) -> Option<(&Alarm, i32)> {
        let change = self.first.plus(CHANGE_DAYS);
        let alarm = self.alarms.iter().find(|alarm| alarm.on >= change)?;
        Some((alarm, alarm.on.days_since(change)))
    }
}

impl Shop {
    /// Customers whom one season moves and who are watched by another, what is known of it.
    pub(super) fn new(mean_weekly: f64, seasons: Seasons<'_>, thresholds: Thresholds) -> Self {
        let prior = RatePrior { r: RATE_SHAPE, alpha_weeks: RATE_SHAPE / mean_weekly };
        let weights = |season: &Season| {
            let greatest = (0..365).map(|day| season.weight(BEGIN.plus(day))).fold(0.0, f64::max);
            (*season, greatest)
        };
        let season = seasons.known.copied();
        let parameters = Watched { prior, season, thresholds }.parameters();
        Self { mean_weekly, season: seasons.real.map(weights), parameters }
    }

    /// The life of a customer drawn from these dice.
    pub(super) fn live(&self, change: Change, dice: &mut Dice) -> Life {
        let rate_weekly = dice.gamma(RATE_SHAPE, self.mean_weekly);
        let mean_minor = BASKET_MINOR * libm::exp(BASKET_SPREAD * dice.normal());
        let first = BEGIN.plus(i32::try_from(dice.below(365)).unwrap_or(0));
        let (changed_on, end) = (first.plus(CHANGE_DAYS), first.plus(LIFE_DAYS));
        let mut life =
            Life { relative_rate: rate_weekly / self.mean_weekly, first, ..Life::default() };
        life.days.push(first);
        let mut watch = Watch::new(first, &self.parameters);
        let mut counted_to = first.plus(COUNTED_FROM_DAYS);
        let mut last = first;
        let mut is_before_change = true;
        while last < end {
            let factor = if last >= changed_on { change.orders } else { 1.0 };
            let mut next = self.next_purchase(last, rate_weekly * factor, dice);
            // Time has no memory: from the eve of the change on it is drawn anew.
            let eve = changed_on.plus(-1);
            if last < eve && next > eve {
                next = self.next_purchase(eve, rate_weekly * change.orders, dice);
            }
            if is_before_change && next >= changed_on {
                is_before_change = false;
                life.alarms.extend(watch.silent_until(eve));
                life.is_alarmed_at_change = watch.is_alarmed();
                life.is_gated_at_change = watch.gated_on().is_some_and(|on| on < changed_on);
            }
            life.alarms.extend(watch.silent_until(next.min(end.plus(-1))));
            if next < end {
                life.days.push(next);
                let factor = if next >= changed_on { change.basket } else { 1.0 };
                let minor = dice.gamma(BASKET_SHAPE, mean_minor * factor);
                life.alarms.extend(watch.purchase(next, minor));
            }
            if let Some(gated_on) = watch.gated_on() {
                let (from, to) = (gated_on.max(counted_to), next.min(end));
                let days = to.days_since(from).max(0);
                life.gated_days += days;
                if let Some(rate_weekly) = watch.rate_weekly() {
                    life.stretches.push(Stretch { days, rate_weekly });
                    counted_to = counted_to.max(to);
                }
            }
            last = next;
        }
        life
    }

    /// The next purchase day after this one, at most once a day, thinned by the season.
    fn next_purchase(&self, last: Day, rate_weekly: f64, dice: &mut Dice) -> Day {
        let greatest = self.season.as_ref().map_or(1.0, |(_, greatest)| *greatest);
        let chance = rate_weekly / 7.0 * greatest;
        if chance <= 0.0 {
            return last.plus(2 * LIFE_DAYS);
        }
        let mut day = last;
        for _ in 0..LIFE_DAYS {
            let gap = libm::floor(libm::log(dice.unit()) / libm::log1p(-chance.min(0.999)));
            day = day.plus(1 + i32::try_from(crate::dice::rounded(gap)).unwrap_or(LIFE_DAYS));
            let is_past = day.days_since(last) > LIFE_DAYS;
            let is_kept = |(season, greatest): &(Season, f64)| {
                is_past || dice.chance(season.weight(day) / greatest)
            };
            if self.season.as_ref().is_none_or(is_kept) {
                break;
            }
        }
        day
    }
}

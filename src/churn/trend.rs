//! The trend of a customer's spending: the last 56 days against everything before, and what the
//! standing alarms say. Judges nothing. Called by `reading`, and by `evidence` for its figures.

use crate::calendar::Day;
use crate::customer::{DayEntry, Driver, Latch, Latches, Ledger};

use super::channels::{BASELINE_LAG_DAYS, minor_as_f64};
use super::lifecycle::is_declining;

/// Baseline purchase days from which there is any confidence.
const CONFIDENT_DAYS: u32 = 3;

/// Baseline purchase days from which confidence is high.
const HIGHLY_CONFIDENT_DAYS: u32 = 10;

/// How much of a baseline there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Fewer than 3 purchase days: nothing can be said.
    None,
    /// Fewer than 10.
    Low,
    /// 10 or more.
    High,
}

impl Confidence {
    /// As published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::High => "high",
        }
    }

    fn of(n_baseline_days: u32) -> Self {
        match n_baseline_days {
            0..CONFIDENT_DAYS => Self::None,
            CONFIDENT_DAYS..HIGHLY_CONFIDENT_DAYS => Self::Low,
            HIGHLY_CONFIDENT_DAYS.. => Self::High,
        }
    }
}

/// Whether spending falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrendState {
    /// Too few purchase days to know.
    Unknown,
    /// No alarm stands.
    Steady,
    /// An alarm of decline stands.
    Falling,
}

impl TrendState {
    /// As published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Steady => "steady",
            Self::Falling => "falling",
        }
    }
}

/// The trend on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Whether spending falls.
    pub state: TrendState,
    /// While falling: the day on which the evidence of the standing alarm began.
    pub since: Option<Day>,
    /// While falling: what fell.
    pub driver: Option<Driver>,
    /// Purchase days a day in the last 56 days against repeat purchase days a day before.
    pub orders_ratio: Option<f64>,
    /// Mean net of an order in the last 56 days against before; `None` without an order in them.
    pub basket_ratio: Option<f64>,
    /// The product of both; 0 without an order in the last 56 days.
    pub spend_ratio: Option<f64>,
    /// How much of a baseline there is.
    pub confidence: Confidence,
}

impl Trend {
    /// The trend on `today`, given the purchase days of its baseline.
    pub(super) fn of(ledger: &Ledger, latches: &Latches, today: Day, n_baseline_days: u32) -> Self {
        let confidence = Confidence::of(n_baseline_days);
        if confidence == Confidence::None {
            return Self {
                state: TrendState::Unknown,
                since: None,
                driver: None,
                orders_ratio: None,
                basket_ratio: None,
                spend_ratio: None,
                confidence,
            };
        }
        let comparison = Comparison::of(ledger, today);
        let (orders_ratio, basket_ratio) = (comparison.orders_ratio(), comparison.basket_ratio());
        let spend_ratio = match (orders_ratio, basket_ratio) {
            (Some(orders), Some(basket)) => Some(orders * basket),
            (Some(_), None) if comparison.n_days_recent == 0 => Some(0.0),
            (_, _) => None,
        };
        Self {
            state: if is_declining(latches) { TrendState::Falling } else { TrendState::Steady },
            since: standing(latches).map(|latch| latch.since).min(),
            driver: standing(latches).map(|latch| latch.driver).reduce(|_, _| Driver::Both),
            orders_ratio,
            basket_ratio,
            spend_ratio,
            confidence,
        }
    }
}

/// The standing alarms of decline.
fn standing(latches: &Latches) -> impl Iterator<Item = &Latch> {
    latches.orders.iter().chain(&latches.basket)
}

/// The last 56 days against everything before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    /// Purchase days in the last 56 days.
    pub(super) n_days_recent: u32,
    /// Repeat purchase days expected in 56 days at the earlier pace; `None` without an earlier one.
    pub(super) n_days_usual: Option<f64>,
    /// Mean net of an order in the last 56 days, in minor units.
    pub(super) basket_recent_minor: Option<f64>,
    /// Mean net of an order before, over the days that the ledger keeps, in minor units.
    pub(super) basket_usual_minor: Option<f64>,
}

impl Comparison {
    pub(super) fn of(ledger: &Ledger, today: Day) -> Self {
        let before_until = today.plus(-BASELINE_LAG_DAYS);
        let days = ledger.days();
        let (before, later) =
            days.split_at(days.partition_point(|entry| entry.day <= before_until));
        let recent = &later[..later.partition_point(|entry| entry.day <= today)];
        let n_repeat_before = ledger.n_days_until(before_until).saturating_sub(1);
        let days_before = ledger.first_day().map_or(0, |first| before_until.days_since(first));
        Self {
            n_days_recent: u32::try_from(recent.len()).unwrap_or(u32::MAX),
            n_days_usual: (n_repeat_before > 0 && days_before > 0).then(|| {
                f64::from(n_repeat_before) / f64::from(days_before) * f64::from(BASELINE_LAG_DAYS)
            }),
            basket_recent_minor: mean_basket_minor(recent),
            basket_usual_minor: mean_basket_minor(before),
        }
    }

    fn orders_ratio(&self) -> Option<f64> {
        self.n_days_usual.map(|usual| f64::from(self.n_days_recent) / usual)
    }

    fn basket_ratio(&self) -> Option<f64> {
        let usual = self.basket_usual_minor.filter(|usual| *usual > 0.0)?;
        Some(self.basket_recent_minor? / usual)
    }
}

fn mean_basket_minor(days: &[DayEntry]) -> Option<f64> {
    let net_minor: i128 = days.iter().map(|entry| entry.net_minor).sum();
    let n_orders: u64 = days.iter().map(|entry| u64::from(entry.n_orders)).sum();
    (n_orders > 0).then(|| minor_as_f64(net_minor) / minor_as_f64(i128::from(n_orders)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::{customer, day};

    fn latch(since: i32, driver: Driver) -> Latch {
        Latch { raised_on: day(0), baseline_on: day(0), since: day(since), driver }
    }

    fn trend(orders: &[(i32, i64)], latches: Latches, today: i32) -> Trend {
        let ledger = customer(orders).ledger;
        let n_baseline_days = ledger.n_days_until(day(today - 56));
        Trend::of(&ledger, &latches, day(today), n_baseline_days)
    }

    /// Eleven weekly orders of 40.00, then three of 10.00 in the 56 days up to day 126: 3 against
    /// 10 repeat days in 70, a quarter of the basket.
    fn falling() -> Vec<(i32, i64)> {
        let mut orders: Vec<(i32, i64)> = (0..11).map(|week| (week * 7, 4000)).collect();
        orders.extend([(71, 1000), (90, 1000), (126, 1000)]);
        orders
    }

    #[test]
    fn the_last_56_days_are_set_against_everything_before() {
        let trend = trend(&falling(), Latches::default(), 126);
        let close = |got: Option<f64>, expect: f64| (got.unwrap() - expect).abs() < 1e-12;
        assert!(close(trend.orders_ratio, 0.375), "{trend:?}");
        assert!(close(trend.basket_ratio, 0.25), "{trend:?}");
        assert!(close(trend.spend_ratio, 0.093_75), "{trend:?}");
        assert_eq!((trend.state, trend.confidence), (TrendState::Steady, Confidence::High));
    }

    #[test]
    fn without_an_order_in_56_days_nothing_is_spent_and_no_basket_known() {
        let trend = trend(&falling(), Latches::default(), 182);
        assert_eq!(trend.orders_ratio, Some(0.0));
        assert_eq!((trend.basket_ratio, trend.spend_ratio), (None, Some(0.0)));
    }

    #[test]
    fn too_few_baseline_days_are_unknown_whatever_stands() {
        let latches = Latches { orders: Some(latch(3, Driver::Frequency)), ..Latches::default() };
        let trend = trend(&falling(), latches, 69);
        assert_eq!((trend.state, trend.confidence), (TrendState::Unknown, Confidence::None));
        assert_eq!((trend.since, trend.driver, trend.orders_ratio), (None, None, None));
        for (n_baseline_days, word) in [(2, "none"), (3, "low"), (9, "low"), (10, "high")] {
            assert_eq!(Confidence::of(n_baseline_days).as_str(), word);
        }
    }

    #[test]
    fn a_standing_alarm_says_since_when_and_why_and_two_say_both() {
        let one = Latches { orders: Some(latch(90, Driver::Frequency)), ..Latches::default() };
        let falls = trend(&falling(), one, 126);
        assert_eq!(falls.state, TrendState::Falling);
        assert_eq!((falls.since, falls.driver), (Some(day(90)), Some(Driver::Frequency)));
        let two = Latches { basket: Some(latch(71, Driver::Basket)), ..one };
        let falls = trend(&falling(), two, 126);
        assert_eq!((falls.since, falls.driver), (Some(day(71)), Some(Driver::Both)));
    }
}

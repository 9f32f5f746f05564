//! Where a customer stands: the lifecycle, and the few numbers on which it and the value tier hang.
//! Reads no channel. Called by `reading`, `judge` and `pipeline`.

use crate::calendar::Day;
use crate::customer::{Customer, Latches};

use super::deadlines::{Deadlines, History, deadlines};
use super::settings::Rules;

/// Purchase days under which a customer is new.
const NEW_DAYS: u32 = 3;

/// Purchase days after a recovery from which it is no longer news.
const RECOVERED_DAYS: u32 = 2;

/// Why a score is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An event changed the customer.
    Event,
    /// A timer fell due.
    Time,
}

impl Cause {
    /// Every cause, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Event, Self::Time];

    /// As published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Time => "time",
        }
    }
}

/// The state of a customer's life with the shop: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// The lapse line is crossed.
    Lapsed,
    /// A living customer would rarely be silent so long.
    AtRisk,
    /// An alarm of decline stands.
    Declining,
    /// The last alarm cleared, and fewer than two purchase days have followed.
    Recovered,
    /// Fewer than three purchase days.
    New,
    /// None of the others.
    Active,
}

impl Lifecycle {
    /// Every state, in the order in which they are tried.
    pub const ALL: [Self; 6] =
        [Self::Lapsed, Self::AtRisk, Self::Declining, Self::Recovered, Self::New, Self::Active];

    /// As published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::AtRisk => "at_risk",
            Self::Declining => "declining",
            Self::Recovered => "recovered",
            Self::New => "new",
            Self::Active => "active",
        }
    }
}

/// What lifecycle and value tier hang on. Taken before an event is applied, so that a signal can
/// say from where the customer came.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub(super) history: Option<History>,
    n_days: u32,
    is_declining: bool,
    n_days_since_recovery: Option<u32>,
    /// Net revenue to date, refunds without their order taken off.
    pub(super) net_minor: i128,
    as_of_ms: i64,
}

impl Standing {
    /// How the customer stands now.
    pub fn of(customer: &Customer) -> Self {
        let (ledger, path) = (&customer.ledger, &customer.path);
        let n_days = ledger.n_days();
        Self {
            history: History::of(ledger),
            n_days,
            is_declining: is_declining(&path.latches),
            n_days_since_recovery: path
                .recovered_on
                .map(|day| n_days.saturating_sub(ledger.n_days_until(day))),
            net_minor: customer.totals.net_revenue_minor(),
            as_of_ms: path.as_of_ms,
        }
    }

    /// Net revenue to date, on which the value tier hangs.
    pub fn net_minor(&self) -> i128 {
        self.net_minor
    }

    /// The lifecycle as it was last published.
    pub fn lifecycle(&self, rules: &Rules) -> Lifecycle {
        self.history.map_or(Lifecycle::New, |history| {
            self.lifecycle_on(rules.calendar.day(self.as_of_ms), &deadlines(&history, rules))
        })
    }

    /// The lifecycle on a day, given the deadlines.
    pub(super) fn lifecycle_on(&self, today: Day, deadlines: &Deadlines) -> Lifecycle {
        let is_past = |deadline: Option<Day>| deadline.is_some_and(|on| today >= on);
        if self.history.is_none() {
            Lifecycle::New
        } else if is_past(deadlines.lapses_on) {
            Lifecycle::Lapsed
        } else if is_past(deadlines.at_risk_on) {
            Lifecycle::AtRisk
        } else if self.is_declining {
            Lifecycle::Declining
        } else if self.n_days_since_recovery.is_some_and(|n_days| n_days < RECOVERED_DAYS) {
            Lifecycle::Recovered
        } else if self.n_days < NEW_DAYS {
            Lifecycle::New
        } else {
            Lifecycle::Active
        }
    }
}

/// Whether an alarm of decline stands.
pub(super) fn is_declining(latches: &Latches) -> bool {
    latches.orders.is_some() || latches.basket.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::{Shop, customer, day};
    use crate::customer::{Driver, Latch};

    fn check(n_orders: i32, today: i32, has_alarm: bool, recovered_on: Option<i32>, expect: &str) {
        let orders: Vec<(i32, i64)> = (0..n_orders).map(|week| (week * 7, 4000)).collect();
        let mut customer = customer(&orders);
        let alarm = Latch {
            raised_on: day(10),
            baseline_on: day(7),
            since: day(7),
            driver: Driver::Basket,
        };
        customer.path.latches.basket = has_alarm.then_some(alarm);
        customer.path.recovered_on = recovered_on.map(day);
        customer.path.as_of_ms = i64::from(today) * crate::churn::testing::DAY_MS;
        let lifecycle = Standing::of(&customer).lifecycle(&Shop::new(None).rules());
        assert_eq!(lifecycle.as_str(), expect, "{n_orders} {today} {has_alarm} {recovered_on:?}");
    }

    #[test]
    fn the_first_state_that_holds_is_the_lifecycle() {
        check(20, 172, true, Some(133), "lapsed");
        check(20, 171, true, Some(133), "at_risk");
        check(20, 154, true, Some(133), "declining");
        check(20, 154, false, Some(126), "recovered");
        check(20, 154, false, Some(119), "active");
        check(20, 155, false, None, "at_risk");
        check(2, 14, true, Some(7), "declining");
        check(2, 14, false, Some(7), "recovered");
        check(2, 14, false, None, "new");
        check(3, 14, false, None, "active");
        check(0, 14, true, Some(7), "new");
    }
}

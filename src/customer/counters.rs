//! What is only counted: carts, support contacts, acquisition cost, and units of use by week. All
//! sums, so that order of arrival does not matter. Written by `Customer::apply`, read by `churn`
//! and `record`.

use crate::calendar::Day;

/// Sums over everything that is not an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Carts abandoned.
    pub n_carts_abandoned: u64,
    /// Support contacts.
    pub n_support_contacts: u64,
    /// What winning the customer has cost, in minor units of the base currency.
    pub acquisition_cost_minor: i128,
    /// Units of use by week.
    pub usage: Usage,
}

/// Units of use, in thousandths, of the latest [`Usage::WEEKS`] weeks up to the last one with a
/// record of use. What arrives later than that is dropped, whatever the order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub(crate) latest_week: Option<i32>,
    /// The latest week first.
    pub(crate) thousandths: [u64; Self::WEEKS],
}

impl Usage {
    /// How many weeks are kept.
    pub const WEEKS: usize = 16;

    /// The week of a day: weeks of seven days from 1970-01-01, a Thursday.
    pub fn week_of(day: Day) -> i32 {
        day.0.div_euclid(7)
    }

    /// The first day of a week.
    pub fn first_day(week: i32) -> Day {
        Day(week.saturating_mul(7))
    }

    /// The last week with a record of use.
    pub fn latest_week(&self) -> Option<i32> {
        self.latest_week
    }

    /// Use in the week, in thousandths of a unit; 0 for a week that is not kept.
    pub fn in_week(&self, week: i32) -> u64 {
        let weeks_back = self.latest_week.and_then(|latest| weeks_between(week, latest));
        weeks_back.and_then(|back| self.thousandths.get(back)).copied().unwrap_or(0)
    }

    pub(crate) fn record(&mut self, day: Day, thousandths: u64) {
        let week = Self::week_of(day);
        let latest = self.latest_week.map_or(week, |latest| latest.max(week));
        if let Some(weeks) = self.latest_week.and_then(|before| weeks_between(before, latest)) {
            let weeks = weeks.min(Self::WEEKS);
            self.thousandths.copy_within(..Self::WEEKS - weeks, weeks);
            self.thousandths[..weeks].fill(0);
        }
        self.latest_week = Some(latest);
        let bucket = weeks_between(week, latest).and_then(|back| self.thousandths.get_mut(back));
        if let Some(bucket) = bucket {
            *bucket = bucket.saturating_add(thousandths);
        }
    }
}

/// Weeks from the earlier to the later one, `None` when they come the other way round.
fn weeks_between(earlier: i32, later: i32) -> Option<usize> {
    usize::try_from(i64::from(later) - i64::from(earlier)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(records: &[(i32, u64)]) -> Usage {
        let mut usage = Usage::default();
        for &(day, thousandths) in records {
            usage.record(Day(day), thousandths);
        }
        usage
    }

    #[test]
    fn use_is_kept_by_week_for_sixteen_weeks() {
        let usage = usage(&[(0, 5), (6, 6), (7, 7), (14, 8), (105, 9), (111, 10)]);
        assert_eq!(usage.latest_week(), Some(15));
        assert_eq!(
            [0, 1, 2, 3, 15, 16, -1].map(|week| usage.in_week(week)),
            [11, 7, 8, 0, 19, 0, 0]
        );
    }

    #[test]
    fn use_older_than_sixteen_weeks_is_dropped_in_any_order_of_arrival() {
        let expect = usage(&[(112, 1)]);
        assert_eq!(usage(&[(0, 5), (112, 1)]), expect);
        assert_eq!(usage(&[(112, 1), (0, 5)]), expect);
        assert_eq!(usage(&[(-9999, 5), (i32::MIN, 1), (112, 1)]), expect);
        assert_eq!(usage(&[(i32::MIN, 1), (i32::MAX, 1)]).in_week(i32::MAX.div_euclid(7)), 1);
    }
}

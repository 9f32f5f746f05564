//! How many customers were active on each day and how many purchases fell on it: what a season
//! index is estimated from. Knows no customer by name. Filled with `statistics`.

use std::collections::BTreeMap;

use crate::calendar::Day;
use crate::clv::ActiveDay;
use crate::customer::Ledger;

/// A customer is active for so long after a purchase day.
const ACTIVE_DAYS: i32 = 365;

/// How far back a season is looked for: what a shop was like before says little of it now.
const YEARS_MAX: i32 = 10;

/// Purchases and active customers by day: the same customers give the same, in whatever order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// On days on which anything changed.
    changes: BTreeMap<Day, Change>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Change {
    /// Purchase days that fell on this one, first ones left out.
    n_purchases: u32,
    /// How many more customers are active than on the day before.
    n_active_more: i64,
}

impl Activity {
    /// Takes a customer as of a day. Of days that were folded away nothing is known.
    pub(super) fn take(&mut self, ledger: &Ledger, today: Day) {
        let mut active_until: Option<Day> = None;
        for day in ledger.days().iter().map(|entry| entry.day).filter(|day| *day <= today) {
            if ledger.first_day() != Some(day) {
                self.change(day).n_purchases += 1;
            }
            // A purchase makes active from the next day on.
            let (from, until) = (day.plus(1), day.plus(1 + ACTIVE_DAYS));
            match active_until.filter(|until| *until >= from) {
                Some(until) => self.change(until).n_active_more += 1,
                None => self.change(from).n_active_more += 1,
            }
            self.change(until).n_active_more -= 1;
            active_until = Some(until);
        }
    }

    fn change(&mut self, day: Day) -> &mut Change {
        self.changes.entry(day).or_default()
    }

    /// Each day of the last years up to `today`, ascending.
    pub(super) fn days(&self, today: Day) -> Vec<ActiveDay> {
        let begin = today.plus(-366 * YEARS_MAX);
        let begin = self.changes.keys().next().map_or(today, |first| begin.max(*first));
        let before = self.changes.range(..begin).map(|(_, change)| change.n_active_more);
        let mut n_active: i64 = before.sum();
        let mut days = Vec::new();
        let mut day = begin;
        while day <= today {
            let Change { n_purchases, n_active_more } =
                self.changes.get(&day).copied().unwrap_or_default();
            n_active += n_active_more;
            let n_active = u32::try_from(n_active).unwrap_or(0);
            days.push(ActiveDay { day, n_purchases, n_active });
            day = day.plus(1);
        }
        days
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::DayEntry;

    fn ledger(days: &[i32]) -> Ledger {
        let entry = |day| DayEntry { day: Day(day), net_minor: 100, n_orders: 1 };
        Ledger { days: days.iter().copied().map(entry).collect(), folded: None }
    }

    /// Counts again, customer by customer and day by day.
    #[test]
    fn active_are_those_who_bought_within_the_year_before() {
        let customers: [&[i32]; 4] = [&[0, 1, 400, 500], &[10], &[300, 664, 665, 1031], &[1100]];
        let mut activity = Activity::default();
        for days in customers {
            activity.take(&ledger(days), Day(1050));
        }
        let days = activity.days(Day(1050));
        assert_eq!((days[0].day, days.len()), (Day(1), 1050));
        for ActiveDay { day, n_purchases, n_active } in days {
            let of = |bought: &&&[i32]| bought.iter().any(|it| (1..=365).contains(&(day.0 - it)));
            assert_eq!(n_active, u32::try_from(customers.iter().filter(of).count()).unwrap());
            let again = customers.iter().filter(|it| it[1..].contains(&day.0)).count();
            assert_eq!(n_purchases, u32::try_from(again).unwrap(), "{day}");
        }
    }

    #[test]
    fn only_the_last_ten_years_are_looked_at_and_who_was_active_before_is_known() {
        let mut activity = Activity::default();
        activity.take(&ledger(&[0, 300, 5000]), Day(5100));
        activity.take(&ledger(&[1300, 1400]), Day(5100));
        let days = activity.days(Day(5100));
        assert_eq!((days[0].day, days[0].n_active), (Day(1440), 1));
        assert_eq!(Activity::default().days(Day(3)).len(), 1);
    }
}

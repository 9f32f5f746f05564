//! The day ledger: what each purchase day brought, net, and how many of its orders stand. A sum
//! over days, so that order of arrival does not matter. It knows no orders and no time: the
//! customer books changes, `clv` and `churn` read.

use crate::calendar::Day;
use crate::clv::Purchases;

/// Purchase days kept one by one; older ones are folded into sums.
pub const DAYS_KEPT_MAX: usize = 1024;

/// A purchase day: a calendar day with at least one standing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayEntry {
    /// The day, in the configured time zone.
    pub day: Day,
    /// What its standing orders brought after refunds, in minor units of the base currency; not
    /// negative, because a refund beyond its order is unmatched and belongs to no day.
    pub net_minor: i128,
    /// Orders of the day that stand, at least one.
    pub n_orders: u32,
}

/// Purchase days by date: the newest [`DAYS_KEPT_MAX`] one by one, older ones as sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Absent in all but the longest histories.
    pub(crate) folded: Option<Folded>,
    /// Ascending, all after the last folded day.
    pub(crate) days: Vec<DayEntry>,
}

/// The sums of the days too old to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) first_day: Day,
    pub(crate) last_day: Day,
    pub(crate) n_days: u32,
    pub(crate) n_orders: u64,
    pub(crate) net_minor: i128,
    /// Mean spend leaves the first day out, so its share has to stay known.
    pub(crate) first_net_minor: i128,
}

impl Ledger {
    /// The first purchase day.
    pub fn first_day(&self) -> Option<Day> {
        let kept = self.days.first().map(|entry| entry.day);
        self.folded.map(|folded| folded.first_day).or(kept)
    }

    /// The last purchase day.
    pub fn last_day(&self) -> Option<Day> {
        let folded = self.folded.map(|folded| folded.last_day);
        self.days.last().map(|entry| entry.day).or(folded)
    }

    /// How many purchase days there are, folded ones included.
    pub fn n_days(&self) -> u32 {
        self.n_folded().saturating_add(u32::try_from(self.days.len()).unwrap_or(u32::MAX))
    }

    /// The purchase days that are kept one by one, ascending.
    pub fn days(&self) -> &[DayEntry] {
        &self.days
    }

    /// How many purchase days were folded away.
    pub fn n_folded(&self) -> u32 {
        self.folded.map_or(0, |folded| folded.n_days)
    }

    /// How many orders stand.
    pub fn n_orders(&self) -> u64 {
        let folded = self.folded.map_or(0, |folded| folded.n_orders);
        self.days.iter().fold(folded, |sum, entry| sum.saturating_add(entry.n_orders.into()))
    }

    /// What all purchase days brought, in minor units of the base currency.
    pub fn net_minor(&self) -> i128 {
        let folded = self.folded.map_or(0, |folded| folded.net_minor);
        self.days.iter().fold(folded, |sum, entry| sum + entry.net_minor)
    }

    /// What all purchase days but the first brought, in minor units of the base currency: over
    /// `n_days() - 1` this is the mean spend m̄ of the Gamma-Gamma model (Fader and Hardie, note
    /// 025).
    pub fn repeat_net_minor(&self) -> i128 {
        let kept = self.days.first().map_or(0, |entry| entry.net_minor);
        self.net_minor() - self.folded.map_or(kept, |folded| folded.first_net_minor)
    }

    /// Frequency, recency and age for the models (Fader, Hardie and Lee 2005) as of `today`; `None`
    /// without a purchase day. A last day after `today` ends the age instead, so that the age is
    /// never below the recency.
    pub fn purchases(&self, today: Day) -> Option<Purchases> {
        let (first, last) = (self.first_day()?, self.last_day()?);
        let t_x_days = days_between(first, last);
        Some(Purchases {
            x: self.n_days() - 1,
            t_x_days,
            t_days: days_between(first, today).max(t_x_days),
        })
    }

    /// How many purchase days lie on or before `day`. Between the first and the last folded day
    /// only the first is known to, so it alone counts there.
    pub fn n_days_until(&self, day: Day) -> u32 {
        match self.folded {
            Some(folded) if day < folded.first_day => 0,
            Some(folded) if day < folded.last_day => 1,
            _ => {
                let kept = self.days.partition_point(|entry| entry.day <= day);
                self.n_folded().saturating_add(u32::try_from(kept).unwrap_or(u32::MAX))
            }
        }
    }

    /// Books a change of a day: net in minor units, and how many more orders stand on it.
    pub(crate) fn book(&mut self, day: Day, net_minor: i128, n_orders: i64) {
        if let Some(folded) = &mut self.folded
            && day <= folded.last_day
        {
            folded.book(day, net_minor, n_orders);
            if folded.n_orders == 0 {
                self.folded = None;
            }
            return;
        }
        match self.days.binary_search_by_key(&day, |entry| entry.day) {
            Ok(i) => {
                let entry = &mut self.days[i];
                entry.net_minor += net_minor;
                entry.n_orders = added(entry.n_orders, n_orders);
                if entry.n_orders == 0 {
                    self.days.remove(i);
                }
            }
            // A day that no order stands on has no net either.
            Err(i) if n_orders > 0 => {
                self.days.insert(i, DayEntry { day, net_minor, n_orders: added(0, n_orders) });
                if self.days.len() > DAYS_KEPT_MAX {
                    self.fold_oldest();
                }
            }
            Err(_) => {}
        }
    }

    fn fold_oldest(&mut self) {
        let DayEntry { day, net_minor, n_orders } = self.days.remove(0);
        let n_orders = u64::from(n_orders);
        self.folded = Some(match self.folded {
            None => Folded {
                first_day: day,
                last_day: day,
                n_days: 1,
                n_orders,
                net_minor,
                first_net_minor: net_minor,
            },
            Some(folded) => Folded {
                last_day: day,
                n_days: folded.n_days.saturating_add(1),
                n_orders: folded.n_orders.saturating_add(n_orders),
                net_minor: folded.net_minor + net_minor,
                ..folded
            },
        });
    }
}

impl Folded {
    /// Books a change so late that its day is folded. Which days were purchase days is no longer
    /// known: another standing order counts as another day, and orders that fall bring the days
    /// down only when there would be more days than orders. Sums stay exact, day counts do not.
    fn book(&mut self, day: Day, net_minor: i128, n_orders: i64) {
        self.net_minor += net_minor;
        self.n_orders = self.n_orders.saturating_add_signed(n_orders);
        let more_days = u32::from(n_orders > 0);
        let n_days_max = u32::try_from(self.n_orders).unwrap_or(u32::MAX);
        self.n_days = self.n_days.saturating_add(more_days).min(n_days_max);
        if day < self.first_day {
            self.first_day = day;
            self.first_net_minor = net_minor;
        } else if day == self.first_day {
            self.first_net_minor += net_minor;
        }
    }
}

fn added(n_orders: u32, more: i64) -> u32 {
    let sum = i64::from(n_orders).saturating_add(more).max(0);
    u32::try_from(sum).unwrap_or(u32::MAX)
}

/// Whole days from the earlier to the later day; 0 when they come the other way round.
fn days_between(earlier: Day, later: Day) -> u32 {
    u32::try_from(i64::from(later.0) - i64::from(earlier.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(bookings: &[(i32, i128, i64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for &(day, net_minor, n_orders) in bookings {
            ledger.book(Day(day), net_minor, n_orders);
        }
        ledger
    }

    fn check(bookings: &[(i32, i128, i64)], expect: &[(i32, i128, u32)]) {
        let got = ledger(bookings);
        let days: Vec<_> =
            got.days().iter().map(|entry| (entry.day.0, entry.net_minor, entry.n_orders)).collect();
        assert_eq!(days, expect, "{bookings:?}");
    }

    #[test]
    fn days_are_sorted_and_exist_while_an_order_stands() {
        check(&[], &[]);
        check(&[(5, 100, 1), (3, 70, 1), (5, 20, 1)], &[(3, 70, 1), (5, 120, 2)]);
        check(&[(5, 100, 1), (5, -30, 0)], &[(5, 70, 1)]);
        check(&[(5, 100, 1), (6, 1, 1), (5, -100, -1)], &[(6, 1, 1)]);
        check(&[(5, 0, 1)], &[(5, 0, 1)]);
    }

    #[test]
    fn frequency_recency_and_age_come_from_the_days() {
        let ledger = ledger(&[(10, 100, 2), (40, 50, 1), (25, 30, 1)]);
        let purchases = |today| ledger.purchases(Day(today)).unwrap();
        assert_eq!(purchases(70), Purchases { x: 2, t_x_days: 30, t_days: 60 });
        assert_eq!(purchases(20), Purchases { x: 2, t_x_days: 30, t_days: 30 });
        assert_eq!(Ledger::default().purchases(Day(0)), None);
        assert_eq!((ledger.net_minor(), ledger.repeat_net_minor()), (180, 80));
        assert_eq!([9, 10, 24, 25, 40].map(|day| ledger.n_days_until(Day(day))), [0, 1, 1, 2, 3]);
    }

    #[test]
    fn ages_between_the_ends_of_the_calendar_do_not_overflow() {
        let ledger = ledger(&[(i32::MIN, 1, 1), (i32::MAX, 1, 1)]);
        assert_eq!(ledger.purchases(Day(0)).unwrap().t_x_days, u32::MAX);
    }

    fn long() -> Ledger {
        let mut ledger = Ledger::default();
        for day in (0..1500).rev() {
            ledger.book(Day(day), i128::from(day) + 1, 2);
        }
        ledger
    }

    #[test]
    fn old_days_fold_into_sums_that_lose_nothing() {
        let ledger = long();
        assert_eq!((ledger.days().len(), ledger.n_folded(), ledger.n_days()), (1024, 476, 1500));
        assert_eq!((ledger.first_day(), ledger.last_day()), (Some(Day(0)), Some(Day(1499))));
        assert_eq!((ledger.net_minor(), ledger.n_orders()), (1500 * 1501 / 2, 3000));
        assert_eq!(ledger.repeat_net_minor(), 1500 * 1501 / 2 - 1);
        assert_eq!(
            [-1, 0, 100, 475, 480].map(|d| ledger.n_days_until(Day(d))),
            [0, 1, 1, 476, 481]
        );
    }

    #[test]
    fn changes_of_folded_days_keep_the_sums_exact() {
        let mut ledger = long();
        ledger.book(Day(-9), 500, 1);
        assert_eq!((ledger.first_day(), ledger.n_folded()), (Some(Day(-9)), 477));
        assert_eq!(ledger.repeat_net_minor(), 1500 * 1501 / 2);
        ledger.book(Day(-9), -500, -1);
        assert_eq!((ledger.n_folded(), ledger.net_minor()), (477, 1500 * 1501 / 2));
        ledger.book(Day(-9), 7, 0);
        assert_eq!(ledger.net_minor() - ledger.repeat_net_minor(), 7);
        ledger.book(Day(-9), -7, 0);
        for day in 0..475 {
            ledger.book(Day(day), -i128::from(day) - 1, -2);
        }
        assert_eq!((ledger.n_folded(), ledger.n_orders()), (2, 2050));
        ledger.book(Day(475), -476, -2);
        assert_eq!((ledger.n_folded(), ledger.first_day()), (0, Some(Day(476))));
    }
}

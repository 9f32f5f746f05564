//! The timer index of one partition: due day → customers, by the hash under which the store keeps
//! them. It says who is due next; what a due day means is the pipeline's to know.

use std::collections::BTreeMap;

use crate::calendar::Day;

/// Customers by due day. Two customers may share a day and a hash, so entries are counted.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeMap<(Day, u64), u32>,
    n_timers: usize,
}

/// Beyond this it does not matter how many are due.
const DUE_COUNTED_MAX: usize = 10_000;

/// Memory of one timer: key and count at the load of a B-tree's nodes.
pub const TIMER_BYTES: u64 = (16 + 4) * 10 / 7;

impl Timers {
    /// Moves one customer's timer.
    ///
    /// # Panics
    /// If `before` is not where the timer is: state and index disagree, and a signal would be lost.
    pub fn change(&mut self, hash: u64, before: Option<Day>, after: Option<Day>) {
        if before == after {
            return;
        }
        if let Some(day) = before {
            let count = self.due.get_mut(&(day, hash)).expect("a timer is taken out once");
            *count -= 1;
            if *count == 0 {
                self.due.remove(&(day, hash));
            }
            self.n_timers -= 1;
        }
        if let Some(day) = after {
            *self.due.entry((day, hash)).or_default() += 1;
            self.n_timers += 1;
        }
    }

    /// The earliest due day and the hash of a customer who is due on it.
    pub fn first(&self) -> Option<(Day, u64)> {
        self.due.first_key_value().map(|(key, _)| *key)
    }

    /// How many customers have a timer.
    pub fn len(&self) -> usize {
        self.n_timers
    }

    /// How many customers' timers are due by `day`; counting stops at 10,000.
    pub fn n_due(&self, day: Day) -> usize {
        self.due.range(..=(day, u64::MAX)).take(DUE_COUNTED_MAX).count()
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.n_timers == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_that_share_a_day_and_a_hash_are_counted() {
        let mut timers = Timers::default();
        timers.change(7, None, Some(Day(3)));
        timers.change(7, None, Some(Day(3)));
        timers.change(8, None, Some(Day(2)));
        assert_eq!(timers.first(), Some((Day(2), 8)));
        assert_eq!([1, 2, 3].map(|day| timers.n_due(Day(day))), [0, 1, 2]);
        timers.change(8, Some(Day(2)), None);
        timers.change(7, Some(Day(3)), Some(Day(9)));
        assert_eq!((timers.first(), timers.len()), (Some((Day(3), 7)), 2));
        timers.change(7, Some(Day(3)), None);
        timers.change(7, Some(Day(9)), None);
        assert!(timers.is_empty() && timers.first().is_none());
    }
}

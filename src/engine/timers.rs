//! The timer index of one partition: due day → customers, by the hash under which the store keeps
//! them. It says who is due next; what a due day means is the pipeline's to know. Changes are made
//! for each event and cost two look-ups; a day is put in order when it has come.

use std::collections::{BTreeMap, HashMap};

use rustc_hash::FxBuildHasher;

use crate::calendar::Day;
use crate::store::{Customers, Entry, hash_of};

/// Customers by due day.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeMap<Day, Hashes>,
    count: usize,
    next: Next,
}

/// The customers of one day. Two of them may share a hash, so they are counted.
type Hashes = HashMap<u64, u32, FxBuildHasher>;

/// The earliest day in the order in which it fires.
#[derive(Debug, Default)]
struct Next {
    day: Day,
    /// Descending. Who has left the day since is still here.
    hashes: Vec<u64>,
}

/// Sets the timer of every customer to the day that `judge` says, and returns the index of them.
pub fn set(customers: &Customers, mut judge: impl FnMut(Entry<'_>) -> Option<Day>) -> Timers {
    let mut timers = Timers::default();
    customers.set_due_days(|entry| {
        let due = judge(entry);
        timers.change(hash_of(entry.id), None, due);
        due
    });
    timers
}

/// Memory of one timer: hash, count and control byte in a map that is half full.
pub const TIMER_BYTES: u64 = (16 + 1) * 2;

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
            let hashes = self.due.get_mut(&day).expect("a timer is taken out of its day");
            let count = hashes.get_mut(&hash).expect("a timer is taken out once");
            *count -= 1;
            if *count == 0 {
                hashes.remove(&hash);
            }
            if hashes.is_empty() {
                self.due.remove(&day);
            } else if hashes.len() < hashes.capacity() / 4 {
                hashes.shrink_to(hashes.capacity() / 2);
            }
            self.count -= 1;
        }
        if let Some(day) = after {
            *self.due.entry(day).or_default().entry(hash).or_default() += 1;
            self.count += 1;
            if day == self.next.day
                && let Err(i) = self.next.hashes.binary_search_by(|it| hash.cmp(it))
            {
                self.next.hashes.insert(i, hash);
            }
        }
    }

    /// The earliest due day.
    pub fn first_day(&self) -> Option<Day> {
        self.due.first_key_value().map(|(day, _)| *day)
    }

    /// The earliest due day and the least hash of a customer who is due on it.
    pub fn first(&mut self) -> Option<(Day, u64)> {
        let (day, hashes) = self.due.first_key_value()?;
        if self.next.day != *day || self.next.hashes.is_empty() {
            let mut in_order: Vec<u64> = hashes.keys().copied().collect();
            in_order.sort_unstable_by(|hash, other| other.cmp(hash));
            self.next = Next { day: *day, hashes: in_order };
        }
        while let Some(hash) = self.next.hashes.last() {
            if hashes.contains_key(hash) {
                return Some((*day, *hash));
            }
            self.next.hashes.pop();
        }
        None
    }

    /// How many customers have a timer.
    pub fn len(&self) -> usize {
        self.count
    }

    /// How many customers' timers are due by `day`; customers who share a hash count once.
    pub fn n_due(&self, day: Day) -> usize {
        self.due.range(..=day).map(|(_, hashes)| hashes.len()).sum()
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.count == 0
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

    /// Whatever is moved while days are drained, in between and back again.
    #[test]
    fn the_first_is_the_least_day_and_hash_of_all() {
        let mut plain: BTreeMap<(Day, u64), u32> = BTreeMap::new();
        let mut timers = Timers::default();
        let mut state: u64 = 1;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (hash, day) = (state >> 40 & 15, Day((state >> 50 & 3) as i32));
            let due = plain.first_key_value().map(|(key, _)| *key);
            if state >> 60 < 8
                && let Some((day_due, hash_due)) = due
            {
                let after = (state >> 58 & 1 == 1).then_some(day);
                timers.change(hash_due, Some(day_due), after);
                let count = plain.get_mut(&(day_due, hash_due)).unwrap();
                *count -= 1;
                if *count == 0 {
                    plain.remove(&(day_due, hash_due));
                }
                if let Some(day) = after {
                    *plain.entry((day, hash_due)).or_default() += 1;
                }
            } else {
                timers.change(hash, None, Some(day));
                *plain.entry((day, hash)).or_default() += 1;
            }
            if state >> 57 & 1 == 1 {
                assert_eq!(timers.first(), plain.first_key_value().map(|(key, _)| *key));
            }
            assert_eq!(timers.len(), plain.values().sum::<u32>() as usize);
        }
    }
}

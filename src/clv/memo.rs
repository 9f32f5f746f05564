//! A bounded table of values that are functions of two small whole numbers: a number of purchase
//! days and an age. A pair that takes another's place only costs that one another computation.

/// Values by pair, each at the one place where its pair may lie.
#[derive(Clone, Debug)]
pub struct Memo<T> {
    entries: Box<[(u32, u32, T)]>,
    bits: u32,
}

/// Frequencies that have places of their own; higher ones share them.
const FREQUENCY_BITS: u32 = 6;

/// The frequency of a place where nothing lies: nobody buys on so many days.
const NOBODY: u32 = u32::MAX;

impl<T: Copy + Default> Memo<T> {
    /// An empty table of 2^`bits` places, 6 to 31 bits: for each of 64 frequencies as many ages as
    /// there are places for.
    pub fn new(bits: u32) -> Self {
        Self { entries: vec![(NOBODY, 0, T::default()); 1 << bits].into(), bits }
    }

    /// The value of a pair, if it is here.
    pub fn get(&self, x: u32, days: u32) -> Option<T> {
        let (x_here, days_here, value) = self.entries[self.place(x, days)];
        (x_here == x && days_here == days).then_some(value)
    }

    /// Puts the value of a pair in its place.
    pub fn put(&mut self, x: u32, days: u32, value: T) {
        self.entries[self.place(x, days)] = (x, days, value);
    }

    /// The ages of one frequency lie side by side.
    fn place(&self, x: u32, days: u32) -> usize {
        let age_bits = self.bits - FREQUENCY_BITS;
        let row = x % (1 << FREQUENCY_BITS);
        ((row << age_bits) + days % (1 << age_bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frequencies_and_ages_lie_side_by_side_and_others_take_their_places() {
        let mut memo = Memo::new(8);
        assert_eq!(memo.get(0, 0), None);
        let pairs = || (0..64).flat_map(|x| (0..4).map(move |days| (x, days)));
        for (x, days) in pairs() {
            memo.put(x, days, 10 * x + days);
        }
        assert!(pairs().all(|(x, days)| memo.get(x, days) == Some(10 * x + days)));
        memo.put(65, 6, 1);
        assert_eq!((memo.get(65, 6), memo.get(1, 2), memo.get(1, 6)), (Some(1), None, None));
        assert_eq!(pairs().filter(|(x, days)| memo.get(*x, *days).is_some()).count(), 255);
    }
}

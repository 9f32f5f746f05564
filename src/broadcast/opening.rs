//! The beginning of a reading: what lay in the topic already, put into the order in which it came
//! over all partitions. Knows no Kafka: it is given records, and where partitions begin and end.
//! Used by `kafka::signals`.

use std::collections::VecDeque;

use super::Signal;
use super::position::Position;
use super::ring::{Ring, SIGNALS_MAX};

/// The signals of all partitions up to where they ended when the reading began.
#[derive(Debug)]
pub struct Opening {
    partitions: Vec<Partition>,
}

#[derive(Debug)]
struct Partition {
    begin: i64,
    end: i64,
    offset_next: i64,
    /// Something was heard of it: an empty one that may not be read is silent.
    is_heard: bool,
    /// The newest, each with the latest time up to it.
    signals: VecDeque<(i64, Signal)>,
}

impl Opening {
    /// Waits for the signals of partitions 0, 1, …, of each from the first offset on until the
    /// second.
    pub fn new(bounds: &[(i64, i64)]) -> Self {
        let partition = |&(begin, end): &(i64, i64)| {
            let (is_heard, signals) = (false, VecDeque::new());
            Partition { begin, end, offset_next: begin, is_heard, signals }
        };
        Self { partitions: bounds.iter().map(partition).collect() }
    }

    /// Takes the next signal of its partition, which was written at `written_ms`.
    pub fn push(&mut self, written_ms: i64, signal: Signal) {
        self.pass(signal.partition, signal.offset + 1);
        let Some(partition) = self.partitions.get_mut(signal.partition) else { return };
        // Clocks of processes differ; the order within a partition is not to be touched.
        let latest_ms = partition.signals.back().map_or(written_ms, |(ms, _)| written_ms.max(*ms));
        if partition.signals.len() >= SIGNALS_MAX
            && let Some((_, oldest)) = partition.signals.pop_front()
        {
            partition.begin = oldest.offset + 1;
        }
        partition.signals.push_back((latest_ms, signal));
    }

    /// Everything before `offset_next` of the partition was read.
    pub fn pass(&mut self, partition: usize, offset_next: i64) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.is_heard = true;
            partition.offset_next = partition.offset_next.max(offset_next);
        }
    }

    /// The partition has nothing more, and the reader cannot say where it is: at the end, or before
    /// anything.
    pub fn end(&mut self, partition: usize) {
        let end = self.partitions.get(partition).map_or(0, |partition| partition.end);
        self.pass(partition, end);
    }

    /// Whether every partition was read up to its end.
    pub fn is_complete(&self) -> bool {
        self.partitions.iter().all(|one| one.is_heard && one.offset_next >= one.end)
    }

    pub(super) fn into_ring(self) -> Ring {
        let begins = self.partitions.iter().map(|partition| partition.begin).collect();
        let mut ring = Ring::new(Position::new(begins));
        let ends: Vec<i64> = self.partitions.iter().map(|one| one.offset_next).collect();
        let mut signals: Vec<_> = self.partitions.into_iter().flat_map(|one| one.signals).collect();
        // Stable, so that signals of one time keep the order of their partition.
        signals.sort_by_key(|(written_ms, _)| *written_ms);
        for (_, signal) in signals {
            ring.push(signal);
        }
        ends.into_iter().enumerate().for_each(|(partition, next)| ring.pass(partition, next));
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::testing::{read, signal};

    #[test]
    fn what_lay_there_comes_by_time_and_each_partition_in_its_order() {
        let mut opening = Opening::new(&[(0, 6), (0, 3)]);
        // The clock of partition 0 goes back in between.
        for (at_ms, offset) in [(10, 0), (30, 2), (20, 4)] {
            opening.push(at_ms, signal(0, offset));
        }
        opening.push(25, signal(1, 0));
        opening.push(40, signal(1, 2));
        let ring = opening.into_ring();
        let all = read(&ring, ring.newest(9));
        assert_eq!(all.given, ["0@0", "1@0", "0@2", "0@4", "1@2"]);
        assert_eq!(read(&ring, ring.newest(2)).given, ["0@4", "1@2"]);
    }

    #[test]
    fn it_is_complete_when_each_partition_was_heard_of_and_read_to_its_end() {
        let mut opening = Opening::new(&[(0, 4), (7, 7)]);
        opening.push(1, signal(0, 2));
        assert!(!opening.is_complete(), "offset 3 and partition 1 are missing");
        opening.pass(0, 4);
        assert!(!opening.is_complete(), "nothing was heard of partition 1");
        opening.end(1);
        assert!(opening.is_complete());
        let ring = opening.into_ring();
        let mut cursor = ring.newest(0);
        assert_eq!(ring.next(&mut cursor), None);
        assert!(ring.has_read(&ring.behind("4.7".parse().ok())));
        assert!(!ring.has_read(&ring.behind("4.8".parse().ok())));
    }

    #[test]
    fn what_does_not_fit_is_a_gap_to_who_was_there() {
        let n_max = i64::try_from(SIGNALS_MAX).unwrap();
        let mut opening = Opening::new(&[(0, n_max + 2)]);
        (0..n_max + 2).for_each(|offset| opening.push(offset, signal(0, offset)));
        let ring = opening.into_ring();
        let check = |place: &str, expect: (usize, usize)| {
            let found = read(&ring, ring.behind(place.parse().ok()));
            assert_eq!((found.n_gaps, found.given.len()), expect, "{place}");
        };
        check("2", (0, SIGNALS_MAX));
        check("1", (1, SIGNALS_MAX));
    }
}

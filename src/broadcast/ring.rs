//! The newest signals with their places, and what a reader that has come so far is to be given
//! next. Pure: no clock, no lock, no Kafka. Filled and asked by the rest of `broadcast`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::position::Position;

/// How many signals are held.
pub const SIGNALS_MAX: usize = 1000;

/// A record of the signals topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its partition.
    pub partition: usize,
    /// Its own offset.
    pub offset: i64,
    /// Its value, in one line.
    pub json: Arc<str>,
}

/// The newest signals, oldest first; of each partition in the order of its offsets.
#[derive(Debug)]
pub(super) struct Ring {
    signals: VecDeque<Signal>,
    /// The number of the oldest one: they are counted from the ring's beginning on.
    first: u64,
    /// Everything from here up to `head` is held.
    tail: Position,
    /// Everything before was read.
    head: Position,
}

/// How far one reader is.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    /// What it has been given or has passed over; none of that is given again.
    position: Position,
    /// The number of the next signal to look at.
    at: u64,
    /// Where it comes from cannot be gone on from.
    is_lost: bool,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A signal, and the place right behind it.
    Signal {
        /// The record's value.
        json: Arc<str>,
        /// Where the reader is with it.
        position: Position,
    },
    /// Signals before this place are not held any more, or the reader's place was none.
    Gap {
        /// Where the reader goes on.
        position: Position,
    },
}

impl Ring {
    /// An empty ring that is read on from here.
    pub(super) fn new(begin: Position) -> Self {
        Self { signals: VecDeque::new(), first: 0, tail: begin.clone(), head: begin }
    }

    /// Takes the next signal of its partition. One that was passed already is none.
    pub(super) fn push(&mut self, signal: Signal) {
        if signal.offset < self.head.offset_next(signal.partition) {
            return;
        }
        self.pass(signal.partition, signal.offset + 1);
        if self.signals.len() >= SIGNALS_MAX
            && let Some(oldest) = self.signals.pop_front()
        {
            self.tail.pass(oldest.partition, oldest.offset + 1);
            self.first += 1;
        }
        self.signals.push_back(signal);
    }

    /// Everything before `offset_next` of the partition was read.
    pub(super) fn pass(&mut self, partition: usize, offset_next: i64) {
        self.head.pass(partition, offset_next);
    }

    /// A reader that begins with the newest `n_signals`.
    pub(super) fn newest(&self, n_signals: usize) -> Cursor {
        let n_passed = self.signals.len().saturating_sub(n_signals);
        let mut position = self.tail.clone();
        for signal in self.signals.iter().take(n_passed) {
            position.pass(signal.partition, signal.offset + 1);
        }
        Cursor { position, at: self.first + n_passed as u64, is_lost: false }
    }

    /// A reader that goes on where it was; without a place that is known, after a gap.
    pub(super) fn behind(&self, position: Option<Position>) -> Cursor {
        let is_lost = position.is_none();
        Cursor { position: position.unwrap_or_default(), at: self.first, is_lost }
    }

    /// Whether everything that the reader had was read here too. It may come from a process that
    /// reads faster, or from a topic of this name that is gone.
    pub(super) fn has_read(&self, cursor: &Cursor) -> bool {
        self.head.reaches(&cursor.position)
    }

    /// What the reader is given next; `None` when it has everything.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Next> {
        if cursor.is_lost {
            *cursor = Cursor { position: self.tail.clone(), at: self.first, is_lost: false };
            return Some(Next::Gap { position: cursor.position.clone() });
        }
        cursor.at = cursor.at.max(self.first);
        if !cursor.position.reaches(&self.tail) {
            cursor.position.join(&self.tail);
            return Some(Next::Gap { position: cursor.position.clone() });
        }
        while let Some(signal) = self.numbered(cursor.at) {
            cursor.at += 1;
            if signal.offset >= cursor.position.offset_next(signal.partition) {
                cursor.position.pass(signal.partition, signal.offset + 1);
                let (json, position) = (Arc::clone(&signal.json), cursor.position.clone());
                return Some(Next::Signal { json, position });
            }
        }
        // What lies between the last signal and the head are the marks of transactions.
        cursor.position.join(&self.head);
        None
    }

    fn numbered(&self, number: u64) -> Option<&Signal> {
        self.signals.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

impl Cursor {
    /// Its place is none of this topic.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::testing::{Reader, read, signal};

    /// Partitions 0 and 1, one record in two a mark of a transaction.
    fn ring(n_signals: i64) -> Ring {
        let mut ring = Ring::new(Position::new(vec![0, 0]));
        (0..n_signals).for_each(|number| ring.push(signal(number % 2, number / 2 * 2)));
        ring
    }

    #[test]
    fn a_reader_resumes_exactly_behind_any_place() {
        let ring = ring(40);
        let all = read(&ring, ring.newest(40));
        assert_eq!((all.given.len(), all.n_gaps), (40, 0));
        for (n_read, place) in all.places.iter().enumerate() {
            let place = place.to_string().parse().unwrap();
            let rest = read(&ring, ring.behind(Some(place)));
            assert_eq!(rest.given, all.given[n_read + 1..], "behind {n_read}");
            assert_eq!(rest.n_gaps, 0);
        }
    }

    /// Goal: another process has read the same partitions in another order.
    #[test]
    fn a_place_means_the_same_where_partitions_were_read_in_another_order() {
        let first = ring(40);
        let mut second = Ring::new(Position::new(vec![0, 0]));
        for partition in [1, 0] {
            (0..20).for_each(|number| second.push(signal(partition, number * 2)));
        }
        let all = read(&first, first.newest(40));
        for n_read in 0..40 {
            let mut whole = Reader::default();
            whole.given.extend_from_slice(&all.given[..=n_read]);
            // Every place on the way is one to go on from, in whichever process.
            let mut place = all.places[n_read].clone();
            for turn in 0..40 {
                let ring = if turn % 2 == 0 { &second } else { &first };
                let mut cursor = ring.behind(Some(place.clone()));
                match ring.next(&mut cursor) {
                    Some(Next::Signal { json, position }) => {
                        whole.given.push(json.to_string());
                        place = position;
                    }
                    Some(Next::Gap { .. }) => panic!("a gap at {place}"),
                    None => break,
                }
            }
            assert_eq!(whole.by_partition(0), all.by_partition(0), "from {n_read}");
            assert_eq!(whole.by_partition(1), all.by_partition(1), "from {n_read}");
        }
    }

    #[test]
    fn a_reader_that_was_overtaken_is_told_of_the_gap_and_goes_on_with_the_oldest_held() {
        let mut ring = ring(10);
        let mut slow = ring.newest(10);
        let n_max = i64::try_from(SIGNALS_MAX).unwrap();
        assert!(matches!(ring.next(&mut slow), Some(Next::Signal { .. })));
        (10..=n_max).for_each(|number| ring.push(signal(number % 2, number / 2 * 2)));
        // One was dropped, and that one was read.
        assert_eq!(read(&ring, slow.clone()).n_gaps, 0);
        ring.push(signal(0, 10_000));
        let late = read(&ring, slow);
        assert_eq!((late.given.len(), late.n_gaps), (SIGNALS_MAX, 1));
        assert_eq!(late.given[0], signal(0, 2).json.to_string());
    }

    #[test]
    fn a_place_over_the_edge_of_the_ring_is_a_gap_and_the_one_on_the_edge_is_none() {
        let mut ring = Ring::new(Position::new(vec![100, 50]));
        ring.push(signal(0, 100));
        let check = |place: &str, expect: (usize, usize)| {
            let found = read(&ring, ring.behind(place.parse().ok()));
            assert_eq!((found.n_gaps, found.given.len()), expect, "{place}");
        };
        check("100.50", (0, 1));
        check("101.50", (0, 0));
        check("99.50", (1, 1));
        check("100.49", (1, 1));
        check("101.49", (1, 0));
        check("100", (1, 1));
        check("", (1, 1));
    }

    #[test]
    fn after_a_gap_the_place_is_one_to_go_on_from() {
        let mut ring = Ring::new(Position::new(vec![100, 50]));
        ring.push(signal(1, 60));
        for place in [Some(Position::new(vec![3, 3])), None] {
            let mut cursor = ring.behind(place);
            let Some(Next::Gap { position }) = ring.next(&mut cursor) else { panic!("no gap") };
            let found = read(&ring, ring.behind(Some(position)));
            assert_eq!((found.n_gaps, found.given.len()), (0, 1));
        }
    }

    #[test]
    fn the_marks_behind_the_last_signal_are_passed_once_they_are_known() {
        let mut ring = ring(2);
        ring.pass(0, 2);
        let mut cursor = ring.newest(0);
        assert_eq!(ring.next(&mut cursor), None);
        ring.push(signal(1, 7));
        let Some(Next::Signal { position, .. }) = ring.next(&mut cursor) else { panic!() };
        assert_eq!(position.to_string(), "2.8");
    }

    #[test]
    fn a_record_that_was_passed_is_not_taken_again() {
        let mut ring = ring(2);
        ring.push(signal(0, 0));
        assert_eq!(read(&ring, ring.newest(9)).given.len(), 2);
    }

    #[test]
    fn a_place_of_a_topic_that_is_gone_is_noticed() {
        let ring = ring(4);
        let check = |place: &str, expect: bool| {
            let cursor = ring.behind(place.parse().ok());
            assert_eq!(ring.has_read(&cursor), expect, "{place}");
        };
        check("3.3", true);
        check("4.3", false);
        check("3.3.0", true);
        check("3.3.1", false);
    }
}

//! Whether the partitions of a lane come on, judged from what is seen of each every few seconds. It
//! asks nobody and takes the time as an argument. `steward` tells it what it sees and does what it
//! says.
//!
//! A partition stalls while there is work and the same is seen for longer than the timeout. Time in
//! which nothing could be seen (no broker answered) does not count, and what a producer's open
//! transaction holds back is no work yet.

use std::collections::BTreeMap;
use std::time::Duration;

/// What is seen of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    /// What there is to do.
    pub(super) work: Work,
    /// Another value after each commit, and after each step of a restore.
    pub(super) progress: (i64, Option<i64>),
}

/// What there is to do for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing, or nothing that can be judged.
    None,
    /// So many records wait, at most.
    Records(i64),
    /// So many records of the changelog, at most.
    Restore(i64),
}

/// What a stall asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It comes on.
    Fine,
    /// It has just been found to stall: read it again. The sentence says what is so.
    Heal(String),
    /// It has been healed and stalls still.
    Stalled(String),
    /// Healing it has not helped within another timeout: the process must end.
    GiveUp(String),
}

/// What is known of the partitions of one lane.
#[derive(Debug)]
pub(super) struct Watchdog {
    timeout: Duration,
    watched: BTreeMap<i32, Watched>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    progress: (i64, Option<i64>),
    /// Since when it has been so, with work to do.
    since: Duration,
    is_healed: bool,
}

impl Watchdog {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, watched: BTreeMap::new() }
    }

    /// Judges what is seen at `now`, on any clock that does not go back.
    pub(super) fn see(&mut self, partition: i32, sight: Sight, now: Duration) -> Verdict {
        let (what, is_work) = match sight.work {
            Work::None => (String::new(), false),
            Work::Records(n) => (format!("`{n}` records wait and none was processed"), true),
            Work::Restore(n) => (format!("`{n}` records are to be restored and none was"), true),
        };
        let fresh = Watched { progress: sight.progress, since: now, is_healed: false };
        let watched = self.watched.entry(partition).or_insert(fresh);
        if !is_work || watched.progress != sight.progress {
            *watched = fresh;
        }
        let elapsed = now.saturating_sub(watched.since);
        if elapsed < self.timeout {
            return Verdict::Fine;
        }
        let sentence = format!("partition `{partition}`: {what} for {} s", elapsed.as_secs());
        if !watched.is_healed {
            watched.is_healed = true;
            Verdict::Heal(sentence)
        } else if elapsed < self.timeout * 2 {
            Verdict::Stalled(sentence)
        } else {
            Verdict::GiveUp(sentence)
        }
    }

    /// Forgets the partition: it is gone, or nobody could say anything about it.
    pub(super) fn forget(&mut self, partition: i32) {
        self.watched.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line each: when it is seen, the work, the progress, and what must be said.
    fn check(lines: &[(u64, Work, i64, &str)]) {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        for (now_s, work, progress, expect) in lines {
            let sight = Sight { work: *work, progress: (*progress, None) };
            let said = match watchdog.see(3, sight, Duration::from_secs(*now_s)) {
                Verdict::Fine => "fine".to_owned(),
                Verdict::Heal(sentence) => format!("heal {sentence}"),
                Verdict::Stalled(sentence) => format!("stalled {sentence}"),
                Verdict::GiveUp(sentence) => format!("give up {sentence}"),
            };
            assert!(said.starts_with(expect), "at {now_s} s: {said}");
        }
    }

    #[test]
    fn a_partition_that_waits_is_healed_once_and_given_up_after_another_timeout() {
        let waiting = Work::Records(7);
        check(&[
            (0, waiting, 1, "fine"),
            (9, waiting, 1, "fine"),
            (10, waiting, 1, "heal partition `3`: `7` records wait and none was processed for 10"),
            (12, waiting, 1, "stalled"),
            (19, Work::Records(9), 1, "stalled partition `3`: `9` records"),
            (20, waiting, 1, "give up partition `3`: `7` records"),
        ]);
    }

    #[test]
    fn progress_and_an_end_of_the_work_begin_anew() {
        let waiting = Work::Records(7);
        check(&[
            (0, waiting, 1, "fine"),
            (12, waiting, 1, "heal"),
            (14, waiting, 2, "fine"),
            (23, waiting, 2, "fine"),
            (24, waiting, 2, "heal"),
            (26, Work::None, 2, "fine"),
            (60, Work::None, 2, "fine"),
            (61, waiting, 2, "fine"),
            (70, waiting, 2, "heal"),
        ]);
    }

    #[test]
    fn a_restore_counts_only_while_it_does_not_advance() {
        check(&[
            (0, Work::Restore(100), 1, "fine"),
            (9, Work::Restore(90), 2, "fine"),
            (18, Work::Restore(80), 3, "fine"),
            (28, Work::Restore(80), 3, "heal partition `3`: `80` records are to be restored"),
        ]);
    }

    #[test]
    fn time_in_which_nothing_was_seen_does_not_count() {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        let sight = Sight { work: Work::Records(1), progress: (1, None) };
        let see = |watchdog: &mut Watchdog, now_s| {
            watchdog.see(3, sight, Duration::from_secs(now_s)) == Verdict::Fine
        };
        assert!(see(&mut watchdog, 0));
        watchdog.forget(3);
        assert!(see(&mut watchdog, 300) && see(&mut watchdog, 309) && !see(&mut watchdog, 310));
    }
}

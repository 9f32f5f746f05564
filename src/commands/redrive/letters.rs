//! Which dead letters are wanted, and what may be done with each: filters, receipts and erasures
//! in, a verdict out. It speaks to no broker. Called by `redrive`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::cli;
use crate::event::{self, Reason};
use crate::kafka::placement::follow;
use crate::record::dead_letter::{DeadLetter, Origin};
use crate::record::erased::{self, ErasedHash};
use crate::record::redriven::Offsets;

/// A dead letter with its place in the dead-letter topic.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) record: DeadLetter,
    pub(super) origin: Origin,
}

/// What may be done with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The filters leave it out.
    Unwanted,
    /// An earlier run has sent it.
    SentBefore,
    /// It is of another input topic, whose customers are not those of this one.
    Foreign,
    /// An earlier letter is of the same record.
    Repeat,
    /// It is not the whole record.
    Cut,
    /// Its customer was erased, and it is not known to be of a later day.
    Erased,
    /// Nobody can say where its customer lies now.
    Unplaced,
    /// It can be sent.
    Sendable,
}

/// Where a record goes in the input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into this partition.
    At(i32),
    /// Wherever its key belongs.
    ByKey,
    /// Nobody can say: its partition was of another count, and no one partitioner explains it.
    Unknown,
}

/// What a run knows before it judges the first letter.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) arguments: &'a cli::Redrive,
    pub(super) input_topic: &'a str,
    /// Of the input topic.
    pub(super) n_partitions: i32,
    /// What was sent before, by partition of the dead-letter topic.
    pub(super) sent: BTreeMap<i32, Offsets>,
    /// Erased customers: hash of the id → time of the erasure in milliseconds.
    pub(super) erased: BTreeMap<ErasedHash, i64>,
    /// Of which records letters were met: a topic that was made anew has other records at the same
    /// offsets, so it is not the place alone that tells.
    pub(super) met: BTreeSet<u128>,
}

impl Known<'_> {
    /// Judges a letter, in the order in which they lie: of two of one record the first counts. A
    /// new group that reads everything again writes a second one.
    pub(super) fn judge(&mut self, letter: &Letter) -> Verdict {
        let is_repeat = !self.met.insert(letter.record.identity(&letter.origin));
        if !self.is_wanted(letter) {
            Verdict::Unwanted
        } else if letter.origin.topic != self.input_topic {
            Verdict::Foreign
        } else if self.sent.get(&letter.partition).is_some_and(|it| it.contains(letter.offset)) {
            Verdict::SentBefore
        } else if is_repeat {
            Verdict::Repeat
        } else if !letter.origin.is_whole {
            Verdict::Cut
        } else if self.is_erased(letter) {
            Verdict::Erased
        } else if self.place(letter) == Place::Unknown {
            Verdict::Unplaced
        } else {
            Verdict::Sendable
        }
    }

    fn is_wanted(&self, letter: &Letter) -> bool {
        let cli::Redrive { reasons, partitions, since, until, .. } = self.arguments;
        let at_ms = letter.timestamp_ms;
        (reasons.is_empty() || reasons.contains(&letter.origin.rejection.reason))
            && (partitions.is_empty() || partitions.contains(&letter.origin.partition))
            && since.is_none_or(|since| at_ms.is_some_and(|at_ms| at_ms >= since.as_millisecond()))
            && until.is_none_or(|until| at_ms.is_some_and(|at_ms| at_ms < until.as_millisecond()))
    }

    /// The key names the customer, and so does the payload where the key is another's or missing.
    /// One who has come back has events of after the erasure. When a letter was written tells
    /// nothing: the processor may have been behind.
    fn is_erased(&self, letter: &Letter) -> bool {
        let DeadLetter { key, payload, .. } = &letter.record;
        let key = key.as_deref().and_then(|key| str::from_utf8(key).ok());
        let subject = event::subject(payload.as_deref().unwrap_or_default());
        let ids = key.into_iter().chain(subject.customer_id.as_deref());
        let erased_at_ms = ids.filter_map(|id| self.erased.get(&erased::hash_of(id))).max();
        erased_at_ms.is_some_and(|erased_at_ms| {
            subject.occurred_at_ms.is_none_or(|at_ms| at_ms <= *erased_at_ms)
        })
    }

    /// Where a letter's record goes.
    pub(super) fn place(&self, letter: &Letter) -> Place {
        let Origin { partition, n_partitions, .. } = &letter.origin;
        let n_before = n_partitions.unwrap_or(self.n_partitions);
        if *partition < 0 {
            Place::ByKey
        } else if n_before == self.n_partitions {
            if *partition < n_before { Place::At(*partition) } else { Place::ByKey }
        } else {
            let key = letter.record.key.as_deref();
            let place = key.and_then(|key| follow(key, *partition, n_before, self.n_partitions));
            place.map_or(Place::Unknown, Place::At)
        }
    }
}

/// What was found, by verdict and by where it was refused.
#[derive(Debug, Default)]
pub(super) struct Tally {
    n_letters: u64,
    /// Records that are neither letters nor receipts.
    pub(super) n_foreign: u64,
    n_by_verdict: [u64; 8],
    /// By reason and input partition, of what is wanted.
    groups: BTreeMap<(Reason, i32), Group>,
}

#[derive(Debug)]
struct Group {
    n_wanted: u64,
    n_sendable: u64,
    detail: String,
}

impl Tally {
    pub(super) fn take(&mut self, letter: &Letter, verdict: Verdict) {
        self.n_letters += 1;
        self.n_by_verdict[verdict as usize] += 1;
        if verdict == Verdict::Unwanted {
            return;
        }
        let rejection = &letter.origin.rejection;
        let group = self.groups.entry((rejection.reason, letter.origin.partition));
        let group = group.or_insert_with(|| Group {
            n_wanted: 0,
            n_sendable: 0,
            detail: rejection.detail.clone(),
        });
        group.n_wanted += 1;
        group.n_sendable += u64::from(verdict == Verdict::Sendable);
    }

    pub(super) fn print(&self, out: &mut impl Write, topic: &str) -> io::Result<()> {
        let n = |verdict: Verdict| self.n_by_verdict[verdict as usize];
        writeln!(out, "{:>10} dead letters in `{topic}`", self.n_letters)?;
        let wanted = self.n_letters - n(Verdict::Unwanted);
        for (count, what) in [
            (wanted, "match"),
            (n(Verdict::SentBefore), "  sent before"),
            (n(Verdict::Foreign), "  of another input topic"),
            (n(Verdict::Repeat), "  of a record that an earlier letter is of"),
            (n(Verdict::Cut), "  cut to fit a message: whole only where they were refused"),
            (n(Verdict::Erased), "  of erased customers"),
            (n(Verdict::Unplaced), "  refused under another partition count, with no place now"),
            (n(Verdict::Sendable), "  can be sent"),
        ] {
            writeln!(out, "{count:>10} {what}")?;
        }
        for ((reason, partition), group) in &self.groups {
            let Group { n_wanted, n_sendable, detail } = group;
            let of = format!("{reason} in partition {partition}, {n_sendable} can be sent");
            writeln!(out, "{n_wanted:>10} {of}, as in: {detail}")?;
        }
        if self.n_foreign > 0 {
            writeln!(out, "{:>10} other records, not of lifetide", self.n_foreign)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, Redrive};
    use crate::event::Rejection;
    use crate::kafka::placement::Partitioner;
    use crate::record::dead_letter::Refused;

    const AT_MS: i64 = 1_714_564_800_000;

    fn arguments(filters: &str) -> Redrive {
        let line = format!("lifetide redrive --config a {filters}");
        let command = Cli::try_parse_from(line.split_whitespace()).unwrap().command;
        let Command::Redrive(redrive) = command else { panic!("{line}") };
        redrive
    }

    fn letter(key: Option<&str>, payload: &str) -> Letter {
        let refused = Refused {
            topic: "checkout.events",
            partition: 3,
            n_partitions: 4,
            offset: 41,
            key: key.map(str::as_bytes),
            payload: Some(payload.as_bytes()),
            headers: Vec::new(),
        };
        let rejection = Rejection { reason: Reason::BadValue, detail: "amount: no".to_owned() };
        let record = DeadLetter::new(refused, &rejection);
        let origin = record.read().unwrap();
        Letter { partition: 1, offset: 7, timestamp_ms: Some(AT_MS), record, origin }
    }

    fn known(arguments: &Redrive, n_partitions: i32, erased_at_ms: i64) -> Known<'_> {
        let mut offsets = Offsets::default();
        offsets.insert(8);
        Known {
            arguments,
            input_topic: "checkout.events",
            n_partitions,
            sent: BTreeMap::from([(1, offsets)]),
            erased: BTreeMap::from([(erased::hash_of("gone"), erased_at_ms)]),
            met: BTreeSet::new(),
        }
    }

    fn check(filters: &str, letter: &Letter, erased_at_ms: i64, expect: Verdict) {
        let arguments = arguments(filters);
        let mut known = known(&arguments, 4, erased_at_ms);
        assert_eq!(known.judge(letter), expect, "{filters} {letter:?}");
    }

    #[test]
    fn filters_leave_out_what_they_do_not_name() {
        let letter = letter(Some("c1"), "{}");
        for filters in [
            "",
            "--reason bad_value",
            "--reason future --reason bad_value --partition 3 --partition 9",
            "--since 2024-05-01T12:00:00Z --until 2024-05-01T12:00:00.001Z",
        ] {
            check(filters, &letter, AT_MS, Verdict::Sendable);
        }
        for filters in [
            "--reason future",
            "--partition 1",
            "--since 2024-05-01T12:00:00.001Z",
            "--until 2024-05-01T12:00:00Z",
            "--reason bad_value --partition 2",
        ] {
            check(filters, &letter, AT_MS, Verdict::Unwanted);
        }
        let undated = Letter { timestamp_ms: None, ..letter };
        check("", &undated, AT_MS, Verdict::Sendable);
        check("--until 2150-01-01T00:00:00Z", &undated, AT_MS, Verdict::Unwanted);
    }

    #[test]
    fn what_was_sent_is_told_by_place_and_what_was_cut_stays() {
        let whole = letter(Some("c1"), "{}");
        check("", &Letter { offset: 8, ..letter(Some("c1"), "{}") }, 0, Verdict::SentBefore);
        check("", &Letter { offset: 8, partition: 0, ..whole }, 0, Verdict::Sendable);
        let cut = letter(Some("c1"), &"x".repeat(900_001));
        check("", &cut, 0, Verdict::Cut);
    }

    /// Goal: whichever names the customer, key or payload, and however broken the payload is; the
    /// letter's own time says nothing, the processor may have been behind.
    #[test]
    fn a_letter_of_an_erased_customer_stays_unless_its_event_is_of_after_the_erasure() {
        let dated = |fields: &str| format!(r#"{{"occurred_at":{},{fields}}}"#, AT_MS - 500);
        let named = dated(r#""amount":"1","customer_id":"gone""#);
        for letter in [
            letter(Some("gone"), &dated(r#""customer_id":"c1""#)),
            letter(None, &named),
            letter(Some("c1"), &named),
            letter(Some("c1"), &dated(r#""customer_id":"g\u006fne""#)),
            Letter { timestamp_ms: None, ..letter(Some("gone"), &named) },
        ] {
            check("", &letter, AT_MS - 500, Verdict::Erased);
            check("", &letter, AT_MS - 501, Verdict::Sendable);
        }
        for undated in [
            "not json",
            r#"{"customer_id":"gone"}"#,
            r#"{"customer_id":"gone","occurred_at":[]}"#,
            r#"{"occurred_at":1714564800000,"occurred_at":1714564800000}"#,
        ] {
            check("", &letter(Some("gone"), undated), 0, Verdict::Erased);
        }
        check("", &letter(Some("c1"), r#"{"customer_id":7}"#), AT_MS, Verdict::Sendable);
    }

    #[test]
    fn of_two_letters_of_one_record_only_the_first_counts() {
        let arguments = arguments("--since 2024-05-01T12:00:00Z");
        let mut known = known(&arguments, 4, 0);
        let first = Letter { timestamp_ms: Some(0), ..letter(Some("c1"), "{}") };
        let later = Letter { offset: 9, partition: 0, ..letter(Some("c1"), "{}") };
        assert_eq!(known.judge(&first), Verdict::Unwanted);
        assert_eq!(known.judge(&later), Verdict::Repeat);
        let mut other = Letter { offset: 10, ..letter(Some("c1"), "{}") };
        other.origin.partition = 2;
        assert_eq!(known.judge(&other), Verdict::Sendable);
        // The topic was made anew: the same place, another record.
        for (key, payload) in [(Some("c2"), "{}"), (Some("c1"), "{ }"), (None, "c1{}")] {
            let anew = Letter { offset: 11, ..letter(key, payload) };
            assert_eq!(known.judge(&anew), Verdict::Sendable, "{key:?} {payload}");
        }
    }

    #[test]
    fn a_letter_of_another_partition_count_goes_where_its_customer_lies_now() {
        let arguments = arguments("");
        let by_murmur2 = |id: &String| {
            let [place, other] = Partitioner::ALL.map(|it| it.place(id.as_bytes(), 4));
            place == 3 && other != 3 && Partitioner::Murmur2.place(id.as_bytes(), 7) != 3
        };
        let ids = || (0..200).map(|n| format!("customer {n}"));
        let moved = letter(ids().find(by_murmur2).as_deref(), "{}");
        let key = moved.record.key.clone().unwrap();
        let stranger =
            |id: &String| Partitioner::ALL.iter().all(|it| it.place(id.as_bytes(), 4) != 3);
        let by_hand = letter(ids().find(stranger).as_deref(), "{}");
        let keyless = letter(None, "{}");
        for (letter, expect) in [
            (&moved, Place::At(Partitioner::Murmur2.place(&key, 7))),
            (&by_hand, Place::Unknown),
            (&keyless, Place::Unknown),
        ] {
            let mut known = known(&arguments, 7, 0);
            assert_eq!(known.place(letter), expect);
            let is_left = known.judge(letter) == Verdict::Unplaced;
            assert_eq!(is_left, expect == Place::Unknown);
            assert_eq!(self::known(&arguments, 4, 0).place(letter), Place::At(3));
        }
        let mut old = moved;
        old.origin.n_partitions = None;
        assert_eq!(known(&arguments, 7, 0).place(&old), Place::At(3));
        assert_eq!(known(&arguments, 2, 0).place(&old), Place::ByKey);
    }

    #[test]
    fn a_letter_of_another_topic_is_left() {
        let mut foreign = letter(Some("c1"), "{}");
        foreign.origin.topic = "another".to_owned();
        check("", &foreign, 0, Verdict::Foreign);
    }
}

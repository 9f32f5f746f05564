//! Which dead letters are wanted, and what may be done with each: filters, receipts, erasures and
//! the rules of today in, a verdict out. It speaks to no broker. Called by `redrive`.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli;
use crate::event::{self, Envelope, Intake, Reason};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// By the rules of today it would only become another letter.
    Refused(Reason),
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
    /// By what the processor would judge what is sent.
    pub(super) intake: Intake,
    /// The stamp of what is sent, in milliseconds.
    pub(super) now_ms: i64,
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
            let DeadLetter { key, payload, .. } = &letter.record;
            let timestamp_ms = Some(self.now_ms);
            let (key, payload) = (key.as_deref(), payload.as_deref());
            match event::decode(Envelope { payload, key, timestamp_ms }, &self.intake) {
                Ok(_) => Verdict::Sendable,
                Err(rejection) => Verdict::Refused(rejection.reason),
            }
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

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rust_decimal::Decimal;

    use super::*;
    use crate::cli::{Cli, Command, Redrive};
    use crate::event::Rejection;
    use crate::kafka::placement::Partitioner;
    use crate::money::{Currency, Rates};
    use crate::record::dead_letter::Refused;

    const AT_MS: i64 = 1_714_564_800_000;
    const SKEW_MS: i64 = 60_000;
    /// An event of `c1` that nobody refuses.
    const GOOD: &str =
        r#"{"type":"cart.abandoned","customer_id":"c1","occurred_at":1714564800000}"#;

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
        let [currency, other] = ["USD", "EUR"].map(|code| Currency::parse(code).unwrap());
        let rates = Rates([(other, Decimal::ONE)].into());
        Known {
            arguments,
            input_topic: "checkout.events",
            n_partitions,
            intake: Intake { currency, rates, future_skew_max_ms: Some(SKEW_MS) },
            now_ms: AT_MS,
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
        let letter = letter(Some("c1"), GOOD);
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
        let whole = letter(Some("c1"), GOOD);
        check("", &Letter { offset: 8, ..letter(Some("c1"), GOOD) }, 0, Verdict::SentBefore);
        check("", &Letter { offset: 8, partition: 0, ..whole }, 0, Verdict::Sendable);
        let cut = letter(Some("c1"), &"x".repeat(900_001));
        check("", &cut, 0, Verdict::Cut);
    }

    /// Goal: what it was refused for then tells nothing; only what sending it would come to.
    #[test]
    fn a_letter_that_would_be_refused_again_is_left_with_the_reason_of_today() {
        let order = |money: &str| {
            format!(
                r#"{{"type":"order.completed","customer_id":"c1","occurred_at":"2024-01-01T00:00:00Z",{money}}}"#
            )
        };
        let dated = |at_ms: i64| GOOD.replace("1714564800000", &at_ms.to_string());
        let refused = Verdict::Refused;
        for (key, payload, expect) in [
            (Some("c1"), "no".to_owned(), refused(Reason::NotJson)),
            (Some("c1"), "{}".to_owned(), refused(Reason::MissingField)),
            (Some("c1"), order(r#""amount":"1.005""#), refused(Reason::BadValue)),
            (
                Some("c1"),
                order(r#""amount":"1","currency":"GBP""#),
                refused(Reason::UnknownCurrency),
            ),
            (Some("c2"), GOOD.to_owned(), refused(Reason::KeyMismatch)),
            (None, GOOD.to_owned(), refused(Reason::KeyMismatch)),
            (Some("c1"), dated(AT_MS + SKEW_MS + 1), refused(Reason::Future)),
            (Some("c1"), dated(AT_MS + SKEW_MS), Verdict::Sendable),
            (Some("c1"), order(r#""amount":"1","currency":"EUR""#), Verdict::Sendable),
        ] {
            check("", &letter(key, &payload), 0, expect);
        }
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
            let arguments = arguments("");
            assert_ne!(known(&arguments, 4, AT_MS - 501).judge(&letter), Verdict::Erased);
        }
        for undated in [
            "not json",
            r#"{"customer_id":"gone"}"#,
            r#"{"customer_id":"gone","occurred_at":[]}"#,
            r#"{"occurred_at":1714564800000,"occurred_at":1714564800000}"#,
        ] {
            check("", &letter(Some("gone"), undated), 0, Verdict::Erased);
        }
        let unnamed = letter(Some("c1"), r#"{"customer_id":7}"#);
        check("", &unnamed, AT_MS, Verdict::Refused(Reason::MissingField));
    }

    #[test]
    fn of_two_letters_of_one_record_only_the_first_counts() {
        let arguments = arguments("--since 2024-05-01T12:00:00Z");
        let mut known = known(&arguments, 4, 0);
        let first = Letter { timestamp_ms: Some(0), ..letter(Some("c1"), GOOD) };
        let later = Letter { offset: 9, partition: 0, ..letter(Some("c1"), GOOD) };
        assert_eq!(known.judge(&first), Verdict::Unwanted);
        assert_eq!(known.judge(&later), Verdict::Repeat);
        let mut other = Letter { offset: 10, ..letter(Some("c1"), GOOD) };
        other.origin.partition = 2;
        assert_eq!(known.judge(&other), Verdict::Sendable);
        // The topic was made anew: the same place, another record.
        for (key, payload) in [(Some("c2"), GOOD), (Some("c1"), "{ }"), (None, "c1{}")] {
            let anew = Letter { offset: 11, ..letter(key, payload) };
            assert_ne!(known.judge(&anew), Verdict::Repeat, "{key:?} {payload}");
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

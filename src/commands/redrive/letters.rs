//! Which dead letters are wanted, and what may be done with each: filters, receipts and erasures
//! in, a verdict out. It speaks to no broker. Called by `redrive`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Deserialize;

use crate::cli;
use crate::event::Reason;
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
    /// It is not the whole record.
    Cut,
    /// Its customer was erased after it was written.
    Erased,
    /// It can be sent.
    Sendable,
}

/// What a run knows before it judges the first letter.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) arguments: &'a cli::Redrive,
    /// What was sent before, by partition of the dead-letter topic.
    pub(super) sent: BTreeMap<i32, Offsets>,
    /// Erased customers: hash of the id → time of the erasure in milliseconds.
    pub(super) erased: BTreeMap<ErasedHash, i64>,
}

impl Known<'_> {
    pub(super) fn judge(&self, letter: &Letter) -> Verdict {
        if !self.is_wanted(letter) {
            Verdict::Unwanted
        } else if self.sent.get(&letter.partition).is_some_and(|it| it.contains(letter.offset)) {
            Verdict::SentBefore
        } else if !letter.origin.is_whole {
            Verdict::Cut
        } else if self.is_erased(letter) {
            Verdict::Erased
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
    fn is_erased(&self, letter: &Letter) -> bool {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            customer_id: Cow<'a, str>,
        }
        let DeadLetter { key, payload, .. } = &letter.record;
        let key = key.as_deref().and_then(|key| str::from_utf8(key).ok());
        let named: Option<Named<'_>> =
            payload.as_deref().and_then(|payload| serde_json::from_slice(payload).ok());
        let ids = key.into_iter().chain(named.as_ref().map(|named| &*named.customer_id));
        let erased_at_ms = ids.filter_map(|id| self.erased.get(&erased::hash_of(id))).max();
        // Written after the erasure it is of a customer who has come back.
        erased_at_ms.is_some_and(|erased_at_ms| {
            letter.timestamp_ms.is_none_or(|at_ms| at_ms <= *erased_at_ms)
        })
    }
}

/// What was found, by verdict and by where it was refused.
#[derive(Debug, Default)]
pub(super) struct Tally {
    n_letters: u64,
    /// Records that are neither letters nor receipts.
    pub(super) n_foreign: u64,
    n_by_verdict: [u64; 5],
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
            (n(Verdict::Cut), "  cut to fit a message: whole only where they were refused"),
            (n(Verdict::Erased), "  of erased customers"),
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

    fn check(filters: &str, letter: &Letter, erased_at_ms: i64, expect: Verdict) {
        let arguments = arguments(filters);
        let mut offsets = Offsets::default();
        offsets.insert(8);
        let erased = BTreeMap::from([(erased::hash_of("gone"), erased_at_ms)]);
        let known = Known { arguments: &arguments, sent: BTreeMap::from([(1, offsets)]), erased };
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

    /// Goal: whichever names the customer, key or payload, and however broken the payload is.
    #[test]
    fn a_letter_of_an_erased_customer_stays_unless_the_customer_has_come_back() {
        let named = r#"{"amount":"1","customer_id":"gone"}"#;
        for letter in [
            letter(Some("gone"), "not json"),
            letter(Some("gone"), r#"{"customer_id":"c1"}"#),
            letter(None, named),
            letter(Some("c1"), named),
            letter(Some("c1"), r#"{"customer_id":"g\u006fne"}"#),
        ] {
            check("", &letter, AT_MS, Verdict::Erased);
            check("", &letter, AT_MS - 1, Verdict::Sendable);
        }
        let undated = Letter { timestamp_ms: None, ..letter(Some("gone"), named) };
        check("", &undated, 0, Verdict::Erased);
        check("", &letter(Some("c1"), r#"{"customer_id":7}"#), AT_MS, Verdict::Sendable);
    }
}

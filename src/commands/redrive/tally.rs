//! What a run over the dead letters has found, counted and printed. It judges nothing. Called by
//! `redrive`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::letters::{Letter, Verdict};
use crate::event::Reason;

/// What was found, by verdict and by where it was refused.
#[derive(Debug, Default)]
pub(super) struct Tally {
    n_letters: u64,
    /// Records that are neither letters nor receipts.
    pub(super) n_foreign: u64,
    n_by_verdict: BTreeMap<Verdict, u64>,
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
        *self.n_by_verdict.entry(verdict).or_default() += 1;
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
        let n = |verdict: Verdict| self.n_by_verdict.get(&verdict).copied().unwrap_or_default();
        let refused = Reason::ALL.map(|reason| (reason, n(Verdict::Refused(reason))));
        let n_refused = refused.iter().map(|(_, n)| n).sum();
        let named = refused.iter().filter(|(_, n)| *n > 0);
        let named: Vec<String> = named.map(|(reason, n)| format!("{n} {reason}")).collect();
        let colon = if named.is_empty() { "" } else { ": " };
        let again = format!("  would be refused again today{colon}{}", named.join(", "));
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
            (n_refused, &again),
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

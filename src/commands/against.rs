//! Compares scores read from the topic with a recount: every field but `source` and `cause`. The
//! last row of a customer counts, as on a compacted topic. Called by `replay`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::record::score::Score;

/// Differences that are printed; the others are counted.
const SHOWN_MAX: usize = 1000;

/// The fields that may differ: where an event lay, and what caused the last score.
const IGNORED: [&str; 2] = ["source", "cause"];

/// Scores to compare with, and what was found so far.
#[derive(Debug)]
pub(super) struct Against {
    /// By customer: as-of instant and the score.
    rows: BTreeMap<String, (i64, Value)>,
    n_compared: u64,
    n_differing: u64,
    shown: Vec<String>,
    n_differences: u64,
}

impl Against {
    /// Reads scores as JSON lines.
    ///
    /// # Errors
    /// The line that is not a score, and why.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("failed to open `{name}`"))?;
        let mut rows = BTreeMap::new();
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let line = line.with_context(|| format!("failed to read `{name}`"))?;
            if line.trim().is_empty() {
                continue;
            }
            let refused = || format!("line `{}` of `{name}` is not a score", index + 1);
            let score =
                Score::read(line.as_bytes()).map_err(anyhow::Error::msg).with_context(refused)?;
            let value: Value = serde_json::from_str(&line).with_context(refused)?;
            rows.insert(score.customer_id.clone().into_owned(), (score.as_of.0, value));
        }
        let (n_compared, n_differing, n_differences) = (0, 0, 0);
        Ok(Self { rows, n_compared, n_differing, shown: Vec::new(), n_differences })
    }

    /// The instant of each customer's row, in milliseconds since 1970.
    pub(super) fn as_of(&self) -> BTreeMap<String, i64> {
        self.rows.iter().map(|(id, (as_of_ms, _))| (id.clone(), *as_of_ms)).collect()
    }

    /// Compares the recount of one customer, and takes the row off the list.
    ///
    /// # Errors
    /// None for a score that this program made.
    pub(super) fn compare(&mut self, id: &str, recount: &[u8]) -> Result<()> {
        self.n_compared += 1;
        let recount: Value = serde_json::from_slice(recount)?;
        let before = self.n_differences;
        match self.rows.remove(id) {
            None => self.note(format!("{id}: not among the scores, only in the recount")),
            Some((_, row)) => {
                let (mut theirs, mut ours) = (BTreeMap::new(), BTreeMap::new());
                flatten("", &row, &mut theirs);
                flatten("", &recount, &mut ours);
                let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
                for name in names {
                    let is_ignored =
                        IGNORED.iter().any(|ignored| name.split('.').next() == Some(ignored));
                    let (was, is) = (theirs.get(name), ours.get(name));
                    if !is_ignored && was != is {
                        self.note(format!("{id}: {name} is {}, recounted {}", show(was), show(is)));
                    }
                }
            }
        }
        self.n_differing += u64::from(self.n_differences > before);
        Ok(())
    }

    fn note(&mut self, difference: String) {
        self.n_differences += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(difference);
        }
    }

    /// Whether nothing differs and every row has been recounted.
    pub(super) fn is_equal(&self) -> bool {
        self.n_differences == 0 && self.rows.is_empty()
    }

    /// Prints what differs.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(super) fn report(&self, out: &mut impl Write) -> io::Result<()> {
        for difference in &self.shown {
            writeln!(out, "{difference}")?;
        }
        for id in self.rows.keys().take(SHOWN_MAX) {
            writeln!(out, "{id}: among the scores, not in the recount")?;
        }
        let n_missing = self.rows.len() as u64;
        let n_hidden = self.n_differences - self.shown.len() as u64
            + n_missing.saturating_sub(SHOWN_MAX as u64);
        if n_hidden > 0 {
            writeln!(out, "… and {n_hidden} more")?;
        }
        writeln!(
            out,
            "{} customers compared, {} differ",
            self.n_compared + n_missing,
            self.n_differing + n_missing
        )
    }
}

/// The leaves of a value by their paths.
fn flatten<'a>(prefix: &str, value: &'a Value, into: &mut BTreeMap<String, &'a Value>) {
    let Value::Object(fields) = value else {
        into.insert(prefix.to_owned(), value);
        return;
    };
    for (name, value) in fields {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        flatten(&path, value, into);
    }
}

/// A leaf as a difference shows it: text without its quotes, all else as JSON.
fn show(value: Option<&&Value>) -> String {
    let Some(value) = value else { return "absent".to_owned() };
    value.as_str().map_or_else(|| format!("`{value}`"), |text| format!("`{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_of_the_same_letters_differ() {
        let mut against = Against {
            rows: BTreeMap::new(),
            n_compared: 0,
            n_differing: 0,
            shown: Vec::new(),
            n_differences: 0,
        };
        let row: Value = serde_json::from_str(r#"{"net": "59.90", "cause": "time"}"#).unwrap();
        against.rows.insert("a".to_owned(), (0, row.clone()));
        against.rows.insert("b".to_owned(), (0, row));
        against.compare("a", br#"{"net": "59.90", "cause": "event"}"#).unwrap();
        assert!(against.shown.is_empty(), "{:?}", against.shown);
        against.compare("b", br#"{"net": 59.90}"#).unwrap();
        assert_eq!(against.shown, ["b: net is `59.90`, recounted `59.9`"]);
    }
}

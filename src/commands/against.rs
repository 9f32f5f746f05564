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

    /// What to say first where scores are of another model than the recount's: all that hangs on
    /// one differs then, and that alone says nothing.
    pub(super) fn other_models(&self, recount: &str) -> Option<String> {
        let mut n_by_model: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, row) in self.rows.values() {
            *n_by_model.entry(row["model"].as_str().unwrap_or_default()).or_default() += 1;
        }
        if n_by_model.keys().all(|model| *model == recount) {
            return None;
        }
        let named: Vec<String> =
            n_by_model.into_iter().map(|(model, n)| format!("`{model}` ({n})")).collect();
        let plural = if named.len() > 1 { "s" } else { "" };
        Some(format!(
            "the scores name the model{plural} {}, the recount uses `{recount}`: what hangs on a \
             model differs for that alone; recount with the model of theirs, by `--model FILE` or, \
             for `none`, without `model.file`",
            named.join(", ")
        ))
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
    fn models_are_told_where_one_is_another_than_that_of_the_recount() {
        let mut against = Against {
            rows: BTreeMap::new(),
            n_compared: 0,
            n_differing: 0,
            shown: Vec::new(),
            n_differences: 0,
        };
        assert_eq!(against.other_models("none"), None);
        for (id, model) in [("a", "mbg/1"), ("b", "mbg/1"), ("c", "mbg/2")] {
            let row = serde_json::json!({"model": model});
            against.rows.insert(id.to_owned(), (0, row));
        }
        let said = against.other_models("mbg/1").unwrap();
        let expect = "the models `mbg/1` (2), `mbg/2` (1), the recount uses `mbg/1`: ";
        assert!(said.contains(expect), "{said}");
        against.rows.remove("c");
        assert_eq!(against.other_models("mbg/1"), None);
        let said = against.other_models("none").unwrap();
        assert!(said.contains("the model `mbg/1` (2), the recount uses `none`: "), "{said}");
    }

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

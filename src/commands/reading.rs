//! Reading a history for a command: a bar on a terminal, bad rows reported, and what was read in
//! the summary. It judges no row. Called by the commands that read a history.

use std::fs::File;
use std::io::{self, Read, Write, stderr};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::progress;
use crate::calendar::Day;
use crate::history::{BadRow, History, Mapping, Options, Order, Row, Tally};
use crate::pipeline::Rules;

/// Bad rows that are reported one by one; the others are counted.
const BAD_ROWS_SHOWN_MAX: u64 = 20;

/// A file to be read.
#[derive(Debug)]
pub(super) struct Source<'a, R> {
    /// What passes its bytes.
    pub(super) input: R,
    /// Its name, for messages.
    pub(super) name: &'a str,
    /// Its length, for the bar.
    pub(super) n_bytes: u64,
    /// Whether a bad row is an error.
    pub(super) is_strict: bool,
}

/// What is wanted of a file.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) path: &'a Path,
    pub(super) mapping: &'a Mapping,
    /// The last day.
    pub(super) until: Option<Day>,
    pub(super) order: Order,
    /// Whether a bad row is an error.
    pub(super) is_strict: bool,
}

/// All rows of a file as the processor would take them, with what was counted on the way.
///
/// # Errors
/// The file cannot be opened or read, or has a bad row although it is to be strict.
pub(super) fn read_file(wanted: &Wanted<'_>, rules: &Rules) -> Result<(Vec<Row>, Tally)> {
    let name = &wanted.path.display().to_string();
    let input = File::open(wanted.path).with_context(|| format!("failed to open `{name}`"))?;
    let n_bytes = input.metadata().map_or(0, |metadata| metadata.len());
    let options = Options {
        mapping: wanted.mapping.clone(),
        calendar: rules.calendar.clone(),
        intake: rules.intake.clone(),
        recorded_at_ms: None,
        row_id_suffix: String::new(),
        until: wanted.until,
    };
    read(Source { input, name, n_bytes, is_strict: wanted.is_strict }, options, wanted.order)
}

/// All rows in the given order, with what was counted on the way.
///
/// # Errors
/// The file cannot be read, or has a bad row although it is to be strict.
pub(super) fn read<R: Read>(
    source: Source<'_, R>,
    options: Options,
    order: Order,
) -> Result<(Vec<Row>, Tally)> {
    let Source { input, name, n_bytes, is_strict } = source;
    let mut history = History::open(input, options).with_context(|| format!("`{name}`"))?;
    let bar = progress(n_bytes, "reading {bar:40} {bytes}/{total_bytes} {eta}");
    let mut first_bad = None;
    let mut n_bad = 0;
    let mut report = |bad: BadRow| {
        n_bad += 1;
        if n_bad <= BAD_ROWS_SHOWN_MAX {
            bar.suspend(|| writeln!(stderr(), "skipped {bad}").ok());
        }
        first_bad.get_or_insert(bad);
    };
    let rows = history.read_all(order, &mut report, |n_bytes| bar.set_position(n_bytes))?;
    bar.finish_and_clear();
    if n_bad > BAD_ROWS_SHOWN_MAX {
        writeln!(stderr(), "skipped {} further rows", n_bad - BAD_ROWS_SHOWN_MAX).ok();
    }
    if let Some(bad) = first_bad.filter(|_| is_strict) {
        bail!("`{name}` has `{n_bad}` rows that cannot be read, the first: {bad}");
    }
    Ok((rows, history.tally().clone()))
}

/// The rows of a summary that tell of the file.
pub(super) fn summarise(out: &mut impl Write, file: &Tally) -> io::Result<()> {
    writeln!(out, "{:>10} rows", file.n_rows)?;
    for (reason, count) in &file.n_bad {
        writeln!(out, "{count:>10}   skipped: {reason}")?;
    }
    if file.n_after_until > 0 {
        writeln!(out, "{:>10}   after --until", file.n_after_until)?;
    }
    Ok(())
}

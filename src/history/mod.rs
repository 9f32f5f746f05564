//! Purchase histories, the files that warehouses export: CSV with a header, or a JSON object a
//! line, into the same events that the topic carries.
//!
//! | file | does |
//! |---|---|
//! | `mapping` | which column holds which field (`--map`) |
//! | `csv_rows`, `json_rows` | the values of each row, by field |
//! | `time` | local dates and times to instants |
//! | `fingerprint` | what tells two histories apart |
//! | `row` | fills in what a history leaves out, then has `event::decode` judge the row |
//!
//! It reads what it is given and does no other I/O: it opens no file, prints nothing, keeps no
//! clock. Called by `replay` and `import`.

mod csv_rows;
mod fingerprint;
mod json_rows;
mod mapping;
mod row;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use thiserror::Error;

pub use fingerprint::Hashing;
pub use mapping::{Field, Mapping, MappingError};

use crate::calendar::{Calendar, Day};
use crate::event::{Event, Intake, Reason};
use csv_rows::CsvRows;
use json_rows::JsonRows;
use row::Builder;

/// How often progress is reported while a whole history is read, in rows.
const PROGRESS_ROWS: u64 = 4096;

/// How a history is to be read.
#[derive(Clone, Debug)]
pub struct Options {
    /// The columns of the fields.
    pub mapping: Mapping,
    /// The time zone of dates and of times without offset.
    pub calendar: Calendar,
    /// The currency of rows that name none, and the others that are known.
    pub intake: Intake,
    /// When the rows become records, in epoch milliseconds, if they do: rows dated too far ahead of
    /// that are bad.
    pub recorded_at_ms: Option<i64>,
    /// What follows the row's number in the id of a row that names none.
    pub row_id_suffix: String,
    /// The last day whose rows are wanted; later ones are read and counted only.
    pub until: Option<Day>,
}

/// A row that is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    /// What happened. It always has an event id: a row that names none counts by its row number.
    pub event: Event,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    /// Why.
    pub reason: Reason,
    /// What exactly and what to do.
    pub detail: String,
}

/// As in ``line `7`: bad_value: amount: `1,5` is not a plain decimal number such as `12.50` ``.
impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line `{}`: {}: {}", self.line, self.reason, self.detail)
    }
}

/// One row of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An event of a day that is wanted.
    Event(Row),
    /// A row to be reported and skipped.
    Bad(BadRow),
}

/// What a history has held so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All rows, whatever came of them.
    pub n_rows: u64,
    /// Rows of days after [`Options::until`].
    pub n_after_until: u64,
    /// Bad rows by reason.
    pub n_bad: BTreeMap<Reason, u64>,
}

/// Why a history cannot be read at all.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file below failed.
    #[error("failed to read the history: {0}")]
    Read(#[source] io::Error),
    /// There is nothing in the file.
    #[error("the history is empty; give CSV with a header, or one JSON object a line")]
    Empty,
    /// The file is something else than text with rows.
    #[error("the history is {found}; {remedy}")]
    Format {
        /// What the file seems to be.
        found: &'static str,
        /// How to make of it what can be read.
        remedy: &'static str,
    },
    /// The columns do not fit.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// A history being read: an iterator over its rows in the order of the file.
///
/// It ends after the first [`HistoryError`]; a row that cannot be read is no error but an
/// [`Entry::Bad`].
#[derive(Debug)]
pub struct History<R> {
    rows: Rows<BufReader<Counted<R>>>,
    builder: Builder,
    until: Option<Day>,
    tally: Tally,
    has_failed: bool,
}

#[derive(Debug)]
enum Rows<R> {
    Csv(CsvRows<R>),
    Json(JsonRows<R>),
}

impl<R: Read> History<R> {
    /// Recognises the format by the first character and reads the header of a CSV file.
    ///
    /// # Errors
    /// An empty or unreadable file, one that is neither CSV nor JSON lines, and columns that do not
    /// fit the mapping.
    pub fn open(input: R, options: Options) -> Result<Self, HistoryError> {
        let mut input = BufReader::new(Counted { inner: input, n_bytes: 0 });
        let is_json = is_json(&mut input)?;
        let rows = if is_json {
            Rows::Json(JsonRows::open(input, &options.mapping))
        } else {
            Rows::Csv(CsvRows::open(input, &options.mapping)?)
        };
        Ok(Self {
            rows,
            until: options.until,
            builder: Builder::new(options),
            tally: Tally::default(),
            has_failed: false,
        })
    }

    /// How many bytes have been taken from the input, for a progress bar against the file's length.
    pub fn n_bytes_read(&self) -> u64 {
        match &self.rows {
            Rows::Csv(rows) => rows.input().get_ref().n_bytes,
            Rows::Json(rows) => rows.input().get_ref().n_bytes,
        }
    }

    /// What has been read so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Reads all rows that are left, in the given order. Memory grows with the events, by about 200
    /// bytes each; bad rows are handed to `on_bad` and not kept. `on_progress` is told
    /// [`History::n_bytes_read`] every few thousand rows.
    ///
    /// # Errors
    /// When the file below fails.
    pub fn read_all(
        &mut self,
        order: Order,
        mut on_bad: impl FnMut(BadRow),
        mut on_progress: impl FnMut(u64),
    ) -> Result<Vec<Row>, HistoryError> {
        let mut rows = Vec::new();
        while let Some(entry) = self.next() {
            match entry? {
                Entry::Event(row) => rows.push(row),
                Entry::Bad(row) => on_bad(row),
            }
            if self.tally.n_rows.is_multiple_of(PROGRESS_ROWS) {
                on_progress(self.n_bytes_read());
            }
        }
        on_progress(self.n_bytes_read());
        match order {
            // A stable sort: events of one instant stay in the order of their rows.
            Order::Time => rows.sort_by_key(|row| row.event.occurred_at_ms),
            Order::File => {}
        }
        Ok(rows)
    }

    /// The next row that is an event of a wanted day, or is bad.
    fn advance(&mut self) -> Result<Option<Entry>, HistoryError> {
        loop {
            let line = match &mut self.rows {
                Rows::Csv(rows) => rows.advance()?,
                Rows::Json(rows) => rows.advance()?,
            };
            let Some(line) = line else { return Ok(None) };
            self.tally.n_rows += 1;
            match self.event(line) {
                Err(bad) => {
                    *self.tally.n_bad.entry(bad.reason).or_default() += 1;
                    return Ok(Some(Entry::Bad(bad)));
                }
                Ok(event) if self.is_after_until(&event) => self.tally.n_after_until += 1,
                Ok(event) => return Ok(Some(Entry::Event(Row { line, event }))),
            }
        }
    }

    fn event(&mut self, line: u64) -> Result<Event, BadRow> {
        let values = match &self.rows {
            Rows::Csv(rows) => rows.values(line)?,
            Rows::Json(rows) => rows.values(line)?,
        };
        self.builder.event(&values, self.tally.n_rows).map_err(|rejection| BadRow {
            line,
            reason: rejection.reason,
            detail: rejection.detail,
        })
    }

    fn is_after_until(&self, event: &Event) -> bool {
        self.until.is_some_and(|until| self.builder.calendar.day(event.occurred_at_ms) > until)
    }
}

impl<R: Read> Iterator for History<R> {
    type Item = Result<Entry, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let entry = self.advance();
        self.has_failed = entry.is_err();
        entry.transpose()
    }
}

/// The order in which a history's events are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By `occurred_at`, events of one instant by row.
    Time,
    /// As they stand in the file.
    File,
}

/// Counts the bytes that pass.
#[derive(Debug)]
struct Counted<R> {
    inner: R,
    n_bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.inner.read(buffer)?;
        self.n_bytes += n_bytes as u64;
        Ok(n_bytes)
    }
}

/// Whether the input is JSON lines, by its first character. A byte order mark is taken off.
fn is_json(input: &mut impl BufRead) -> Result<bool, HistoryError> {
    let start = input.fill_buf().map_err(HistoryError::Read)?;
    if start.starts_with(b"\xef\xbb\xbf") {
        input.consume(3);
    }
    let start = input.fill_buf().map_err(HistoryError::Read)?;
    let refused = |found, remedy| Err(HistoryError::Format { found, remedy });
    match start.trim_ascii_start() {
        [] => Err(HistoryError::Empty),
        [0x1f, 0x8b, ..] => refused("compressed by gzip", "unpack it first, as `gunzip` does"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => refused("UTF-16 text", "convert it to UTF-8"),
        [b'P', b'K', 3, 4, ..] => {
            refused("a zip archive or a workbook", "unpack it, or save its sheet as CSV")
        }
        [b'[', ..] => {
            refused("one JSON array", "write its objects a line each, as `jq -c '.[]'` does")
        }
        [first, ..] => Ok(*first == b'{'),
    }
}

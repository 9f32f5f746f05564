//! The rows of a CSV file with a header. It judges no value. Called by `History`.

use std::borrow::Cow;
use std::io::BufRead;

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use super::mapping::{Field, Mapping, N_FIELDS};
use super::row::{Value, Values};
use super::{BadRow, HistoryError};
use crate::event::Reason;

/// Bytes that are asked of the file at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// A reader of rows that has read the header.
#[derive(Debug)]
pub(super) struct CsvRows<R> {
    reader: Reader<R>,
    places: [Option<usize>; N_FIELDS],
    n_columns: usize,
    record: ByteRecord,
}

impl<R: BufRead> CsvRows<R> {
    pub(super) fn open(input: R, mapping: &Mapping) -> Result<Self, HistoryError> {
        // Lines end at the line feed alone, so that they are counted as an editor counts them; the
        // carriage return before it goes with the blanks around the last value.
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(input);
        let header = reader.byte_headers().map_err(read_error)?;
        let header: Vec<String> =
            header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let places = mapping.resolve(&header)?;
        Ok(Self { reader, places, n_columns: header.len(), record: ByteRecord::new() })
    }

    /// The file below.
    pub(super) fn input(&self) -> &R {
        self.reader.get_ref()
    }

    /// Moves to the next row; `None` at the end, else the line on which it begins.
    pub(super) fn advance(&mut self) -> Result<Option<u64>, HistoryError> {
        loop {
            let line = self.reader.position().line();
            if !self.reader.read_byte_record(&mut self.record).map_err(read_error)? {
                return Ok(None);
            }
            let is_blank = self.record.len() == 1
                && self.n_columns > 1
                && self.record.iter().all(|value| value.trim_ascii().is_empty());
            if !is_blank {
                return Ok(Some(line));
            }
        }
    }

    /// The values of the row that [`CsvRows::advance`] moved to.
    pub(super) fn values(&self, line: u64) -> Result<Values<'_>, BadRow> {
        if self.record.len() != self.n_columns {
            let (found, expected) = (self.record.len(), self.n_columns);
            let detail = format!(
                "the row has `{found}` values, the header {expected} columns; quote values that \
                 hold a comma"
            );
            return Err(BadRow { line, reason: Reason::BadValue, detail });
        }
        let mut values = Values::default();
        for field in Field::ALL {
            let Some(place) = self.places[field.index()] else { continue };
            let bytes = self.record.get(place).unwrap_or_default().trim_ascii();
            let text = str::from_utf8(bytes).map_err(|_| BadRow {
                line,
                reason: Reason::BadValue,
                detail: format!("{}: the value is not UTF-8; convert the file", field.name()),
            })?;
            values[field.index()] = (!text.is_empty()).then_some(Value::Text(Cow::Borrowed(text)));
        }
        Ok(values)
    }
}

fn read_error(error: csv::Error) -> HistoryError {
    HistoryError::Read(error.into())
}

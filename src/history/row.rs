//! One row's values to an [`Event`]: what a history leaves out is filled in, then `event::decode`
//! judges the result as it judges a record of the topic. It knows no file format. Called by the
//! iterator of `History`.

use std::borrow::Cow;
use std::io::Write;

use super::Options;
use super::mapping::{Field, N_FIELDS};
use super::time::local_ms;
use crate::calendar::Calendar;
use crate::event::{Envelope, Event, Intake, Kind, Rejection, decode};

/// The value of one field in one row.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// A column of CSV or a JSON string, unescaped.
    Text(Cow<'a, str>),
    /// Any other JSON value, as it stands in the line.
    Json(&'a str),
}

impl Value<'_> {
    /// The characters, without the quotes that JSON puts around some.
    fn chars(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Json(json) => json,
        }
    }
}

/// The values of a row by [`Field::index`]; what is blank or null is absent.
pub(super) type Values<'a> = [Option<Value<'a>>; N_FIELDS];

/// Makes events of rows. It keeps one buffer, so that a row costs no allocation of its own.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) calendar: Calendar,
    pub(super) intake: Intake,
    recorded_at_ms: Option<i64>,
    row_id_suffix: String,
    /// The row as the JSON object that a producer would have sent.
    json: Vec<u8>,
}

impl Builder {
    pub(super) fn new(options: Options) -> Self {
        let Options { calendar, intake, recorded_at_ms, row_id_suffix, .. } = options;
        Self { calendar, intake, recorded_at_ms, row_id_suffix, json: Vec::new() }
    }

    /// The event of the `n_row`-th row.
    ///
    /// Without a type the sign of the amount says completed or refunded. Without an event id the
    /// row's number is one, so that equal rows stay two purchases; its digits are padded, because
    /// of two completions of one order at one time the greater id wins, which is to be the later.
    pub(super) fn event(&mut self, values: &Values<'_>, n_row: u64) -> Result<Event, Rejection> {
        self.json.clear();
        self.json.push(b'{');
        let amount = values[Field::Amount.index()].as_ref();
        let is_typed = values[Field::Type.index()].is_some();
        let unsigned =
            amount.filter(|_| !is_typed).and_then(|value| value.chars().strip_prefix('-'));
        if !is_typed {
            let is_refund = unsigned.is_some_and(|digits| !is_zero(digits));
            let kind = if is_refund { Kind::OrderRefunded } else { Kind::OrderCompleted };
            self.put(Field::Type, kind.as_str());
        }
        if values[Field::EventId.index()].is_none() {
            let id = format!("row-{n_row:012}{}", self.row_id_suffix);
            self.put(Field::EventId, &id);
        }
        for field in Field::ALL {
            let Some(value) = &values[field.index()] else { continue };
            match (field, value) {
                (Field::Amount, _) if let Some(digits) = unsigned => self.put(field, digits),
                (Field::OccurredAt, Value::Text(text)) => self.put_instant(text),
                (_, Value::Text(text)) => self.put(field, text),
                (_, Value::Json(json)) => self.put_json(field, json),
            }
        }
        if self.json.last() == Some(&b',') {
            self.json.pop();
        }
        self.json.push(b'}');
        let customer_id = values[Field::CustomerId.index()].as_ref();
        let envelope = Envelope {
            payload: Some(&self.json),
            key: customer_id.map(|id| id.chars().as_bytes()),
            timestamp_ms: self.recorded_at_ms,
        };
        decode(envelope, &self.intake)
    }

    fn put_instant(&mut self, text: &str) {
        if let Some(at_ms) = local_ms(text, &self.calendar) {
            self.put_json(Field::OccurredAt, &at_ms.to_string());
        } else if text.parse::<i64>().is_ok_and(|at_ms| at_ms.to_string() == text) {
            self.put_json(Field::OccurredAt, text);
        } else {
            self.put(Field::OccurredAt, text);
        }
    }

    fn put(&mut self, field: Field, text: &str) {
        self.put_name(field);
        serde_json::to_writer(&mut self.json, text).expect("memory takes any text");
        self.json.push(b',');
    }

    fn put_json(&mut self, field: Field, json: &str) {
        self.put_name(field);
        self.json.extend_from_slice(json.as_bytes());
        self.json.push(b',');
    }

    fn put_name(&mut self, field: Field) {
        write!(self.json, "\"{}\":", field.name()).expect("memory takes any text");
    }
}

/// Whether a decimal is 0, so that `-0.00` counts as an amount that is not negative.
fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

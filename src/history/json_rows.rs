//! The rows of a file with one JSON object a line. It judges no value. Called by `History`.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::mapping::{Field, Mapping, N_FIELDS};
use super::row::{Value, Values};
use super::{BadRow, HistoryError};
use crate::event::Reason;

/// A reader of rows.
#[derive(Debug)]
pub(super) struct JsonRows<R> {
    input: R,
    mapping: Mapping,
    text: Vec<u8>,
    line: u64,
}

impl<R: BufRead> JsonRows<R> {
    pub(super) fn open(input: R, mapping: &Mapping) -> Self {
        Self { input, mapping: mapping.clone(), text: Vec::new(), line: 0 }
    }

    /// The file below.
    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// Moves to the next row; `None` at the end, else its line.
    pub(super) fn advance(&mut self) -> Result<Option<u64>, HistoryError> {
        loop {
            self.text.clear();
            if self.input.read_until(b'\n', &mut self.text).map_err(HistoryError::Read)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some(self.line));
            }
        }
    }

    /// The values of the row that [`JsonRows::advance`] moved to.
    pub(super) fn values(&self, line: u64) -> Result<Values<'_>, BadRow> {
        let bad = |reason, detail| BadRow { line, reason, detail };
        let text = str::from_utf8(&self.text)
            .map_err(|_| bad(Reason::NotJson, "the line is not UTF-8 text".to_owned()))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = Object { mapping: &self.mapping }
            .deserialize(&mut reader)
            .and_then(|found| reader.end().map(|()| found))
            .map_err(|error| bad(Reason::NotJson, error.to_string()))?;
        if let Some(field) = found.twice {
            let detail = format!("{}: the field is given twice; give it once", field.name());
            return Err(bad(Reason::BadValue, detail));
        }
        let mut values = Values::default();
        for field in Field::ALL {
            values[field.index()] =
                found.values[field.index()].and_then(|json| value(field, json.get()));
        }
        Ok(values)
    }
}

/// A JSON value as the value of a field; none if it is null or a blank string.
fn value(field: Field, json: &str) -> Option<Value<'_>> {
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        Some(_) => match serde_json::from_str(json) {
            Ok(text) => Cow::Owned(text),
            Err(_) => return Some(Value::Json(json)),
        },
        // Warehouses keep ids as integers and write them so; an event's ids are text.
        None if is_id(field) && json.bytes().all(|byte| byte.is_ascii_digit()) => {
            Cow::Borrowed(json)
        }
        None => return (json != "null").then_some(Value::Json(json)),
    };
    (!text.trim_ascii().is_empty()).then_some(Value::Text(text))
}

fn is_id(field: Field) -> bool {
    matches!(field, Field::CustomerId | Field::EventId | Field::OrderId)
}

/// What an object holds of the fields.
#[derive(Default)]
struct Found<'a> {
    values: [Option<&'a RawValue>; N_FIELDS],
    twice: Option<Field>,
}

/// Reads one object, each field from its column. It refuses nothing but what is no object.
struct Object<'a> {
    mapping: &'a Mapping,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object a line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
        while let Some(fields) = map.next_key_seed(Key { mapping: self.mapping })? {
            if fields.iter().all(Option::is_none) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            for field in fields.into_iter().flatten() {
                if found.values[field.index()].replace(value).is_some() {
                    found.twice.get_or_insert(field);
                }
            }
        }
        Ok(found)
    }
}

/// Reads a key as the fields that it is the column of.
struct Key<'a> {
    mapping: &'a Mapping,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = [Option<Field>; N_FIELDS];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = [Option<Field>; N_FIELDS];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Field::ALL.map(|field| (self.mapping.column(field) == name).then_some(field)))
    }
}

//! A JSON object written field by field into a buffer, byte for byte as `serde_json` writes it: a
//! score goes out for each event, and serde's detour by way of its data model costs four times as
//! much. Called by `score` only; what is written rarely, is derived.

use std::borrow::Cow;

use super::wire::{Date, Estimate, Moment, Money};
use crate::calendar::rfc3339;

/// A field's name as it is written: a literal that needs no escape, with its comma, quotes and
/// colon, so that it is one copy of a length known to the compiler.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use name;

/// An object that is open. Names come from [`name!`].
pub(super) struct Object<'a> {
    json: &'a mut Vec<u8>,
}

/// A value of a field.
pub(super) trait Value {
    /// Appends the value as JSON.
    fn write(&self, json: &mut Vec<u8>);
}

/// Appends an object whose fields `fill` writes.
pub(super) fn write_object(json: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    json.push(b'{');
    fill(&mut Object { json });
    json.push(b'}');
}

impl Object<'_> {
    /// Writes a field.
    #[inline]
    pub(super) fn field(&mut self, name: &'static str, value: &impl Value) {
        self.name(name);
        value.write(self.json);
    }

    /// Writes a field, or nothing where there is no value.
    #[inline]
    pub(super) fn known(&mut self, name: &'static str, value: Option<&impl Value>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// Writes a field that is an object.
    #[inline]
    pub(super) fn object(&mut self, name: &'static str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        write_object(self.json, fill);
    }

    #[inline]
    fn name(&mut self, name: &'static str) {
        // A value never ends in an opening brace, so that one says: this is the first field.
        let is_first = self.json.ends_with(b"{");
        self.json.extend_from_slice(&name.as_bytes()[usize::from(is_first)..]);
    }
}

fn quote(json: &mut Vec<u8>, plain: &str) {
    json.push(b'"');
    json.extend_from_slice(plain.as_bytes());
    json.push(b'"');
}

impl Value for Cow<'_, str> {
    fn write(&self, json: &mut Vec<u8>) {
        if self.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            quote(json, self);
        } else {
            serde_json::to_writer(json, self).expect("text is JSON, and a buffer takes it");
        }
    }
}

impl Value for u64 {
    fn write(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl Value for i64 {
    fn write(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl Value for Estimate {
    fn write(&self, json: &mut Vec<u8>) {
        serde_json::to_writer(json, self).expect("a number is JSON, and a buffer takes it");
    }
}

impl Value for Money {
    fn write(&self, json: &mut Vec<u8>) {
        quote(json, &self.text());
    }
}

impl Value for Date {
    fn write(&self, json: &mut Vec<u8>) {
        quote(json, &self.0.text());
    }
}

impl Value for Moment {
    fn write(&self, json: &mut Vec<u8>) {
        quote(json, &rfc3339(self.0));
    }
}

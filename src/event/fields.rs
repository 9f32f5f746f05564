//! The JSON object of an event: finds the known fields and keeps each value's own text, borrowed.
//! It judges no value, copies no string and reads no number. Called by `decode`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::rejection::{Reason, Rejection, shortened};

/// The fields that an event can have. Any other is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Type,
    CustomerId,
    OccurredAt,
    EventId,
    OrderId,
    Amount,
    Currency,
    Channel,
    Cost,
    Quantity,
}

/// How many known fields there are.
const N_NAMES: usize = Name::Quantity as usize + 1;

impl Name {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::CustomerId => "customer_id",
            Self::OccurredAt => "occurred_at",
            Self::EventId => "event_id",
            Self::OrderId => "order_id",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Channel => "channel",
            Self::Cost => "cost",
            Self::Quantity => "quantity",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "type" => Self::Type,
            "customer_id" => Self::CustomerId,
            "occurred_at" => Self::OccurredAt,
            "event_id" => Self::EventId,
            "order_id" => Self::OrderId,
            "amount" => Self::Amount,
            "currency" => Self::Currency,
            "channel" => Self::Channel,
            "cost" => Self::Cost,
            "quantity" => Self::Quantity,
            _ => return None,
        })
    }

    /// A `bad_value` of this field.
    pub(super) fn bad(self, what: &str) -> Rejection {
        Rejection::new(Reason::BadValue, &format!("{}: {what}", self.as_str()))
    }
}

/// The values of the known fields as they stand in the payload.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    values: [Option<&'a RawValue>; N_NAMES],
    twice: Option<Name>,
}

impl<'a> Fields<'a> {
    /// Reads one JSON object and nothing after it.
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, Rejection> {
        let not_json = |detail: &str| Rejection::new(Reason::NotJson, detail);
        // Checked as a whole, because the strings of ignored fields are not looked at again.
        let text = std::str::from_utf8(payload)
            .map_err(|error| not_json(&format!("not UTF-8 text: {error}")))?;
        // The visitor fails nothing itself, so an error of kind "data" says: not an object.
        serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                not_json(&format!("`{}` is not a JSON object", shortened(text)))
            } else {
                not_json(&format!("{error}; an event is one JSON object"))
            }
        })
    }

    /// The value of a field; none if it is absent or null.
    pub(super) fn get(&self, name: Name) -> Option<&'a str> {
        self.values[name as usize].map(RawValue::get).filter(|value| *value != "null")
    }

    /// The first field that is given again.
    pub(super) fn twice(&self) -> Option<Name> {
        self.twice
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(KnownName(name)) = map.next_key()? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value()?;
            if fields.values[name as usize].replace(value).is_some() {
                fields.twice.get_or_insert(name);
            }
        }
        Ok(fields)
    }
}

/// A key of the object, if it is one of the known ones.
struct KnownName(Option<Name>);

impl<'de> Deserialize<'de> for KnownName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = KnownName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(KnownName(Name::parse(name)))
            }
        }
        deserializer.deserialize_identifier(NameVisitor)
    }
}

/// The text of a JSON string, borrowed unless it has escapes; `None` if the value is no string, or
/// is one that stands for no text (half of a surrogate pair).
pub(super) fn text(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

//! Why bad input is refused: a closed list of reasons and one bounded line of detail for a person.
//! It decides nothing. Built by `decode`, written out by `record::dead_letter`, counted by metrics.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// The longest detail in bytes, so that a hostile payload cannot swell logs and headers.
pub const DETAIL_BYTES_MAX: usize = 512;

/// The longest part of a bad value that a detail repeats, in bytes.
const VALUE_BYTES_MAX: usize = 64;

/// The reasons for a rejection. An input with several faults is given the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The payload is longer than [`EVENT_BYTES_MAX`](super::EVENT_BYTES_MAX).
    TooLarge,
    /// The payload is empty, or is not one JSON object in UTF-8.
    NotJson,
    /// A field that the event's type requires is absent or null.
    MissingField,
    /// `type` is none of the known types.
    UnknownType,
    /// A field has a value outside what is allowed for it, or is given twice.
    BadValue,
    /// No rate is configured from the event's currency to the base currency.
    UnknownCurrency,
    /// The record's key is not the customer id, so other partitions may hold the same customer.
    KeyMismatch,
    /// The event is dated too far ahead of its record's timestamp.
    Future,
}

impl Reason {
    /// Every reason, in order of precedence.
    pub const ALL: [Self; 8] = [
        Self::TooLarge,
        Self::NotJson,
        Self::MissingField,
        Self::UnknownType,
        Self::BadValue,
        Self::UnknownCurrency,
        Self::KeyMismatch,
        Self::Future,
    ];

    /// The name in headers and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::MissingField => "missing_field",
            Self::UnknownType => "unknown_type",
            Self::BadValue => "bad_value",
            Self::UnknownCurrency => "unknown_currency",
            Self::KeyMismatch => "key_mismatch",
            Self::Future => "future",
        }
    }

    /// Reads a name; `None` for one that is not in [`Reason::ALL`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One refused input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// What exactly and what to do: one line of at most [`DETAIL_BYTES_MAX`] bytes.
    pub detail: String,
}

impl Rejection {
    /// A rejection whose detail is held to its bound and to one line.
    pub(super) fn new(reason: Reason, detail: &str) -> Self {
        let (kept, _) = detail.split_at(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        Self { reason, detail: kept.replace(char::is_control, " ") }
    }
}

/// A bad value as a detail shows it: whole, or its beginning and `…`.
pub(super) fn shortened(value: &str) -> Cow<'_, str> {
    if value.len() <= VALUE_BYTES_MAX {
        return Cow::Borrowed(value);
    }
    let (kept, _) = value.split_at(value.floor_char_boundary(VALUE_BYTES_MAX));
    Cow::Owned(format!("{kept}…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_and_values_are_cut_between_characters() {
        let long = "é".repeat(DETAIL_BYTES_MAX);
        let rejection = Rejection::new(Reason::BadValue, &format!("a{long}"));
        assert_eq!(rejection.detail.len(), DETAIL_BYTES_MAX - 1);
        assert_eq!(shortened(&format!("a{long}")), format!("a{}…", "é".repeat(31)));
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn a_detail_is_one_line() {
        let rejection = Rejection::new(Reason::BadValue, "a\nb\0c\u{85}d");
        assert_eq!(rejection.to_string(), "bad_value: a b c d");
    }

    #[test]
    fn names_of_reasons_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::parse("Future"), None);
    }
}

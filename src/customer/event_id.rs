//! Event ids as an order keeps them: without an allocation for a UUID or a short text, because each
//! touch of a customer reads all of them. They only break ties. Called by `orders` and the
//! changelog.

use std::cmp::Ordering;
use std::fmt;

use compact_str::CompactString;

/// An event id, ordered as its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventId {
    /// The number of a UUID in its canonical lower-case form (RFC 9562), big-endian: of two such
    /// texts the greater is that of the greater number.
    Uuid([u8; 16]),
    /// Any other text; empty where the event had no id.
    Text(CompactString),
}

impl Default for EventId {
    fn default() -> Self {
        Self::Text(CompactString::default())
    }
}

impl From<&str> for EventId {
    fn from(text: &str) -> Self {
        parse_uuid(text).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => {
                for (i, byte) in uuid.iter().enumerate() {
                    let hyphen = if let 4 | 6 | 8 | 10 = i { "-" } else { "" };
                    write!(f, "{hyphen}{byte:02x}")?;
                }
                Ok(())
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Ord for EventId {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Uuid(uuid), Self::Uuid(other)) => uuid.cmp(other),
            (Self::Text(text), Self::Text(other)) => text.cmp(other),
            (Self::Uuid(_), Self::Text(other)) => self.to_string().as_str().cmp(other),
            (Self::Text(text), Self::Uuid(_)) => text.as_str().cmp(&other.to_string()),
        }
    }
}

impl PartialOrd for EventId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut uuid: u128 = 0;
    for (i, &byte) in text.iter().enumerate() {
        let digit = match (i, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        uuid = uuid << 4 | u128::from(digit);
    }
    Some(uuid.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0190b5c8-93a1-7cde-8f00-0123456789ab";

    #[test]
    fn an_id_is_its_text_again() {
        let long = "x".repeat(128);
        for text in ["", "e1", UUID, &UUID.to_uppercase(), &UUID.replace('-', "0"), &long] {
            assert_eq!(EventId::from(text).to_string(), text);
        }
        assert!(matches!(EventId::from(UUID), EventId::Uuid(_)));
        assert!(matches!(EventId::from(UUID.to_uppercase().as_str()), EventId::Text(_)));
    }

    #[test]
    fn ids_are_ordered_as_their_texts() {
        let texts = [
            "",
            "0",
            "0190b5c8",
            UUID,
            "0190b5c8-93a1-7cde-8f00-0123456789ac",
            "0190b5c9",
            "f190b5c8-93a1-7cde-8f00-0123456789ab",
            "g",
        ];
        for (i, text) in texts.iter().enumerate() {
            for (k, other) in texts.iter().enumerate() {
                assert_eq!(EventId::from(*text).cmp(&EventId::from(*other)), i.cmp(&k));
            }
        }
    }
}

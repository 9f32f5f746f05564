//! What sending dead letters again leaves behind: a header on each record that was sent, and in the
//! dead-letter topic a receipt, a record without a value that names the offsets that were sent from
//! its partition. Pure. Written and read by `commands::redrive`.

use std::collections::BTreeMap;
use std::fmt;

use super::dead_letter::Headers;

/// The header of a record that was sent again: topic, partition and offset of its dead letter.
const REDRIVEN: &str = "lifetide.redriven";
/// The header of a receipt: the offsets that were sent, as in `5-9,12`.
const OFFSETS: &str = "lifetide.redriven_offsets";

/// The headers of a record that is sent again: the original's, and where its dead letter lies.
pub fn headers(mut originals: Headers, topic: &str, partition: i32, offset: i64) -> Headers {
    // One that was sent again before, and refused again, names only the newest letter.
    originals.retain(|(name, _)| name != REDRIVEN);
    let place = format!("{topic}/{partition}/{offset}");
    originals.push((REDRIVEN.to_owned(), Some(place.into_bytes())));
    originals
}

/// Offsets of one partition of the dead-letter topic, kept as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// First to last of each range; no two touch.
    ranges: BTreeMap<i64, i64>,
}

impl Offsets {
    /// Adds an offset.
    pub fn insert(&mut self, offset: i64) {
        self.insert_range(offset, offset);
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: &Self) {
        other.ranges.iter().for_each(|(first, last)| self.insert_range(*first, *last));
    }

    /// Whether the offset is there.
    pub fn contains(&self, offset: i64) -> bool {
        self.ranges.range(..=offset).next_back().is_some_and(|(_, last)| *last >= offset)
    }

    fn insert_range(&mut self, mut first: i64, mut last: i64) {
        while let Some((&before, &until)) = self.ranges.range(..=last.saturating_add(1)).next_back()
        {
            if until.saturating_add(1) < first {
                break;
            }
            (first, last) = (first.min(before), last.max(until));
            self.ranges.remove(&before);
        }
        self.ranges.insert(first, last);
    }

    /// The headers of the receipt of these offsets.
    pub fn receipt(&self) -> Headers {
        vec![(OFFSETS.to_owned(), Some(self.to_string().into_bytes()))]
    }

    /// Reads a receipt; `None` if the record is none.
    ///
    /// # Errors
    /// A sentence, for a receipt that holds something else than offsets.
    pub fn read_receipt(headers: &Headers) -> Option<Result<Self, String>> {
        let (_, value) = headers.iter().find(|(name, _)| name == OFFSETS)?;
        let text = String::from_utf8_lossy(value.as_deref().unwrap_or_default());
        let offsets = Self::parse(&text);
        Some(offsets.ok_or_else(|| format!("header `{OFFSETS}` holds `{text}`, not offsets")))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut offsets = Self::default();
        for range in text.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (i64, i64) = (first.parse().ok()?, last.parse().ok()?);
            if first < 0 || first > last {
                return None;
            }
            offsets.insert_range(first, last);
        }
        Some(offsets)
    }
}

impl fmt::Display for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(all: &[i64]) -> Offsets {
        let mut offsets = Offsets::default();
        for offset in all {
            offsets.insert(*offset);
        }
        offsets
    }

    #[test]
    fn offsets_join_to_ranges_in_any_order_and_read_back() {
        for (all, text) in [
            (&[5, 6, 7, 8, 9, 12][..], "5-9,12"),
            (&[12, 9, 7, 5, 8, 6, 6], "5-9,12"),
            (&[0, 2, 4, 3, 1], "0-4"),
            (&[i64::MAX, i64::MAX - 1], "9223372036854775806-9223372036854775807"),
            (&[7], "7"),
        ] {
            let offsets = offsets(all);
            assert_eq!(offsets.to_string(), text);
            assert_eq!(Offsets::read_receipt(&offsets.receipt()), Some(Ok(offsets)));
        }
    }

    #[test]
    fn an_offset_is_there_or_not() {
        let mut some = offsets(&[5, 6, 7, 12]);
        some.extend(&offsets(&[8, 9, 30]));
        assert_eq!(some.to_string(), "5-9,12,30");
        let found: Vec<i64> = (0..40).filter(|offset| some.contains(*offset)).collect();
        assert_eq!(found, [5, 6, 7, 8, 9, 12, 30]);
    }

    #[test]
    fn a_receipt_is_known_by_its_header_and_a_broken_one_is_an_error() {
        let header = |value: &str| vec![(OFFSETS.to_owned(), Some(value.as_bytes().to_vec()))];
        assert_eq!(Offsets::read_receipt(&Vec::new()), None);
        for broken in ["", "x", "9-5", "1,,2", "-3", "1-", "1-2-3", "99999999999999999999"] {
            let error = Offsets::read_receipt(&header(broken)).unwrap().unwrap_err();
            assert!(error.contains(&format!("holds `{broken}`")), "{error}");
        }
    }

    #[test]
    fn a_record_that_is_sent_again_names_its_newest_letter_alone() {
        let originals = vec![("trace".to_owned(), None)];
        let once = headers(originals.clone(), "dlq", 2, 40);
        let place = |text: &str| ("lifetide.redriven".to_owned(), Some(text.as_bytes().to_vec()));
        assert_eq!(once, [originals[0].clone(), place("dlq/2/40")]);
        assert_eq!(headers(once, "dlq", 0, 7), [originals[0].clone(), place("dlq/0/7")]);
    }
}

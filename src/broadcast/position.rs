//! How far somebody has read the signals topic: the next offset of each partition, and its text,
//! which is the id of an event stream. Knows nothing of signals. Used by the rest of `broadcast`.

use std::fmt;
use std::str::FromStr;

/// Between the offsets in the text.
const SEPARATOR: char = '.';

/// The next offset to read of each partition, by number; a partition that is not named is at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position(Vec<i64>);

impl Position {
    /// At these offsets.
    pub fn new(offsets_next: Vec<i64>) -> Self {
        Self(offsets_next)
    }

    /// How many partitions it names.
    pub fn n_partitions(&self) -> usize {
        self.0.len()
    }

    /// The next offset of a partition.
    pub fn offset_next(&self, partition: usize) -> i64 {
        self.0.get(partition).copied().unwrap_or(0)
    }

    /// Moves a partition on to `offset_next`, never back.
    pub fn pass(&mut self, partition: usize, offset_next: i64) {
        if partition >= self.0.len() {
            self.0.resize(partition + 1, 0);
        }
        self.0[partition] = self.0[partition].max(offset_next);
    }

    /// Moves each partition on to where `other` is, never back.
    pub(super) fn join(&mut self, other: &Self) {
        for (partition, offset_next) in other.0.iter().enumerate() {
            self.pass(partition, *offset_next);
        }
    }

    /// Whether no partition is behind `other`.
    pub(super) fn reaches(&self, other: &Self) -> bool {
        other.0.iter().enumerate().all(|(partition, next)| self.offset_next(partition) >= *next)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (partition, offset_next) in self.0.iter().enumerate() {
            if partition > 0 {
                write!(f, "{SEPARATOR}")?;
            }
            write!(f, "{offset_next}")?;
        }
        Ok(())
    }
}

/// The text is none that [`Position`] has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign;

impl FromStr for Position {
    type Err = Foreign;

    /// Takes its own text only, and that in one way: digits without a sign or a leading zero.
    fn from_str(text: &str) -> Result<Self, Foreign> {
        let offset = |part: &str| {
            let is_plain = part.bytes().all(|byte| byte.is_ascii_digit())
                && (part.len() == 1 || !part.starts_with('0'));
            part.parse().ok().filter(|_| is_plain).ok_or(Foreign)
        };
        text.split(SEPARATOR).map(offset).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_from_its_text() {
        for offsets in [vec![0], vec![15, 0, 9_223_372_036_854_775_807], vec![7; 300]] {
            let position = Position::new(offsets);
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        assert_eq!(Position::new(vec![15, 0, 7]).to_string(), "15.0.7");
    }

    #[test]
    fn any_other_text_is_foreign() {
        for text in ["", ".", "1.", "-1", "+1", "1.02", "1,2", " 1", "9223372036854775808", "é"] {
            assert_eq!(text.parse::<Position>(), Err(Foreign), "{text}");
        }
    }

    #[test]
    fn a_partition_that_is_not_named_is_at_its_beginning() {
        let (short, long) = (Position::new(vec![3]), Position::new(vec![3, 1]));
        assert!(long.reaches(&short) && !short.reaches(&long));
        assert!(short.reaches(&Position::new(vec![3, 0])));
    }
}

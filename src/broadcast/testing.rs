//! What the tests of `broadcast` share: signals that tell their place, and a reader that notes all
//! it is given.

use super::ring::{Cursor, Next, Ring};
use super::{Position, Signal};

/// What a reader was given.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) given: Vec<String>,
    pub(super) places: Vec<Position>,
    pub(super) n_gaps: usize,
}

impl Reader {
    pub(super) fn by_partition(&self, partition: usize) -> Vec<&String> {
        let begin = format!("{partition}@");
        self.given.iter().filter(|json| json.starts_with(&begin)).collect()
    }
}

pub(super) fn signal(partition: i64, offset: i64) -> Signal {
    let json = format!("{partition}@{offset}").into();
    Signal { partition: usize::try_from(partition).unwrap(), offset, json }
}

/// Reads all there is.
pub(super) fn read(ring: &Ring, mut cursor: Cursor) -> Reader {
    let mut reader = Reader::default();
    while let Some(next) = ring.next(&mut cursor) {
        match next {
            Next::Signal { json, position } => {
                reader.given.push(json.to_string());
                reader.places.push(position);
            }
            Next::Gap { .. } => reader.n_gaps += 1,
        }
    }
    reader
}

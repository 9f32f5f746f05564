//! One partition's log: records with gaps between them, where markers lie and where the cleaner
//! was. Knows nothing of transactions but what it is told of each. Called by `broker`.

use std::collections::BTreeMap;

use crate::record::dead_letter::Headers;

/// How long a tombstone stays after the cleaner has first met it, at least.
const TOMBSTONE_TICKS: u64 = 60;

/// A record as it lies in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: usize,
    pub(super) transaction: usize,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
    /// When the cleaner first met this tombstone, and took what it replaces.
    met_at: Option<u64>,
}

/// A record on its way into a log: key, value and headers.
pub(super) type Sent = (Vec<u8>, Option<Vec<u8>>, Headers);

#[derive(Debug, Default)]
pub(super) struct Log {
    /// By offset.
    entries: Vec<Entry>,
    /// The next offset to write.
    pub(super) end: usize,
}

impl Log {
    pub(super) fn append(&mut self, transaction: usize, (key, value, headers): Sent) {
        let offset = self.end;
        self.entries.push(Entry { offset, transaction, key, value, headers, met_at: None });
        self.end += 1;
    }

    /// Writes a transaction's marker: an offset that no reader is shown.
    pub(super) fn mark(&mut self) {
        self.end += 1;
    }

    /// The records from an offset on.
    pub(super) fn from(&self, offset: usize) -> &[Entry] {
        let start = self.entries.partition_point(|entry| entry.offset < offset);
        self.entries.get(start..).unwrap_or_default()
    }

    /// The cleaner: before `stable` it keeps the last committed record of each key and drops what
    /// was aborted. A tombstone goes later, once no reader is left who may have seen what it
    /// replaced (`delete.retention.ms` is a day, a restore takes minutes): `readers_since` is when
    /// the first of those who read now began. Offsets stay as they are.
    pub(super) fn clean(
        &mut self,
        stable: usize,
        is_committed: impl Fn(usize) -> bool,
        now: u64,
        readers_since: Option<u64>,
    ) -> usize {
        let n_before = self.entries.len();
        let mut last: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for entry in &self.entries {
            if entry.offset < stable && is_committed(entry.transaction) {
                last.insert(entry.key.clone(), entry.offset);
            }
        }
        self.entries.retain(|entry| {
            let is_over = entry.met_at.is_some_and(|met_at| {
                met_at + TOMBSTONE_TICKS <= now && readers_since.is_none_or(|since| since > met_at)
            });
            entry.offset >= stable || last.get(&entry.key) == Some(&entry.offset) && !is_over
        });
        for entry in &mut self.entries {
            if entry.offset < stable && entry.value.is_none() {
                entry.met_at.get_or_insert(now);
            }
        }
        n_before - self.entries.len()
    }
}

//! A broker by its rules, in memory: transactions whose markers come late, the last stable offset,
//! producer epochs, group generations, pending offsets. It decides nothing about what is sent.
//! Called by `process` through its calls, and by `world`, which lets time pass.

use std::collections::BTreeMap;

use crate::engine::Topic;
use crate::record::dead_letter::Headers;

/// How long a transaction may stay open before the broker aborts it and fences its producer.
const TRANSACTION_TIMEOUT_TICKS: u64 = 400;

/// A topic's partition; topics whose partition is not chosen by the engine have one.
pub(super) type Place = (Topic, i32);

/// Who owns a transactional id and, as a static member, a place in the group.
pub(super) type Identity = usize;

/// A record as it lies in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    transaction: usize,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
}

/// What a broker answers where it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A newer producer has this transactional id, or the broker has aborted for it.
    Fenced,
    /// The group has moved on since.
    StaleGeneration,
    /// The transaction before is not over yet: ask again.
    Concurrent,
}

/// How far a transaction has come. Its markers are written after its outcome is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open { since: u64 },
    Decided { commit: bool, visible_at: u64, offsets_at: u64 },
    Over { commit: bool },
}

#[derive(Debug)]
struct Transaction {
    identity: Identity,
    stage: Stage,
    offsets: BTreeMap<i32, i64>,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    last: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Broker {
    pub(super) now: u64,
    logs: BTreeMap<Place, Vec<Entry>>,
    transactions: Vec<Transaction>,
    producers: BTreeMap<Identity, Producer>,
    offsets: BTreeMap<i32, i64>,
    /// Raised by each rebalance; a member that has not heard of it may not commit.
    pub(super) generation: u64,
    /// Records that were not delivered.
    pub(super) n_undelivered: u64,
    /// How late the next markers are in the logs.
    pub(super) marker_delay: u64,
    /// … and among the group's offsets.
    pub(super) offsets_delay: u64,
}

impl Broker {
    /// Lets a tick pass: markers arrive, and what was open for too long is aborted.
    pub(super) fn tick(&mut self) {
        self.now += 1;
        for i in 0..self.transactions.len() {
            match self.transactions[i].stage {
                Stage::Decided { commit, visible_at, offsets_at } => {
                    if commit && offsets_at <= self.now {
                        self.commit_offsets_of(i);
                    }
                    if visible_at.max(offsets_at) <= self.now {
                        self.mark(i);
                    }
                }
                Stage::Open { since } if since + TRANSACTION_TIMEOUT_TICKS <= self.now => {
                    let identity = self.transactions[i].identity;
                    self.producers.entry(identity).or_default().epoch += 1;
                    self.decide(i, false);
                }
                Stage::Open { .. } | Stage::Over { .. } => {}
            }
        }
    }

    fn decide(&mut self, i: usize, commit: bool) {
        let visible_at = self.now + self.marker_delay;
        let offsets_at = self.now + self.offsets_delay;
        self.transactions[i].stage = Stage::Decided { commit, visible_at, offsets_at };
    }

    fn mark(&mut self, i: usize) {
        let Stage::Decided { commit, .. } = self.transactions[i].stage else { return };
        self.transactions[i].stage = Stage::Over { commit };
        if commit {
            self.commit_offsets_of(i);
        }
    }

    /// The marker in the log of the group's offsets, which comes when it comes.
    fn commit_offsets_of(&mut self, i: usize) {
        let offsets = std::mem::take(&mut self.transactions[i].offsets);
        self.offsets.extend(offsets);
    }

    /// `InitProducerId`: fences whoever had the id, and aborts what they left open.
    pub(super) fn init(&mut self, identity: Identity) -> Result<u64, Refusal> {
        let last = self.producers.entry(identity).or_default().last;
        match last.map(|i| (i, self.transactions[i].stage)) {
            Some((i, Stage::Open { .. })) => {
                self.producers.entry(identity).or_default().epoch += 1;
                self.decide(i, false);
                Err(Refusal::Concurrent)
            }
            Some((_, Stage::Decided { .. })) => Err(Refusal::Concurrent),
            Some((_, Stage::Over { .. })) | None => {
                let producer = self.producers.entry(identity).or_default();
                producer.epoch += 1;
                Ok(producer.epoch)
            }
        }
    }

    fn open(&self, identity: Identity, epoch: u64) -> Result<usize, Refusal> {
        let producer = self.producers.get(&identity).ok_or(Refusal::Fenced)?;
        let open = producer.last.filter(|_| producer.epoch == epoch).ok_or(Refusal::Fenced)?;
        match self.transactions[open].stage {
            Stage::Open { .. } => Ok(open),
            Stage::Decided { .. } | Stage::Over { .. } => Err(Refusal::Fenced),
        }
    }

    /// Begins a transaction; the one before must be over.
    pub(super) fn begin(&mut self, identity: Identity, epoch: u64) -> Result<(), Refusal> {
        let producer = self.producers.get(&identity).ok_or(Refusal::Fenced)?;
        if producer.epoch != epoch {
            return Err(Refusal::Fenced);
        }
        // The client asks again until the markers are there: time passes for it alone.
        if let Some(last) = producer.last {
            self.mark(last);
        }
        let stage = Stage::Open { since: self.now };
        self.transactions.push(Transaction { identity, stage, offsets: BTreeMap::new() });
        let last = self.transactions.len() - 1;
        self.producers.entry(identity).or_default().last = Some(last);
        Ok(())
    }

    /// Appends a record of the open transaction.
    pub(super) fn append(
        &mut self,
        identity: Identity,
        epoch: u64,
        place: Place,
        (key, value, headers): (Vec<u8>, Option<Vec<u8>>, Headers),
    ) -> Result<(), Refusal> {
        let transaction = self.open(identity, epoch)?;
        let entry = Entry { transaction, key, value, headers };
        self.logs.entry(place).or_default().push(entry);
        Ok(())
    }

    /// `TxnOffsetCommit`: refused to a member of an older generation.
    pub(super) fn send_offsets(
        &mut self,
        identity: Identity,
        epoch: u64,
        generation: u64,
        offsets: &BTreeMap<i32, i64>,
    ) -> Result<(), Refusal> {
        let open = self.open(identity, epoch)?;
        if generation != self.generation {
            return Err(Refusal::StaleGeneration);
        }
        self.transactions[open].offsets.extend(offsets);
        Ok(())
    }

    /// `EndTxn`.
    pub(super) fn end(
        &mut self,
        identity: Identity,
        epoch: u64,
        commit: bool,
    ) -> Result<(), Refusal> {
        let open = self.open(identity, epoch)?;
        self.decide(open, commit);
        Ok(())
    }

    /// A commit of offsets outside any transaction.
    pub(super) fn commit_offsets(&mut self, offsets: &BTreeMap<i32, i64>) {
        self.offsets.extend(offsets);
    }

    /// What the transaction's marker in the log says: whether it is committed; none before it came.
    fn outcome_of(&self, entry: &Entry) -> Option<bool> {
        match self.transactions[entry.transaction].stage {
            Stage::Open { .. } => None,
            Stage::Decided { commit, visible_at, .. } => (visible_at <= self.now).then_some(commit),
            Stage::Over { commit } => Some(commit),
        }
    }

    /// The end of a log as readers of uncommitted records see it.
    pub(super) fn end_of(&self, place: Place) -> usize {
        self.logs.get(&place).map_or(0, Vec::len)
    }

    /// The last stable offset: everything before it is decided and marked.
    pub(super) fn stable_of(&self, place: Place) -> usize {
        let is_unmarked = |entry: &Entry| self.outcome_of(entry).is_none();
        let log = self.logs.get(&place);
        log.map_or(0, |log| log.iter().position(is_unmarked).unwrap_or(log.len()))
    }

    /// The committed record at an offset before the last stable one; none where it was aborted.
    pub(super) fn committed_at(&self, place: Place, offset: usize) -> Option<&Entry> {
        let entry = self.logs.get(&place)?.get(offset)?;
        (self.outcome_of(entry) == Some(true)).then_some(entry)
    }

    /// The record at an offset, whatever became of its transaction.
    pub(super) fn any_at(&self, place: Place, offset: usize) -> Option<&Entry> {
        self.logs.get(&place)?.get(offset)
    }

    /// The group's offset of a partition as the last marker left it.
    pub(super) fn offset_marked(&self, partition: i32) -> Option<i64> {
        self.offsets.get(&partition).copied()
    }

    /// All that a committed reader of the whole log sees.
    pub(super) fn committed(&self, place: Place) -> impl Iterator<Item = &Entry> {
        (0..self.stable_of(place)).filter_map(move |offset| self.committed_at(place, offset))
    }

    /// The group's offset of a partition; refused while one is pending (`require_stable`).
    pub(super) fn offset_of(&self, partition: i32) -> Result<Option<i64>, Refusal> {
        let is_pending = |it: &Transaction| {
            !matches!(it.stage, Stage::Over { .. }) && it.offsets.contains_key(&partition)
        };
        if self.transactions.iter().any(is_pending) {
            return Err(Refusal::Concurrent);
        }
        Ok(self.offsets.get(&partition).copied())
    }

    /// Whether anything is still open or unmarked.
    pub(super) fn is_settled(&self) -> bool {
        self.transactions.iter().all(|it| matches!(it.stage, Stage::Over { .. }))
    }
}

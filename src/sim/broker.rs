//! A broker by its rules, in memory: transactions whose markers come late, the last stable offset,
//! producer epochs, pending offsets, compaction, and times in which it answers nobody. It decides
//! nothing about what is sent. Called by `producer`, `member` and `restore`, and by `world`, which
//! lets time pass.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Shop;
use super::group::{Caller, Group};
use super::log::{Entry, Log, Sent};
use crate::engine::Topic;

/// How long a transaction may stay open before the broker aborts it and fences its producer.
pub(super) const TRANSACTION_TIMEOUT_TICKS: u64 = 400;

/// A topic's partition; topics whose partition is not chosen by the engine have one.
pub(super) type Place = (Topic, i32);

/// Who owns a transactional id and, as a static member, a place in the group.
pub(super) type Identity = usize;

/// What a broker answers where it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A newer producer has this transactional id, or the broker has aborted for it.
    Fenced,
    /// The group has moved on since.
    StaleGeneration,
    /// The transaction before is not over yet: ask again.
    Concurrent,
    /// No answer.
    Unreachable,
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
    /// Where it wrote: each log gets a marker.
    places: BTreeSet<Place>,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    last: Option<usize>,
}

/// A commit on its way from a process that is no longer there.
#[derive(Clone, Copy, Debug)]
struct Late {
    at: u64,
    identity: Identity,
    epoch: u64,
}

#[derive(Debug)]
pub(super) struct Broker {
    shop: Rc<Shop>,
    pub(super) now: u64,
    pub(super) group: Group,
    logs: BTreeMap<Place, Log>,
    transactions: Vec<Transaction>,
    /// Those that are not over.
    unsettled: BTreeSet<usize>,
    producers: BTreeMap<Identity, Producer>,
    offsets: BTreeMap<i32, i64>,
    late: Vec<Late>,
    /// It answers nobody before then.
    pub(super) down_until: u64,
    /// How late the next markers are in the logs.
    pub(super) marker_delay: u64,
    /// … and among the group's offsets.
    pub(super) offsets_delay: u64,
}

impl Broker {
    pub(super) fn new(shop: &Rc<Shop>, group: Group) -> Self {
        Self {
            shop: Rc::clone(shop),
            now: 0,
            group,
            logs: BTreeMap::new(),
            transactions: Vec::new(),
            unsettled: BTreeSet::new(),
            producers: BTreeMap::new(),
            offsets: BTreeMap::new(),
            late: Vec::new(),
            down_until: 0,
            marker_delay: 0,
            offsets_delay: 0,
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.now < self.down_until
    }

    fn answer(&self) -> Result<(), Refusal> {
        if self.is_down() { Err(Refusal::Unreachable) } else { Ok(()) }
    }

    /// Lets a tick pass: markers arrive, and what was open for too long is aborted.
    pub(super) fn tick(&mut self) {
        self.now += 1;
        self.shop.trace.at(self.now);
        if self.is_down() {
            return;
        }
        for Late { identity, epoch, .. } in
            self.late.extract_if(.., |it| it.at <= self.now).collect::<Vec<_>>()
        {
            self.end(identity, epoch, true).ok();
        }
        for i in self.unsettled.clone() {
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
                    self.shop
                        .trace
                        .note(|| format!("broker: transaction {i} was open for too long"));
                    self.decide(i, false);
                }
                Stage::Open { .. } | Stage::Over { .. } => {}
            }
        }
    }

    fn decide(&mut self, i: usize, commit: bool) {
        let visible_at = self.now + self.marker_delay;
        let offsets_at = self.now + self.offsets_delay;
        let outcome = if commit { "committed" } else { "aborted" };
        self.shop.trace.note(|| {
            let offsets = &self.transactions[i].offsets;
            format!(
                "broker: transaction {i} is {outcome}, offsets {offsets:?}, marked at {visible_at}"
            )
        });
        self.transactions[i].stage = Stage::Decided { commit, visible_at, offsets_at };
    }

    fn mark(&mut self, i: usize) {
        let Stage::Decided { commit, .. } = self.transactions[i].stage else { return };
        self.transactions[i].stage = Stage::Over { commit };
        self.unsettled.remove(&i);
        for place in &self.transactions[i].places {
            self.logs.entry(*place).or_default().mark();
        }
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
        self.answer()?;
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

    /// The present epoch of an identity, without fencing anybody.
    pub(super) fn epoch_of(&self, identity: Identity) -> Option<u64> {
        self.producers.get(&identity).map(|producer| producer.epoch)
    }

    /// The producer's last transaction, if the id is still its own.
    fn last(&self, identity: Identity, epoch: u64) -> Result<Option<usize>, Refusal> {
        self.answer()?;
        let producer = self.producers.get(&identity).ok_or(Refusal::Fenced)?;
        if producer.epoch == epoch { Ok(producer.last) } else { Err(Refusal::Fenced) }
    }

    fn open(&self, identity: Identity, epoch: u64) -> Result<usize, Refusal> {
        let last = self.last(identity, epoch)?.ok_or(Refusal::Fenced)?;
        match self.transactions[last].stage {
            Stage::Open { .. } => Ok(last),
            Stage::Decided { .. } | Stage::Over { .. } => Err(Refusal::Fenced),
        }
    }

    /// Begins a transaction; the one before must be over. One that is open goes on.
    pub(super) fn begin(&mut self, identity: Identity, epoch: u64) -> Result<usize, Refusal> {
        if let Some(last) = self.last(identity, epoch)? {
            if matches!(self.transactions[last].stage, Stage::Open { .. }) {
                return Ok(last);
            }
            // The client asks again until the markers are there: time passes for it alone.
            self.mark(last);
        }
        let stage = Stage::Open { since: self.now };
        let (offsets, places) = (BTreeMap::new(), BTreeSet::new());
        self.transactions.push(Transaction { identity, stage, offsets, places });
        let last = self.transactions.len() - 1;
        self.unsettled.insert(last);
        self.producers.entry(identity).or_default().last = Some(last);
        Ok(last)
    }

    /// Appends a record of the open transaction.
    pub(super) fn append(
        &mut self,
        identity: Identity,
        epoch: u64,
        place: Place,
        sent: Sent,
    ) -> Result<(), Refusal> {
        let transaction = self.open(identity, epoch)?;
        self.transactions[transaction].places.insert(place);
        self.logs.entry(place).or_default().append(transaction, sent);
        Ok(())
    }

    /// `TxnOffsetCommit`: refused to a member of an older generation.
    pub(super) fn send_offsets(
        &mut self,
        identity: Identity,
        epoch: u64,
        caller: Caller,
        offsets: &BTreeMap<i32, i64>,
    ) -> Result<(), Refusal> {
        let open = self.open(identity, epoch)?;
        self.group.admits(caller)?;
        self.transactions[open].offsets.extend(offsets);
        Ok(())
    }

    /// `EndTxn`. Asked again, it answers the same.
    pub(super) fn end(
        &mut self,
        identity: Identity,
        epoch: u64,
        commit: bool,
    ) -> Result<(), Refusal> {
        let last = self.last(identity, epoch)?.ok_or(Refusal::Fenced)?;
        match self.transactions[last].stage {
            Stage::Open { .. } => {
                self.decide(last, commit);
                Ok(())
            }
            Stage::Decided { commit: was, .. } | Stage::Over { commit: was } if was == commit => {
                Ok(())
            }
            Stage::Decided { .. } | Stage::Over { .. } => Err(Refusal::Fenced),
        }
    }

    /// An `EndTxn` that arrives when its sender is long gone.
    pub(super) fn end_late(&mut self, identity: Identity, epoch: u64, delay: u64) {
        self.late.push(Late { at: self.now + delay, identity, epoch });
    }

    /// A commit of offsets outside any transaction.
    pub(super) fn commit_offsets(&mut self, offsets: &BTreeMap<i32, i64>) {
        self.offsets.extend(offsets);
    }

    /// What the transaction's marker in the log says: whether it is committed; none before it came.
    fn outcome_of(&self, transaction: usize) -> Option<bool> {
        match self.transactions[transaction].stage {
            Stage::Open { .. } => None,
            Stage::Decided { commit, visible_at, .. } => (visible_at <= self.now).then_some(commit),
            Stage::Over { commit } => Some(commit),
        }
    }

    /// The end of a log as readers of uncommitted records see it.
    pub(super) fn end_of(&self, place: Place) -> usize {
        self.logs.get(&place).map_or(0, |log| log.end)
    }

    /// The last stable offset: everything before it is decided and marked.
    pub(super) fn stable_of(&self, place: Place) -> usize {
        let Some(log) = self.logs.get(&place) else { return 0 };
        let is_unmarked = |entry: &&Entry| self.outcome_of(entry.transaction).is_none();
        log.from(0).iter().find(is_unmarked).map_or(log.end, |entry| entry.offset)
    }

    /// The records from an offset on, whatever became of their transactions.
    pub(super) fn from(&self, place: Place, offset: usize) -> &[Entry] {
        self.logs.get(&place).map_or(&[], |log| log.from(offset))
    }

    pub(super) fn is_committed(&self, entry: &Entry) -> bool {
        self.outcome_of(entry.transaction) == Some(true)
    }

    /// All that a committed reader of the whole log sees.
    pub(super) fn committed(&self, place: Place) -> impl Iterator<Item = &Entry> {
        let stable = self.stable_of(place);
        let entries = self.from(place, 0).iter().take_while(move |entry| entry.offset < stable);
        entries.filter(|entry| self.is_committed(entry))
    }

    /// Runs the cleaner over a compacted log.
    pub(super) fn clean(&mut self, place: Place, readers_since: Option<u64>) {
        let (stable, now) = (self.stable_of(place), self.now);
        let Some(mut log) = self.logs.remove(&place) else { return };
        let is_committed = |transaction: usize| self.outcome_of(transaction) == Some(true);
        let n_gone = log.clean(stable, is_committed, now, readers_since);
        self.logs.insert(place, log);
        if n_gone == 0 {
            return;
        }
        self.shop.trace.note(|| {
            format!("broker: the cleaner takes {n_gone} records of {place:?} below {stable}")
        });
    }

    /// The group's offset of a partition as the last marker left it.
    pub(super) fn offset_marked(&self, partition: i32) -> Option<i64> {
        self.offsets.get(&partition).copied()
    }

    /// The group's offset of a partition; refused while one is pending (`require_stable`).
    pub(super) fn offset_of(&self, partition: i32) -> Result<Option<i64>, Refusal> {
        let is_pending = |i: &usize| self.transactions[*i].offsets.contains_key(&partition);
        if self.is_down() || self.unsettled.iter().any(is_pending) {
            return Err(Refusal::Concurrent);
        }
        Ok(self.offset_marked(partition))
    }

    /// Whether anything is still open, unmarked or under way.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.is_empty() && self.late.is_empty()
    }
}

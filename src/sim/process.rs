//! One simulated process: the real engine between a reader and a producer that keep the same
//! protocol as those over rdkafka. It can be killed between any two calls to the broker.
//! Driven by `world`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::broker::{Broker, Identity};
use super::port::{Membership, Port};
use super::workload::Stored;
use super::{Flaw, Shop};
use crate::engine::rebuild::{Bounds, Rebuild};
use crate::engine::timers::Timers;
use crate::engine::{Batch, Command, Engine, Input, Options, Restored, Topic};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::store::Store;

/// Inputs that wait for the engine.
const INBOX_MAX: usize = 4;
/// Commands that wait for the reader.
const COMMANDS_MAX: usize = 64;

fn relabel(inbox: &mut VecDeque<Input>, partition: i32, epoch: u64) {
    for input in inbox {
        if let Input::Records(batch) = input
            && batch.partition == partition
        {
            batch.epoch = epoch;
        }
    }
}

/// A partition whose state is read back.
#[derive(Debug)]
struct Restore {
    epoch: u64,
    /// Present once everything up to the end is stable.
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    committed: Option<i64>,
    next: usize,
    end: usize,
    rebuild: Rebuild,
}

pub(super) struct Process {
    pub(super) identity: Identity,
    engine: Engine<Port>,
    membership: Rc<RefCell<Membership>>,
    broker: Rc<RefCell<Broker>>,
    fuse: Rc<Cell<Option<u64>>>,
    undelivered: Rc<Cell<Option<u64>>>,
    commands: Receiver<Command>,
    inbox: VecDeque<Input>,
    /// Partitions that are read, and where.
    running: BTreeMap<i32, i64>,
    /// The epochs in which time has passed at the end of a partition.
    ticked: BTreeMap<i32, u64>,
    restores: BTreeMap<i32, Restore>,
    metrics: Arc<Metrics>,
    /// Reads states back.
    pipeline: Pipeline,
    shop: Rc<Shop>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Process {
    /// A process that owns nothing; nothing while the transaction that another left open under this
    /// identity is not over.
    pub(super) fn start(
        identity: Identity,
        broker: &Rc<RefCell<Broker>>,
        shop: &Rc<Shop>,
        options: Options,
    ) -> Option<Self> {
        let epoch = broker.borrow_mut().init(identity).ok()?;
        let membership = Rc::new(RefCell::new(Membership::default()));
        let (fuse, undelivered) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(None)));
        let port = Port {
            shop: Rc::clone(shop),
            broker: Rc::clone(broker),
            membership: Rc::clone(&membership),
            identity,
            epoch,
            fuse: Rc::clone(&fuse),
            undelivered: Rc::clone(&undelivered),
        };
        let metrics = Arc::new(Metrics::new());
        let (sender, commands) = bounded(COMMANDS_MAX);
        let store = Arc::new(Store::default());
        let engine =
            Engine::new(options, shop.plan.pipeline(), store, port, Arc::clone(&metrics), sender);
        Some(Self {
            identity,
            engine,
            membership,
            broker: Rc::clone(broker),
            fuse,
            undelivered,
            commands,
            inbox: VecDeque::new(),
            running: BTreeMap::new(),
            ticked: BTreeMap::new(),
            restores: BTreeMap::new(),
            metrics,
            pipeline: shop.plan.pipeline(),
            shop: Rc::clone(shop),
        })
    }

    /// It will die after so many more calls.
    pub(super) fn light_fuse(&self, n_calls: u64) {
        self.fuse.set(Some(n_calls));
    }

    /// The record after so many more will not be delivered.
    pub(super) fn lose_record(&self, n_records: u64) {
        self.undelivered.set(Some(n_records));
    }

    pub(super) fn is_killed(&self) -> bool {
        self.fuse.get() == Some(0)
    }

    pub(super) fn owned(&self) -> Vec<i32> {
        self.membership.borrow().owned.keys().copied().collect()
    }

    pub(super) fn generation(&self) -> u64 {
        self.membership.borrow().generation
    }

    /// A rebalance as the member hears of it: what it gives up is committed first.
    pub(super) fn rebalance(&mut self, generation: u64, target: &[i32]) -> Result<(), String> {
        self.membership.borrow_mut().generation = generation;
        let revoked: Vec<i32> =
            self.owned().into_iter().filter(|partition| !target.contains(partition)).collect();
        let (acknowledge, _) = bounded(1);
        let input = Input::Revoked { partitions: revoked.clone(), acknowledge };
        self.drain()?;
        let outcome = self.handle(input);
        self.forget(&revoked);
        outcome?;
        for partition in target {
            if !self.membership.borrow().owned.contains_key(partition) {
                let epoch = self.membership.borrow_mut().assign(*partition);
                self.restores.insert(*partition, Restore { epoch, reading: None });
                let gauges = Arc::new(self.metrics.own_partition(*partition));
                self.handle(Input::Assigned { partition: *partition, epoch, gauges })?;
            }
        }
        Ok(())
    }

    /// The group has moved on without this member.
    pub(super) fn lose(&mut self) -> Result<(), String> {
        let partitions = self.owned();
        self.forget(&partitions);
        let (acknowledge, _) = bounded(1);
        self.drain()?;
        self.handle(Input::Lost { partitions, acknowledge })
    }

    fn forget(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.membership.borrow_mut().owned.remove(partition);
            self.running.remove(partition);
            self.restores.remove(partition);
        }
    }

    fn handle(&mut self, input: Input) -> Result<(), String> {
        let now = self.broker.borrow().now;
        self.engine.handle(input, now).map(|_| ())?;
        self.obey();
        Ok(())
    }

    fn drain(&mut self) -> Result<(), String> {
        while let Some(input) = self.inbox.pop_front() {
            self.handle(input)?;
        }
        Ok(())
    }

    /// Hands the engine what waits, if anything does.
    pub(super) fn work(&mut self) -> Result<(), String> {
        if let Some(input) = self.inbox.pop_front() {
            self.handle(input)?;
        }
        let now = self.broker.borrow().now;
        self.engine.turn(now)?;
        self.obey();
        Ok(())
    }

    fn obey(&mut self) {
        let commands: Vec<Command> = self.commands.try_iter().collect();
        for command in commands {
            let mut membership = self.membership.borrow_mut();
            match command {
                Command::Resume { partition, epoch, offset_next } => {
                    if membership.owned.get(&partition) == Some(&epoch) {
                        self.running.insert(partition, offset_next.unwrap_or(0));
                    }
                }
                Command::Rewind { partition, epoch, offset_next } => {
                    if membership.owned.get(&partition) == Some(&epoch) {
                        let epoch = membership.assign(partition);
                        if !self.shop.has(Flaw::NoSeekBack) {
                            self.running.insert(partition, offset_next);
                        }
                        if self.shop.has(Flaw::OldEpoch) {
                            relabel(&mut self.inbox, partition, epoch);
                        }
                    }
                }
            }
        }
    }

    /// Reads on in a partition; at its end, time may pass up to `until_ms`.
    pub(super) fn read(&mut self, partition: i32, n_records_max: usize, until_ms: Option<i64>) {
        let Some(next) = self.running.get(&partition).copied() else { return };
        if self.inbox.len() >= INBOX_MAX {
            return;
        }
        let epoch = self.membership.borrow().owned[&partition];
        let log: &[Stored] = &self.shop.logs[&partition];
        let start = usize::try_from(next).unwrap_or(usize::MAX);
        let intake = &self.shop.plan.rules.intake;
        let records: Vec<_> = (next..)
            .zip(log.iter().skip(start).take(n_records_max))
            .map(|(offset, stored)| stored.read(offset, intake))
            .collect();
        match (records.last(), until_ms) {
            (Some(last), _) => {
                self.running.insert(partition, last.offset + 1);
                self.inbox.push_back(Input::Records(Batch { partition, epoch, records }));
            }
            (None, Some(until_ms)) if self.ticked.get(&partition) != Some(&epoch) => {
                self.ticked.insert(partition, epoch);
                self.inbox.push_back(Input::Tick { partition, epoch, until_ms });
            }
            (None, _) => {}
        }
    }

    /// Whether everything was read, handled and committed.
    pub(super) fn is_idle(&self) -> bool {
        let is_read = |(partition, next): (&i32, &i64)| {
            usize::try_from(*next).is_ok_and(|next| next >= self.shop.logs[partition].len())
                && self.ticked.get(partition) == self.membership.borrow().owned.get(partition)
        };
        self.inbox.is_empty()
            && self.restores.is_empty()
            && self.engine.commit_due_in_ms(0).is_none()
            && self.running.iter().all(is_read)
    }

    /// Does a piece of one restore: offset first, then the end as uncommitted readers see it, and
    /// no record before everything up to that end is stable.
    pub(super) fn restore(&mut self, partition: i32, n_records_max: usize) -> Result<(), String> {
        let Some(restore) = self.restores.get_mut(&partition) else { return Ok(()) };
        let place = (Topic::Changelog, partition);
        let broker = self.broker.borrow();
        let Some(reading) = &mut restore.reading else {
            let is_unchecked = self.shop.has(Flaw::MarkerNotChecked);
            let committed = match broker.offset_of(partition) {
                Ok(committed) => committed,
                Err(_) if is_unchecked => broker.offset_marked(partition),
                Err(_) => return Ok(()),
            };
            let end = if self.shop.has(Flaw::RestoreEndCommitted) {
                broker.stable_of(place)
            } else {
                broker.end_of(place)
            };
            if broker.stable_of(place) >= end || self.shop.has(Flaw::RestoreUncommitted) {
                let rebuild = Rebuild::default();
                restore.reading = Some(Reading { committed, next: 0, end, rebuild });
            }
            return Ok(());
        };
        for _ in 0..n_records_max {
            if reading.next >= reading.end {
                break;
            }
            let entry = if self.shop.has(Flaw::RestoreUncommitted) {
                broker.any_at(place, reading.next)
            } else {
                broker.committed_at(place, reading.next)
            };
            if let Some(entry) = entry {
                let offset = i64::try_from(reading.next).unwrap_or(i64::MAX);
                let (key, value) = (Some(&*entry.key), entry.value.as_deref());
                reading.rebuild.take(offset, key, value, &self.pipeline);
            }
            reading.next += 1;
        }
        if reading.next < reading.end {
            return Ok(());
        }
        drop(broker);
        let Some(Restore { epoch, reading: Some(reading) }) = self.restores.remove(&partition)
        else {
            return Ok(());
        };
        let bounds = Bounds { committed: reading.committed, ..Bounds::default() };
        let restored = if self.shop.has(Flaw::MarkerNotChecked) {
            let bounds = Bounds { committed: None, ..Bounds::default() };
            let rebuilt = reading.rebuild.finish(partition, epoch, bounds, &self.shop.ground)?;
            Restored { offset_next: reading.committed, ..rebuilt }
        } else {
            reading.rebuild.finish(partition, epoch, bounds, &self.shop.ground)?
        };
        let restored = if self.shop.has(Flaw::TimersNotRebuilt) {
            Restored { timers: Timers::default(), ..restored }
        } else {
            restored
        };
        self.inbox.push_back(Input::Restored(Box::new(restored)));
        Ok(())
    }

    /// The partitions that are on their way back.
    pub(super) fn restoring(&self) -> Vec<i32> {
        self.restores.keys().copied().collect()
    }

    /// Partitions that may be read.
    pub(super) fn running(&self) -> Vec<i32> {
        self.running.keys().copied().collect()
    }
}

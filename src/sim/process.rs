//! One simulated process: the real engine between a reader, a restorer and a producer that keep the
//! same protocol as those over rdkafka, each taking its turn when chance says so. It can be killed
//! between any two calls to the broker. Driven by `world`.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::broker::{Broker, Identity};
use super::group::Pid;
use super::member::Membership;
use super::producer::{Harm, Port, Producer, State};
use super::restore::Restore;
use super::workload::Stored;
use super::{Flaw, Shop};
use crate::dice::Dice;
use crate::engine::{Batch, Command, Engine, Input, Options, Restored};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::store::Store;

/// Inputs that wait for the engine.
pub(super) const INBOX_MAX: usize = 3;
/// Commands that wait for the reader.
const COMMANDS_MAX: usize = 64;
/// Parts that a turn lets run, each by chance.
const PARTS_PER_TURN: usize = 5;
/// How far one tick may move time while most customers are still to leave …
const TICK_DAYS_MAX: u64 = 50;
/// … and afterwards.
const LATE_TICK_DAYS: i64 = 2000;
const LATE_DAYS: i64 = 1000;
const DAY_MS: i64 = 86_400_000;

pub(super) struct Process {
    pub(super) identity: Identity,
    engine: Engine<Port>,
    pub(super) membership: Rc<RefCell<Membership>>,
    pub(super) broker: Rc<RefCell<Broker>>,
    producer: Rc<RefCell<Producer>>,
    pub(super) harm: Rc<Harm>,
    commands: Receiver<Command>,
    pub(super) inbox: VecDeque<Input>,
    /// What the callbacks found no room for; handed over before anything that is read.
    pub(super) backlog: VecDeque<Input>,
    /// What the restorer waits to hand over.
    restored: VecDeque<Restored>,
    /// Partitions that are read, and where.
    pub(super) running: BTreeMap<i32, i64>,
    /// How far time has passed at the end of a partition, and in which epoch.
    ticked: BTreeMap<i32, (u64, i64)>,
    pub(super) restores: BTreeMap<i32, Restore>,
    pub(super) metrics: Arc<Metrics>,
    /// Reads states back.
    pipeline: Pipeline,
    pub(super) shop: Rc<Shop>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Records that were read in an old epoch pass for those of the new one.
fn relabel(inbox: &mut VecDeque<Input>, partition: i32, epoch: u64) {
    for input in inbox {
        if let Input::Records(batch) = input
            && batch.partition == partition
        {
            batch.epoch = epoch;
        }
    }
}

impl Process {
    /// A process that owns nothing; nothing while the transaction that another left open under this
    /// identity is not over, or nobody answers.
    pub(super) fn start(
        pid: Pid,
        identity: Identity,
        broker: &Rc<RefCell<Broker>>,
        shop: &Rc<Shop>,
        options: Options,
    ) -> Option<Self> {
        let unfenced = broker.borrow().epoch_of(identity).filter(|_| shop.has(Flaw::NoFencing));
        let epoch = unfenced.or_else(|| broker.borrow_mut().init(identity).ok())?;
        let membership = Rc::new(RefCell::new(Membership::new(pid)));
        let harm = Rc::new(Harm::default());
        let producer = Rc::new(RefCell::new(Producer {
            shop: Rc::clone(shop),
            broker: Rc::clone(broker),
            membership: Rc::clone(&membership),
            identity,
            epoch,
            harm: Rc::clone(&harm),
            state: State::default(),
        }));
        let metrics = Arc::new(Metrics::new(&shop.plan.rules.tiers));
        let (sender, commands) = bounded(COMMANDS_MAX);
        let store = Arc::new(Store::default());
        let port = Port(Rc::clone(&producer));
        let engine = Engine::new(
            options,
            shop.plan.rules.calendar.clone(),
            store,
            port,
            Arc::clone(&metrics),
            sender,
        );
        Some(Self {
            identity,
            engine,
            membership,
            broker: Rc::clone(broker),
            producer,
            harm,
            commands,
            inbox: VecDeque::new(),
            backlog: VecDeque::new(),
            restored: VecDeque::new(),
            running: BTreeMap::new(),
            ticked: BTreeMap::new(),
            restores: BTreeMap::new(),
            metrics,
            pipeline: shop.plan.pipeline(),
            shop: Rc::clone(shop),
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.membership.borrow().pid
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        self.shop.trace.note(|| format!("process {}: {}", self.pid(), what()));
    }

    pub(super) fn is_killed(&self) -> bool {
        self.harm.fuse.get() == Some(0)
    }

    /// Lets some of its threads do a piece of work each, in any order.
    pub(super) fn turn(&mut self, dice: &mut Dice) -> Result<(), String> {
        for _ in 0..PARTS_PER_TURN {
            match dice.below(6) {
                0 => self.hear()?,
                1 | 2 => self.poll(dice)?,
                3 => self.restore(dice)?,
                4 => self.work()?,
                _ if self.harm.ack_ticks.get() == 0 => {
                    let n_records = 1 + usize::try_from(dice.below(9)).unwrap_or(0);
                    self.producer.borrow_mut().pump(n_records);
                }
                _ => self.producer.borrow_mut().pump(1),
            }
        }
        Ok(())
    }

    /// Stops in order: what is open is committed, what was not read stays for others.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        self.note(|| "stops in order".to_owned());
        self.harm.engine_rests.set(0);
        while !self.inbox.is_empty() {
            self.work()?;
        }
        self.handle(Input::Shutdown)?;
        self.broker.borrow_mut().group.leave(self.pid());
        Ok(())
    }

    fn handle(&mut self, input: Input) -> Result<(), String> {
        let now = self.broker.borrow().now;
        self.engine.handle(input, now).map(|_| ())
    }

    /// The engine's thread: takes what waits, if anything does, and commits what is old enough.
    pub(super) fn work(&mut self) -> Result<(), String> {
        if let Some(left) = self.harm.engine_rests.get().checked_sub(1) {
            self.harm.engine_rests.set(left);
            return Ok(());
        }
        if let Some(input) = self.inbox.pop_front() {
            self.handle(input)?;
        }
        let now = self.broker.borrow().now;
        self.engine.turn(now)
    }

    /// The thread that polls: callbacks, what they left over, commands, and then records.
    fn poll(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.rebalance(dice)?;
        while self.inbox.len() < INBOX_MAX {
            let Some(input) = self.backlog.pop_front() else { break };
            self.inbox.push_back(input);
        }
        if !self.backlog.is_empty() {
            return Ok(());
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
        let running: Vec<i32> = self.running.keys().copied().collect();
        if !running.is_empty() {
            self.read(*dice.pick(&running), dice);
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) {
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
        drop(membership);
        self.note(|| format!("obeys {command:?}"));
    }

    /// Reads on in a partition; at its end, time passes.
    fn read(&mut self, partition: i32, dice: &mut Dice) {
        let n_records_max = 1 + usize::try_from(dice.below(6)).unwrap_or(0);
        let tick_ms = (1 + dice.below(TICK_DAYS_MAX)).cast_signed() * DAY_MS;
        if self.inbox.len() >= INBOX_MAX || self.broker.borrow().is_down() {
            return;
        }
        let next = self.running[&partition];
        let epoch = self.membership.borrow().owned[&partition];
        let log: &[Stored] = &self.shop.logs[&partition];
        let start = usize::try_from(next).unwrap_or(usize::MAX);
        let intake = &self.shop.plan.rules.intake;
        let records: Vec<_> = (next..)
            .zip(log.iter().skip(start).take(n_records_max))
            .map(|(offset, stored)| stored.read(offset, intake))
            .collect();
        if let Some(last) = records.last() {
            let n_records = records.len();
            self.note(|| format!("reads {n_records} records of partition {partition} from {next}"));
            self.running.insert(partition, last.offset + 1);
            self.inbox.push_back(Input::Records(Batch { partition, epoch, records }));
            return;
        }
        let before = self.ticked.get(&partition).filter(|(ticked_in, _)| *ticked_in == epoch);
        let before_ms = before.map_or(self.shop.silent_from_ms, |(_, until_ms)| *until_ms);
        let is_late = before_ms > self.shop.silent_from_ms + LATE_DAYS * DAY_MS;
        let tick_ms = if is_late { LATE_TICK_DAYS * DAY_MS } else { tick_ms };
        let until_ms = self.shop.until_ms.min(before_ms + tick_ms);
        if until_ms > before_ms {
            self.ticked.insert(partition, (epoch, until_ms));
            self.inbox.push_back(Input::Tick { partition, epoch, until_ms });
        }
    }

    /// Whether everything was read, handled and committed.
    pub(super) fn is_idle(&self) -> bool {
        let membership = self.membership.borrow();
        let is_read = |(partition, next): (&i32, &i64)| {
            let end = (membership.owned[partition], self.shop.until_ms);
            usize::try_from(*next).is_ok_and(|next| next >= self.shop.logs[partition].len())
                && self.ticked.get(partition) == Some(&end)
        };
        self.inbox.is_empty()
            && self.backlog.is_empty()
            && self.restores.is_empty()
            && self.restored.is_empty()
            && self.commands.is_empty()
            && self.producer.borrow().is_idle()
            && self.engine.commit_due_in_ms(0).is_none()
            && self.running.iter().all(is_read)
    }

    /// The thread that restores: hands over what is done as soon as there is room, and reads on.
    fn restore(&mut self, dice: &mut Dice) -> Result<(), String> {
        if let Some(restored) = self.restored.pop_front() {
            if self.inbox.len() >= INBOX_MAX {
                self.restored.push_front(restored);
                return Ok(());
            }
            self.inbox.push_back(Input::Restored(Box::new(restored)));
        }
        let restoring: Vec<i32> = self.restores.keys().copied().collect();
        if restoring.is_empty() {
            return Ok(());
        }
        let partition = *dice.pick(&restoring);
        let Some(restore) = self.restores.get_mut(&partition) else { return Ok(()) };
        let n_records_max = 1 + usize::try_from(dice.below(25)).unwrap_or(0);
        let broker = self.broker.borrow();
        if !restore.read(&broker, &self.shop, n_records_max) {
            return Ok(());
        }
        let Some(restored) = restore.finish(&broker, &self.shop, &self.pipeline)? else {
            self.note(|| format!("reads partition {partition} back again"));
            return Ok(());
        };
        drop(broker);
        self.restores.remove(&partition);
        self.note(|| {
            let (epoch, offset_next) = (restored.epoch, restored.offset_next);
            format!("has partition {partition} back, epoch {epoch}, and goes on at {offset_next:?}")
        });
        self.restored.push_back(restored);
        Ok(())
    }

    /// What it is at, for a run that stalls.
    pub(super) fn told(&self) -> String {
        format!(
            "process {} owns {:?} (partition: epoch), reads {:?} (partition: offset), restores \
             {:?}, and {} inputs wait for its engine",
            self.pid(),
            self.membership.borrow().owned,
            self.running,
            self.restores.keys(),
            self.inbox.len() + self.backlog.len() + self.restored.len(),
        )
    }

    /// Partitions that may be read.
    pub(super) fn running(&self) -> Vec<i32> {
        self.running.keys().copied().collect()
    }

    /// When it began to read a partition back, if it does.
    pub(super) fn reads_back_since(&self, partition: i32) -> Option<u64> {
        self.restores.get(&partition).and_then(Restore::began_at)
    }
}

//! One run: processes of one group over one broker, faults by the seed until half of the time is
//! over, then peace until everything is processed; and the verdict on what is visible then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Shop;
use super::broker::{Broker, Identity};
use super::faults::Faults;
use super::group::{Group, Pid, Protocol};
use super::process::Process;
use super::verdict::Visible;
use crate::config::Emit;
use crate::dice::Dice;
use crate::engine::{Options, Topic};

/// Steps of a run with faults.
const FAULTY_STEPS: u64 = 900;
/// Steps of peace after which a run that is not over has stalled.
const PEACE_STEPS_MAX: u64 = 20_000;

pub(super) struct World {
    pub(super) broker: Rc<RefCell<Broker>>,
    pub(super) shop: Rc<Shop>,
    pub(super) dice: Dice,
    faults: Option<Faults>,
    pub(super) processes: BTreeMap<Pid, Process>,
    /// Processes that do not answer until then.
    pub(super) paused: BTreeMap<Pid, u64>,
    n_identities: usize,
    n_started: usize,
}

/// How a process says that it has to end: all of it is as it should be, and the restart goes on.
const ENDS: [&str; 3] = ["fenced", "the broker does not answer", "transactions in a row"];

impl World {
    pub(super) fn new(shop: &Rc<Shop>, mut dice: Dice, n_identities: usize, is_calm: bool) -> Self {
        let protocol = Protocol { is_eager: dice.chance(0.3), is_static: dice.chance(0.5) };
        let group = Group::new(protocol, shop.logs.keys().copied().collect());
        shop.trace.note(|| format!("a group of {n_identities} begins, {protocol:?}"));
        Self {
            broker: Rc::new(RefCell::new(Broker::new(shop, group))),
            shop: Rc::clone(shop),
            faults: (!is_calm).then(|| Faults::new(&mut dice)),
            dice,
            processes: BTreeMap::new(),
            paused: BTreeMap::new(),
            n_identities,
            n_started: 0,
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) fn run(&mut self) -> Result<Visible, String> {
        if let Some(faults) = self.faults.take() {
            for _ in 0..FAULTY_STEPS {
                self.harm(&faults)?;
                self.step(false)?;
            }
        }
        self.pacify();
        for _ in 0..PEACE_STEPS_MAX {
            self.step(true)?;
            if self.is_over() {
                let broker = self.broker.borrow();
                let visible = Visible::of(&broker, &self.shop);
                visible.judge(&self.shop)?;
                self.shop.count(|seen| {
                    seen.rebalances = broker.group.generation;
                    seen.records = self.shop.logs.values().map(|log| log.len() as u64).sum();
                    seen.signals = visible.signals.len() as u64;
                });
                return Ok(visible);
            }
        }
        let told: Vec<String> = self.processes.values().map(Process::told).collect();
        Err(format!("the run has stalled: not everything was processed; {}", told.join("; ")))
    }

    fn pacify(&mut self) {
        self.shop.trace.note(|| "peace".to_owned());
        self.paused.clear();
        for process in self.processes.values() {
            process.harm.fuse.set(None);
            process.harm.undelivered.set(None);
            process.harm.missing.set(None);
            process.harm.commit_arrives_in.set(None);
            process.harm.ack_ticks.set(0);
            process.harm.engine_rests.set(0);
        }
        self.broker.borrow_mut().down_until = 0;
    }

    fn step(&mut self, is_peace: bool) -> Result<(), String> {
        self.broker.borrow_mut().tick();
        if !self.broker.borrow().is_down() {
            let shared = self.broker.borrow_mut().group.step();
            if let Some(shared) = shared {
                self.shop.trace.note(|| shared);
            }
        }
        for identity in 0..self.n_identities {
            let is_gone = self.processes.values().all(|process| process.identity != identity);
            if is_gone && (is_peace || self.dice.chance(0.05)) {
                self.start(identity);
            }
        }
        let now = self.broker.borrow().now;
        self.paused.retain(|_, until| *until > now);
        let live: Vec<Pid> = self.processes.keys().copied().collect();
        for pid in live {
            if self.paused.contains_key(&pid) {
                continue;
            }
            let Some(process) = self.processes.get_mut(&pid) else { continue };
            let outcome = process.turn(&mut self.dice);
            self.conclude(pid, outcome)?;
        }
        Ok(())
    }

    /// A process that is killed, or whose engine says that it cannot go on, is gone.
    pub(super) fn conclude(&mut self, pid: Pid, outcome: Result<(), String>) -> Result<(), String> {
        let what = match outcome {
            _ if self.processes[&pid].is_killed() => {
                self.shop.count(|seen| seen.kills += 1);
                "is killed".to_owned()
            }
            Ok(()) => return Ok(()),
            Err(fault) if ENDS.iter().any(|end| fault.contains(end)) => format!("ends: {fault}"),
            Err(fault) => return Err(format!("process {pid}: {fault}")),
        };
        self.shop.trace.note(|| format!("process {pid}: {what}"));
        self.processes.remove(&pid);
        Ok(())
    }

    /// A process starts under an identity.
    pub(super) fn start(&mut self, identity: Identity) {
        let options = Options {
            input_topic: "checkout.events".to_owned(),
            emit: Emit::Event,
            commit_interval_ms: 1 + self.dice.below(30),
            transaction_events_max: 1 + self.dice.below(20),
            transaction_bytes_max: u64::MAX,
            revoke_budget_ms: 1 + self.dice.below(60),
            ground: self.shop.ground.clone(),
        };
        let pid = self.n_started;
        let started = Process::start(pid, identity, &self.broker, &self.shop, options);
        if let Some(process) = started {
            self.shop.trace.note(|| format!("process {pid}: starts as {identity}"));
            self.processes.insert(pid, process);
            self.n_started += 1;
        }
    }

    /// Runs the cleaner over the changelog of a partition.
    pub(super) fn clean(&mut self, partition: i32) {
        let began = self.processes.values().filter_map(|it| it.reads_back_since(partition));
        let readers_since = began.min();
        self.broker.borrow_mut().clean((Topic::Changelog, partition), readers_since);
        self.shop.count(|seen| seen.cleanings += 1);
    }

    fn is_over(&self) -> bool {
        let owned: usize = self.processes.values().map(|process| process.running().len()).sum();
        owned == self.shop.logs.len()
            && self.processes.values().all(Process::is_idle)
            && self.broker.borrow().is_settled()
            && self.shop.logs.keys().all(|partition| self.is_read(*partition))
    }

    fn is_read(&self, partition: i32) -> bool {
        let offset = self.broker.borrow().offset_of(partition);
        let n_records = i64::try_from(self.shop.logs[&partition].len()).unwrap_or(i64::MAX);
        n_records == 0 || offset == Ok(Some(n_records))
    }
}

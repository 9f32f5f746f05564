//! One run: processes of one group over one broker, faults by the seed until half of the time is
//! over, then peace until everything is processed; and the verdict on what is visible then.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::Shop;
use super::broker::{Broker, Identity};
use super::process::Process;
use super::verdict::Visible;
use crate::config::Emit;
use crate::dice::Dice;
use crate::engine::Options;

/// Steps of a run with faults.
const FAULTY_STEPS: u64 = 1200;
/// Steps of peace after which a run that is not over has stalled.
const PEACE_STEPS_MAX: u64 = 20_000;
/// How long the group waits for a member that is gone or does not answer.
const SESSION_TICKS: u64 = 150;
/// Steps that a failure shows.
const TRACE_STEPS: usize = 60;

/// What was seen of a run that found nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Processes that were killed between two calls.
    pub kills: u64,
    /// Members that did not answer, and came back.
    pub zombies: u64,
    /// Records that were not delivered, so that their transaction was aborted.
    pub undelivered: u64,
    /// Rebalances.
    pub rebalances: u64,
    /// Input records.
    pub records: u64,
    /// Signals.
    pub signals: u64,
}

impl Seen {
    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.zombies += other.zombies;
        self.undelivered += other.undelivered;
        self.rebalances += other.rebalances;
        self.records += other.records;
        self.signals += other.signals;
    }
}

pub(super) struct World {
    broker: Rc<RefCell<Broker>>,
    shop: Rc<Shop>,
    dice: Dice,
    has_faults: bool,
    processes: BTreeMap<Identity, Process>,
    /// Members that do not answer until then.
    paused: BTreeMap<Identity, u64>,
    /// Members of the group, with the tick of their last heartbeat.
    members: BTreeMap<Identity, u64>,
    assignment: BTreeMap<Identity, Vec<i32>>,
    n_identities: usize,
    trace: VecDeque<String>,
    seen: Seen,
}

impl World {
    pub(super) fn new(shop: &Rc<Shop>, dice: Dice, n_identities: usize, has_faults: bool) -> Self {
        Self {
            broker: Rc::default(),
            shop: Rc::clone(shop),
            dice,
            has_faults,
            processes: BTreeMap::new(),
            paused: BTreeMap::new(),
            members: BTreeMap::new(),
            assignment: BTreeMap::new(),
            n_identities,
            trace: VecDeque::new(),
            seen: Seen::default(),
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// What went wrong, with the last steps.
    pub(super) fn run(&mut self) -> Result<(Seen, Visible), String> {
        let n_faulty = if self.has_faults { FAULTY_STEPS } else { 0 };
        for step in 0..n_faulty + PEACE_STEPS_MAX {
            let is_peace = step >= n_faulty;
            if !is_peace {
                self.harm();
            }
            if let Err(fault) = self.step(is_peace) {
                return Err(self.told(&fault));
            }
            if is_peace && self.is_over() {
                let visible = Visible::of(&self.broker.borrow(), &self.shop);
                visible.judge(&self.shop).map_err(|fault| self.told(&fault))?;
                self.seen.undelivered = self.broker.borrow().n_undelivered;
                self.seen.records = self.shop.logs.values().map(|log| log.len() as u64).sum();
                self.seen.signals = visible.signals.len() as u64;
                return Ok((self.seen, visible));
            }
        }
        Err(self.told("the run has stalled: not everything was processed"))
    }

    fn told(&self, fault: &str) -> String {
        let trace: Vec<&str> = self.trace.iter().map(String::as_str).collect();
        format!("{fault}\nlast steps:\n  {}", trace.join("\n  "))
    }

    fn note(&mut self, what: &str) {
        if self.trace.len() == TRACE_STEPS {
            self.trace.pop_front();
        }
        let now = self.broker.borrow().now;
        self.trace.push_back(format!("{now}: {what}"));
    }

    /// A fault, by chance.
    fn harm(&mut self) {
        let live: Vec<Identity> = self.processes.keys().copied().collect();
        if live.is_empty() {
            return;
        }
        let identity = *self.dice.pick(&live);
        if self.dice.chance(0.03) {
            let n_calls = self.dice.below(60);
            self.processes[&identity].light_fuse(n_calls);
            self.note(&format!("{identity} will be killed in {n_calls} calls"));
        }
        if self.dice.chance(0.02) {
            let n_records = self.dice.below(40);
            self.processes[&identity].lose_record(n_records);
            self.note(&format!("{identity} will lose a record after {n_records}"));
        }
        if self.dice.chance(0.004) && !self.paused.contains_key(&identity) {
            let now = self.broker.borrow().now;
            let until = now + self.dice.below(2 * SESSION_TICKS);
            self.paused.insert(identity, until);
            self.seen.zombies += 1;
            self.note(&format!("{identity} does not answer until {until}"));
        }
        if self.dice.chance(0.05) {
            let delays = [self.dice.below(30), self.dice.below(30)];
            let mut broker = self.broker.borrow_mut();
            [broker.marker_delay, broker.offsets_delay] = delays;
        }
    }

    fn step(&mut self, is_peace: bool) -> Result<(), String> {
        self.broker.borrow_mut().tick();
        let now = self.broker.borrow().now;
        self.start(is_peace);
        let live: Vec<Identity> = self.processes.keys().copied().collect();
        for identity in live {
            if self.paused.get(&identity).is_some_and(|until| *until > now && !is_peace) {
                continue;
            }
            let was_paused = self.paused.remove(&identity).is_some();
            let outcome = self.turn(identity, was_paused, is_peace);
            self.conclude(identity, outcome)?;
        }
        self.coordinate(now)
    }

    /// A process that is killed, or whose engine says that it cannot go on, is gone.
    fn conclude(&mut self, identity: Identity, outcome: Result<(), String>) -> Result<(), String> {
        let is_killed = self.processes[&identity].is_killed();
        let Err(fault) = outcome else {
            if is_killed {
                self.bury(identity, "is killed");
            }
            return Ok(());
        };
        if is_killed {
            self.bury(identity, "is killed");
        } else if fault.contains("Fenced") {
            self.bury(identity, "is fenced and ends");
        } else {
            return Err(format!("process {identity}: {fault}"));
        }
        Ok(())
    }

    fn bury(&mut self, identity: Identity, what: &str) {
        self.note(&format!("{identity} {what}"));
        self.seen.kills += u64::from(self.processes[&identity].is_killed());
        self.processes.remove(&identity);
    }

    /// Processes that are gone come back under their identity.
    fn start(&mut self, is_peace: bool) {
        for identity in 0..self.n_identities {
            if self.processes.contains_key(&identity) || !(is_peace || self.dice.chance(0.05)) {
                continue;
            }
            let options = Options {
                input_topic: "checkout.events".to_owned(),
                emit: Emit::Event,
                commit_interval_ms: 1 + self.dice.below(30),
                transaction_events_max: 1 + self.dice.below(20),
                transaction_bytes_max: u64::MAX,
                revoke_budget_ms: 1000,
                ground: self.shop.ground.clone(),
            };
            if let Some(process) = Process::start(identity, &self.broker, &self.shop, options) {
                self.note(&format!("{identity} starts"));
                self.processes.insert(identity, process);
            }
        }
    }

    fn turn(&mut self, identity: Identity, was_paused: bool, is_peace: bool) -> Result<(), String> {
        let generation = self.broker.borrow().generation;
        let now = self.broker.borrow().now;
        let dice = &mut self.dice;
        let process = self.processes.get_mut(&identity).expect("the caller looked it up");
        let is_member = self.members.contains_key(&identity);
        if was_paused && process.generation() != generation {
            // It goes on as if nothing had happened, and hears of the loss later.
            for _ in 0..dice.below(3) {
                process.work()?;
            }
            process.lose()?;
        }
        if is_member {
            self.members.insert(identity, now);
        }
        if process.generation() != generation
            && let Some(target) = self.assignment.get(&identity)
        {
            process.rebalance(generation, target)?;
        }
        for partition in process.restoring() {
            process.restore(partition, 1 + usize::try_from(dice.below(20)).unwrap_or(0))?;
        }
        let running = process.running();
        if !running.is_empty() {
            let partition = *dice.pick(&running);
            let n_records = 1 + usize::try_from(dice.below(6)).unwrap_or(0);
            process.read(partition, n_records, is_peace.then_some(self.shop.until_ms));
        }
        if dice.chance(0.7) { process.work() } else { Ok(()) }
    }

    /// The group's coordinator: who is gone for long is put out, who is new is taken in.
    fn coordinate(&mut self, now: u64) -> Result<(), String> {
        let before: BTreeSet<Identity> = self.members.keys().copied().collect();
        self.members.retain(|_, heard| *heard + SESSION_TICKS > now);
        for identity in self.processes.keys() {
            if !self.paused.contains_key(identity) {
                self.members.entry(*identity).or_insert(now);
            }
        }
        let members: Vec<Identity> = self.members.keys().copied().collect();
        if before.iter().eq(&members) {
            return Ok(());
        }
        self.broker.borrow_mut().generation += 1;
        let generation = self.broker.borrow().generation;
        self.seen.rebalances += 1;
        self.assignment = members.iter().map(|identity| (*identity, Vec::new())).collect();
        for (partition, identity) in self.shop.logs.keys().zip(members.iter().cycle()) {
            self.assignment.entry(*identity).or_default().push(*partition);
        }
        self.note(&format!("generation {generation}: {:?}", self.assignment));
        // Whoever hears of it gives up first what others get: nobody is given what is still owned.
        for is_given in [false, true] {
            for (identity, target) in self.assignment.clone() {
                if self.paused.contains_key(&identity) {
                    continue;
                }
                let Some(process) = self.processes.get_mut(&identity) else { continue };
                let keeps = process.owned().into_iter().filter(|owned| target.contains(owned));
                let target = if is_given { target.clone() } else { keeps.collect() };
                let outcome = process.rebalance(generation, &target);
                self.conclude(identity, outcome)?;
            }
        }
        Ok(())
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

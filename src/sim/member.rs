//! The group member of a simulated process: the client's thread that hears of the group, and what
//! it calls inside `poll`, in the order of `kafka::callbacks`. What finds no room in the engine's
//! queue waits behind it. Called by `process`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::Flaw;
use super::group::{Pid, Word};
use super::process::{INBOX_MAX, Process};
use super::restore::Restore;
use crate::dice::Dice;
use crate::engine::Input;

/// Inputs that the engine may take while the group waits for an acknowledgement.
const BUDGET_INPUTS: u64 = 9;

/// What the member knows of the group.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) pid: Pid,
    /// None before the group has taken it in, and after it was put out.
    pub(super) generation: Option<u64>,
    /// Put out, and the engine does not know yet.
    pub(super) is_lost: bool,
    /// The group shares out anew.
    must_join: bool,
    /// What the group has given it, until the callbacks have told of it.
    target: Option<Vec<i32>>,
    /// Owned partitions and their epochs.
    pub(super) owned: BTreeMap<i32, u64>,
    last_epoch: u64,
}

impl Membership {
    pub(super) fn new(pid: Pid) -> Self {
        Self {
            pid,
            generation: None,
            is_lost: false,
            must_join: true,
            target: None,
            owned: BTreeMap::new(),
            last_epoch: 0,
        }
    }

    pub(super) fn assign(&mut self, partition: i32) -> u64 {
        self.last_epoch += 1;
        self.owned.insert(partition, self.last_epoch);
        self.last_epoch
    }

    fn owned(&self) -> Vec<i32> {
        self.owned.keys().copied().collect()
    }
}

impl Process {
    /// The client's own thread: heartbeats, and what they are answered.
    pub(super) fn hear(&mut self) -> Result<(), String> {
        let mut membership = self.membership.borrow_mut();
        let mut broker = self.broker.borrow_mut();
        if broker.is_down() {
            return Ok(());
        }
        match broker.group.heartbeat(membership.pid) {
            Word::Nothing => {}
            Word::Fenced => return Err("fenced".to_owned()),
            Word::Unknown => {
                if membership.generation.take().is_some() {
                    membership.is_lost = true;
                }
                membership.target = None;
                membership.must_join = true;
            }
            Word::Join => membership.must_join = true,
            Word::Follow { generation, target } => {
                membership.generation = Some(generation);
                membership.target = Some(target);
                membership.must_join = false;
            }
        }
        Ok(())
    }

    /// What is called inside `poll`.
    pub(super) fn rebalance(&mut self, dice: &mut Dice) -> Result<(), String> {
        if self.membership.borrow().is_lost {
            let owned = self.membership.borrow().owned();
            self.taken_away(&owned, true, dice)?;
            self.membership.borrow_mut().is_lost = false;
        }
        let target = self.membership.borrow_mut().target.take();
        if let Some(target) = target {
            return self.follow(&target, dice);
        }
        if self.broker.borrow().is_down() || !self.membership.borrow().must_join {
            return Ok(());
        }
        let owned = self.membership.borrow().owned();
        let is_eager = self.broker.borrow().group.protocol.is_eager;
        if is_eager && (!owned.is_empty() || dice.chance(0.1)) {
            self.taken_away(&owned, false, dice)?;
        }
        // The engine may have taken so long that the member was put out.
        if !self.membership.borrow().is_lost {
            self.join();
        }
        Ok(())
    }

    fn join(&mut self) {
        let mut membership = self.membership.borrow_mut();
        let group = &mut self.broker.borrow_mut().group;
        if membership.generation.is_some() && !group.knows(membership.pid) {
            // Put out meanwhile: what it says to own may be another's.
            membership.generation = None;
            membership.is_lost = true;
            membership.must_join = true;
            return;
        }
        membership.must_join = false;
        let owned = membership.owned();
        group.join(membership.pid, self.identity, owned);
    }

    fn follow(&mut self, target: &[i32], dice: &mut Dice) -> Result<(), String> {
        let owned = self.membership.borrow().owned();
        let gone: Vec<i32> = owned.iter().copied().filter(|it| !target.contains(it)).collect();
        if !gone.is_empty() || dice.chance(0.1) {
            // An empty list, too, does no harm.
            self.taken_away(&gone, false, dice)?;
        }
        for partition in target {
            if !owned.contains(partition) {
                let epoch = self.membership.borrow_mut().assign(*partition);
                let gauges = Arc::new(self.metrics.own_partition(*partition));
                let partition = *partition;
                self.tell(Input::Assigned { partition, epoch, gauges }, dice)?;
                self.restores.insert(partition, Restore::new(partition, epoch));
                self.note(|| format!("is given partition {partition}, epoch {epoch}"));
            }
        }
        if !gone.is_empty() {
            self.join();
        }
        Ok(())
    }

    /// What is owned no more is committed first, if the engine can in time.
    fn taken_away(
        &mut self,
        partitions: &[i32],
        is_lost: bool,
        dice: &mut Dice,
    ) -> Result<(), String> {
        self.note(|| {
            let how = if is_lost { "loses" } else { "gives up" };
            format!("{how} partitions {partitions:?}")
        });
        let is_lost = is_lost && !self.shop.has(Flaw::CommitOnLost);
        if is_lost {
            self.release(partitions);
        }
        for partition in partitions {
            if self.restores.remove(partition).is_some() {
                self.shop.count(|seen| seen.restores_given_up += 1);
            }
        }
        let (acknowledge, acknowledged) = bounded(1);
        let partitions = partitions.to_vec();
        self.tell(
            if is_lost {
                Input::Lost { partitions: partitions.clone(), acknowledge }
            } else {
                Input::Revoked { partitions: partitions.clone(), acknowledge }
            },
            dice,
        )?;
        self.await_engine(&acknowledged, dice)?;
        self.release(&partitions);
        Ok(())
    }

    fn await_engine(&mut self, acknowledged: &Receiver<()>, dice: &mut Dice) -> Result<(), String> {
        let n_inputs = if dice.chance(0.8) { BUDGET_INPUTS } else { dice.below(BUDGET_INPUTS) };
        for _ in 0..n_inputs {
            if acknowledged.try_recv().is_ok() {
                return Ok(());
            }
            self.work()?;
        }
        if acknowledged.try_recv().is_err() {
            self.shop.count(|seen| seen.budgets_spent += 1);
            self.note(|| "waits no longer for its engine".to_owned());
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.membership.borrow_mut().owned.remove(partition);
            self.running.remove(partition);
        }
    }

    /// Kafka waits for this thread, so it waits only so long for room in the queue.
    fn tell(&mut self, input: Input, dice: &mut Dice) -> Result<(), String> {
        while self.backlog.is_empty() && self.inbox.len() >= INBOX_MAX && dice.chance(0.7) {
            self.work()?;
        }
        if self.backlog.is_empty() && self.inbox.len() < INBOX_MAX {
            self.inbox.push_back(input);
        } else {
            self.backlog.push_back(input);
        }
        Ok(())
    }
}

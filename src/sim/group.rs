//! The group's coordinator by its rules: sessions, generations, and who gets what. Cooperative: a
//! partition that moves is given up first and given on by the next generation. Eager: everything
//! is given up first. Static members take their place back without a rebalance. It decides nothing
//! about what members do. Part of `broker`, asked by `member`.

use std::collections::{BTreeMap, BTreeSet};

use super::broker::{Identity, Refusal};

/// A started process, never the same twice.
pub(super) type Pid = usize;

/// Steps for which the group waits for a member that is gone or does not answer.
pub(super) const SESSION_STEPS: u64 = 60;
/// … and for those who should join again.
const JOIN_STEPS: u64 = 50;
/// Steps after which a member has the group share out what was left to nobody (`kafka::cover`).
const COVER_STEPS: u64 = 40;

/// How the members of a group are told of partitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol {
    pub(super) is_eager: bool,
    pub(super) is_static: bool,
}

/// As whom a member sends offsets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) pid: Pid,
    /// None for a member that has left or lost its place.
    pub(super) generation: Option<u64>,
    /// Whether it gives its name as a static member.
    pub(super) is_static: bool,
}

/// What the coordinator answers to a heartbeat.
#[derive(Debug)]
pub(super) enum Word {
    Nothing,
    /// No such member, or no longer.
    Unknown,
    /// Another process has taken this static member's name.
    Fenced,
    /// The group shares out anew: join again.
    Join,
    Follow {
        generation: u64,
        target: Vec<i32>,
    },
}

#[derive(Debug)]
struct Member {
    identity: Identity,
    heard_at: u64,
    has_joined: bool,
    /// What it said to own when it joined.
    owned: Vec<i32>,
    target: Vec<i32>,
    is_told: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) protocol: Protocol,
    partitions: Vec<i32>,
    step: u64,
    pub(super) generation: u64,
    members: BTreeMap<Pid, Member>,
    fenced: BTreeSet<Pid>,
    joining_since: Option<u64>,
    /// Since when everyone was given what they have.
    stable_since: u64,
    /// Turns the sharing.
    spin: usize,
}

impl Group {
    pub(super) fn new(protocol: Protocol, partitions: Vec<i32>) -> Self {
        Self {
            protocol,
            partitions,
            step: 0,
            generation: 0,
            members: BTreeMap::new(),
            fenced: BTreeSet::new(),
            joining_since: None,
            stable_since: 0,
            spin: 0,
        }
    }

    /// Lets a step pass. Says what was shared out, if anything was.
    pub(super) fn step(&mut self) -> Option<String> {
        self.step += 1;
        let n_before = self.members.len();
        self.members.retain(|_, member| member.heard_at + SESSION_STEPS > self.step);
        if self.members.len() < n_before {
            self.share_anew();
        }
        let since = self.joining_since?;
        let is_late = since + JOIN_STEPS <= self.step;
        if is_late {
            self.members.retain(|_, member| member.has_joined);
        }
        if self.members.is_empty() {
            self.joining_since = None;
            return None;
        }
        self.members.values().all(|member| member.has_joined).then(|| self.share())
    }

    /// Has everyone join again.
    fn share_anew(&mut self) {
        self.joining_since = Some(self.step);
        self.members.values_mut().for_each(|member| member.has_joined = false);
    }

    /// Has everyone join again, to get something else.
    pub(super) fn shuffle(&mut self) {
        self.spin += 1;
        self.share_anew();
    }

    fn share(&mut self) -> String {
        self.generation += 1;
        self.joining_since = None;
        self.stable_since = self.step;
        let pids: Vec<Pid> = self.members.keys().copied().collect();
        let claims: BTreeMap<i32, Pid> = self
            .members
            .iter()
            .filter(|_| !self.protocol.is_eager)
            .flat_map(|(pid, member)| member.owned.iter().map(|partition| (*partition, *pid)))
            .collect();
        let mut targets: BTreeMap<Pid, Vec<i32>> = BTreeMap::new();
        for (partition, pid) in
            self.partitions.iter().zip(pids.iter().cycle().skip(self.spin % pids.len()))
        {
            // Whoever has it gives it up first.
            if claims.get(partition).is_none_or(|owner| owner == pid) {
                targets.entry(*pid).or_default().push(*partition);
            }
        }
        for (pid, member) in &mut self.members {
            member.target = targets.get(pid).cloned().unwrap_or_default();
            member.is_told = false;
        }
        format!("the group gives out generation {}: {targets:?}", self.generation)
    }

    pub(super) fn heartbeat(&mut self, pid: Pid) -> Word {
        if self.fenced.contains(&pid) {
            return Word::Fenced;
        }
        if self.is_uncovered() {
            self.share_anew();
        }
        let (generation, is_joining) = (self.generation, self.joining_since.is_some());
        let Some(member) = self.members.get_mut(&pid) else { return Word::Unknown };
        member.heard_at = self.step;
        match (is_joining, member.has_joined, member.is_told) {
            (true, false, _) => Word::Join,
            (false, _, false) => {
                member.is_told = true;
                Word::Follow { generation, target: member.target.clone() }
            }
            _ => Word::Nothing,
        }
    }

    /// Whether a partition was left to nobody: by a static member that ended between giving it up
    /// and joining again.
    fn is_uncovered(&self) -> bool {
        let is_covered =
            |partition: &i32| self.members.values().any(|member| member.target.contains(partition));
        self.joining_since.is_none()
            && self.stable_since + COVER_STEPS <= self.step
            && !self.partitions.iter().all(is_covered)
    }

    /// Whether this is a member still.
    pub(super) fn knows(&self, pid: Pid) -> bool {
        self.members.contains_key(&pid)
    }

    /// A process joins, or joins again with what it owns; one that is fenced hears of that.
    pub(super) fn join(&mut self, pid: Pid, identity: Identity, owned: Vec<i32>) {
        if self.fenced.contains(&pid) {
            return;
        }
        let mut target = Vec::new();
        if self.protocol.is_static {
            let namesake = self
                .members
                .iter()
                .find(|(other, member)| **other != pid && member.identity == identity)
                .map(|(other, _)| *other);
            if let Some(other) = namesake {
                self.fenced.insert(other);
                target = self.members.remove(&other).map_or(target, |member| member.target);
                let is_stable = self.joining_since.is_none();
                let member = Member {
                    identity,
                    heard_at: self.step,
                    has_joined: true,
                    owned,
                    target,
                    is_told: !is_stable,
                };
                self.members.insert(pid, member);
                return;
            }
        }
        if self.joining_since.is_none() {
            self.share_anew();
        }
        let heard_at = self.step;
        let member = Member { identity, heard_at, has_joined: true, owned, target, is_told: true };
        self.members.insert(pid, member);
    }

    /// A member that is not static leaves as it ends.
    pub(super) fn leave(&mut self, pid: Pid) {
        if !self.protocol.is_static && self.members.remove(&pid).is_some() {
            self.share_anew();
        }
    }

    /// Whether offsets of this member may be part of a transaction. Those of nobody in particular
    /// are: so did clients before there were generations in transactions.
    pub(super) fn admits(&self, caller: Caller) -> Result<(), Refusal> {
        if caller.is_static && self.fenced.contains(&caller.pid) {
            return Err(Refusal::Fenced);
        }
        match caller.generation {
            None if !caller.is_static => Ok(()),
            Some(generation)
                if generation == self.generation && self.members.contains_key(&caller.pid) =>
            {
                Ok(())
            }
            Some(_) | None => Err(Refusal::StaleGeneration),
        }
    }
}

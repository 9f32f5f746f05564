//! What goes wrong in a run, and how often, by its seed: each run has its own mixture, so that some
//! are torn by one kind of fault and others by all. Called by `world`.

use super::producer::Missing;
use super::world::World;
use crate::dice::Dice;

/// The chances of a run, each for one step.
#[derive(Debug)]
pub(super) struct Faults {
    kill: f64,
    stop: f64,
    pause: f64,
    twin: f64,
    undelivered: f64,
    unanswered: f64,
    slow: f64,
    rest: f64,
    outage: f64,
    shuffle: f64,
    clean: f64,
}

impl Faults {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut chance = |most: f64| if dice.chance(0.6) { dice.between(0.0, most) } else { 0.0 };
        Self {
            kill: chance(0.05),
            stop: chance(0.004),
            pause: chance(0.015),
            twin: chance(0.003),
            undelivered: chance(0.05),
            unanswered: chance(0.05),
            slow: chance(0.05),
            rest: chance(0.02),
            outage: chance(0.003),
            shuffle: chance(0.01),
            clean: chance(0.1),
        }
    }
}

impl World {
    /// Faults, by chance.
    pub(super) fn harm(&mut self, faults: &Faults) -> Result<(), String> {
        let pids: Vec<usize> = self.processes.keys().copied().collect();
        if !pids.is_empty() {
            let pid = *self.dice.pick(&pids);
            self.harm_process(pid, faults)?;
        }
        let mut broker = self.broker.borrow_mut();
        let now = broker.now;
        if self.dice.chance(0.05) {
            [broker.marker_delay, broker.offsets_delay] =
                [self.dice.below(30), self.dice.below(30)];
        }
        if self.dice.chance(faults.outage) {
            // Now and then longer than a process waits for its commit.
            let most = if self.dice.chance(0.2) { 1500 } else { 80 };
            broker.down_until = now + 1 + self.dice.below(most);
            self.shop.count(|seen| seen.outages += 1);
            self.shop.trace.note(|| format!("broker: is down until {}", broker.down_until));
        }
        if self.dice.chance(faults.shuffle) && !broker.is_down() {
            broker.group.shuffle();
        }
        drop(broker);
        if self.dice.chance(faults.clean) {
            let partitions: Vec<i32> = self.shop.logs.keys().copied().collect();
            let partition = *self.dice.pick(&partitions);
            self.clean(partition);
        }
        Ok(())
    }

    fn harm_process(&mut self, pid: usize, faults: &Faults) -> Result<(), String> {
        let dice = &mut self.dice;
        let process = self.processes.get_mut(&pid).expect("the caller has picked it");
        let identity = process.identity;
        let harm = &process.harm;
        if dice.chance(faults.kill) {
            harm.fuse.set(Some(1 + dice.below(60)));
        }
        if dice.chance(faults.undelivered) {
            harm.undelivered.set(Some(dice.below(40)));
        }
        if dice.chance(faults.unanswered) {
            let missing = if dice.chance(0.5) { Missing::Request } else { Missing::Answer };
            match dice.below(3) {
                0 => harm.commit_arrives_in.set(Some(dice.below(60))),
                _ => harm.missing.set(Some(missing)),
            }
        }
        if dice.chance(faults.slow) {
            harm.ack_ticks.set(1 + dice.below(60));
        } else if dice.chance(0.1) {
            harm.ack_ticks.set(0);
        }
        if dice.chance(faults.rest) {
            harm.engine_rests.set(dice.below(120));
        }
        if dice.chance(faults.pause) && !self.paused.contains_key(&pid) {
            let until = self.broker.borrow().now + dice.below(400);
            self.paused.insert(pid, until);
            self.shop.count(|seen| seen.pauses += 1);
            self.shop.trace.note(|| format!("process {pid}: does not move until {until}"));
        }
        if dice.chance(faults.stop) && !self.paused.contains_key(&pid) {
            let outcome = process.stop();
            self.conclude(pid, outcome)?;
            self.processes.remove(&pid);
        } else if dice.chance(faults.twin) {
            self.shop.count(|seen| seen.twins += 1);
            self.start(identity);
        }
        Ok(())
    }
}

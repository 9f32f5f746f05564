//! The thread beside a lane that asks brokers what the lane must not wait for: it restores
//! partitions from the changelog and learns where the input ends. It changes no live state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::{debug, error, info, warn};

use super::clients::{self, Quiet};
use super::cover::Cover;
use super::ends::Ends;
use super::restore::Restorer;
use super::watchdog::{Sight, Verdict, Watchdog, Work};
use crate::config::Kafka;
use crate::engine::rebuild::OnLoss;
use crate::engine::{Input, Restored};
use crate::lifecycle::{Lane, Shutdown};
use crate::metrics::{Metrics, PartitionGauges};
use crate::models::Models;
use crate::record::marker::{Ground, recount};

/// What the steward is asked to do.
#[derive(Debug)]
pub(super) enum Errand {
    /// Read a partition's state back.
    Restore {
        /// The input partition.
        partition: i32,
        /// The epoch of the assignment.
        epoch: u64,
        /// Where progress is shown.
        gauges: Arc<PartitionGauges>,
    },
    /// The partition is gone; a restore of it is given up.
    Forget {
        /// The input partition.
        partition: i32,
    },
    /// librdkafka's report, as JSON.
    Statistics(Vec<u8>),
}

/// Errands that may wait; a lane has at most a few for each of its partitions.
pub(super) const ERRANDS_MAX: usize = 4096;
/// How often the end of each owned partition is asked for.
const LOOK: Duration = Duration::from_secs(2);
/// How long one question to a broker may take.
pub(super) const ASK: Duration = Duration::from_secs(5);
/// How long to wait for room in the engine's queue before it counts as deaf.
const TELL: Duration = Duration::from_secs(1);
/// How long to wait for an errand when nothing is being restored.
const IDLE: Duration = Duration::from_millis(50);

/// The engine is gone.
struct Gone;

/// The steward of one lane.
pub(super) struct Steward {
    kafka: Kafka,
    errands: Receiver<Errand>,
    inputs: Sender<Input>,
    ends: Arc<Ends>,
    metrics: Arc<Metrics>,
    n_partitions: i32,
    ownership: Arc<super::ownership::Ownership>,
    committed: BaseConsumer<Quiet>,
    uncommitted: BaseConsumer<Quiet>,
    restorer: Restorer,
    /// On their way to the engine.
    restored: VecDeque<Restored>,
    cover: Option<Cover>,
    looked_at: Instant,
    watchdog: Watchdog,
    /// Of the partitions that are owned; the engine says when that ends.
    gauges: BTreeMap<i32, Weak<PartitionGauges>>,
    health: Lane,
    shutdown: Shutdown,
    last_words: Arc<OnceLock<String>>,
    turns: Arc<AtomicU64>,
    n_turns_seen: u64,
    /// The partition with which the next look begins.
    look_from: i32,
    began: Instant,
}

impl std::fmt::Debug for Steward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steward").field("restorer", &self.restorer).finish_non_exhaustive()
    }
}

/// What a steward shares with its lane.
#[derive(Debug)]
pub(super) struct Shared {
    /// What it is asked to do.
    pub(super) errands: Receiver<Errand>,
    /// Where restored partitions go.
    pub(super) inputs: Sender<Input>,
    /// Where it writes what it learns of ends.
    pub(super) ends: Arc<Ends>,
    /// Which partitions to look after.
    pub(super) ownership: Arc<super::ownership::Ownership>,
    /// Lag and restore progress.
    pub(super) metrics: Arc<Metrics>,
    /// The lane's look at its group; absent where members are not static: each start shares out
    /// anew.
    pub(super) cover: Option<Cover>,
    /// Where partitions that stall are reported.
    pub(super) health: Lane,
    /// How long a partition may have work without coming on.
    pub(super) stall_timeout: Duration,
    /// Ends the process when a lane that stalls hears nothing more.
    pub(super) shutdown: Shutdown,
    /// Why the steward has ended the lane, if it has.
    pub(super) last_words: Arc<OnceLock<String>>,
    /// How often the engine's loop has turned.
    pub(super) turns: Arc<AtomicU64>,
}

impl Steward {
    /// A steward with clients of its own.
    ///
    /// # Errors
    /// What librdkafka says of the configuration.
    pub(super) fn new(
        kafka: &Kafka,
        shared: Shared,
        models: Arc<Models>,
        ground: Ground,
        on_loss: OnLoss,
    ) -> Result<Self, String> {
        let create = |isolation: &str| -> Result<BaseConsumer<Quiet>, String> {
            clients::reader(kafka, isolation)
                .create_with_context(Quiet)
                .map_err(|error| format!("failed to create a consumer: {error}"))
        };
        let Shared { errands, inputs, ends, ownership, metrics, cover, .. } = shared;
        let n_partitions = ground.n_partitions;
        let restorer = Restorer::new(kafka, create("read_committed")?, models, ground, on_loss);
        Ok(Self {
            kafka: kafka.clone(),
            errands,
            inputs,
            ends,
            metrics,
            n_partitions,
            ownership,
            committed: create("read_committed")?,
            uncommitted: create("read_uncommitted")?,
            restorer,
            restored: VecDeque::new(),
            cover,
            looked_at: Instant::now(),
            watchdog: Watchdog::new(shared.stall_timeout),
            gauges: BTreeMap::new(),
            health: shared.health,
            shutdown: shared.shutdown,
            last_words: shared.last_words,
            turns: shared.turns,
            n_turns_seen: 0,
            look_from: 0,
            began: Instant::now(),
        })
    }

    /// Works until the lane hangs up or a partition cannot be restored.
    pub(super) fn run(&mut self) {
        loop {
            let errand = if self.restorer.is_idle() {
                self.errands.recv_timeout(IDLE).map_err(|error| error.is_disconnected())
            } else {
                self.errands.try_recv().map_err(|error| error.is_disconnected())
            };
            match errand {
                Ok(Errand::Restore { partition, epoch, gauges }) => {
                    self.gauges.insert(partition, Arc::downgrade(&gauges));
                    self.restorer.start(partition, epoch, gauges);
                }
                Ok(Errand::Forget { partition }) => self.forget(partition),
                Ok(Errand::Statistics(report)) => {
                    self.ends.read_statistics(&report, &self.kafka.input_topic);
                }
                Err(true) => return,
                Err(false) => {}
            }
            match self.restorer.turn(&self.uncommitted) {
                Ok(restored) => self.restored.extend(restored),
                Err(sentence) => return self.give_up(sentence),
            }
            if self.hand_over().is_err() {
                return;
            }
            if self.looked_at.elapsed() >= LOOK {
                self.looked_at = Instant::now();
                self.look();
                if let Some(sentence) = self.regrown() {
                    return self.give_up(sentence);
                }
            }
            self.mend();
        }
    }

    /// Gives the engine what is restored, as far as there is room: to wait for an engine that hangs
    /// would be to stop watching it.
    fn hand_over(&mut self) -> Result<(), Gone> {
        while let Some(restored) = self.restored.pop_front() {
            match self.inputs.try_send(Input::Restored(Box::new(restored))) {
                Ok(()) => {}
                Err(TrySendError::Full(Input::Restored(restored))) => {
                    self.restored.push_front(*restored);
                    break;
                }
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Has the group share out anew if partitions were left to nobody, or it tells a wrong address.
    fn mend(&mut self) {
        let Some(cover) = &mut self.cover else { return };
        if self.restorer.is_idle() && cover.is_broken(&self.uncommitted, &self.kafka) {
            self.ownership.ask_to_rejoin();
        }
    }

    fn forget(&mut self, partition: i32) {
        self.restorer.forget(partition);
        self.ends.forget(partition);
        self.gauges.remove(&partition);
        self.stop_watching(partition);
    }

    /// What to say if the input has more partitions by now. Asked often, for from then on producers
    /// put customers where their state is not.
    fn regrown(&self) -> Option<String> {
        let topic = &self.kafka.input_topic;
        let metadata = self.uncommitted.fetch_metadata(Some(topic), ASK).ok()?;
        if self.ownership.owned().is_empty() {
            // Of a lane with partitions each of them is asked for.
            self.health.set_answered(true);
        }
        let found = metadata.topics().iter().find(|found| found.name() == topic)?;
        let n_partitions = i32::try_from(found.partitions().len()).ok()?;
        (n_partitions > self.n_partitions).then(|| recount(self.n_partitions, n_partitions))
    }

    /// Asks where each owned partition ends, and whether it comes on. One that cannot be asked ends
    /// the look, for each question may wait; the next one begins behind it.
    fn look(&mut self) {
        // Whoever has given up has said why, and waits for the end.
        if self.last_words.get().is_some() {
            return;
        }
        let is_at_one_input = self.is_at_one_input();
        let owned: Vec<i32> = self.ownership.owned().into_keys().collect();
        let n_before = owned.partition_point(|partition| *partition < self.look_from);
        let (before, from) = owned.split_at(n_before);
        for partition in from.iter().chain(before).copied() {
            let topic = &self.kafka.input_topic;
            let stable = self.committed.fetch_watermarks(topic, partition, ASK);
            let high = self.uncommitted.fetch_watermarks(topic, partition, ASK);
            match (stable, high) {
                (Ok((low, stable)), Ok((_, high))) => {
                    self.ends.learnt(partition, stable);
                    self.show_ends(partition, low, stable, high);
                    if is_at_one_input {
                        self.stop_watching(partition);
                    } else {
                        self.watch(partition, low, stable);
                    }
                }
                (Err(error), _) | (_, Err(error)) => {
                    debug!(%error, partition, "failed to ask where the partition ends");
                    self.health.set_answered(false);
                    // A broker in trouble is no lane in trouble: nothing counts until it answers.
                    self.stop_watching(partition);
                    self.look_from = partition + 1;
                    return;
                }
            }
        }
        // Not before all have: brokers that come back one by one come back once.
        if !owned.is_empty() {
            self.health.set_answered(true);
        }
    }

    /// Whether the engine works on one input since the last look, and commits: timers of many
    /// customers can take it long, and the other partitions of the lane wait for it.
    fn is_at_one_input(&mut self) -> bool {
        let n_turns = self.turns.load(Ordering::Relaxed);
        let n_before = std::mem::replace(&mut self.n_turns_seen, n_turns);
        n_turns == n_before && self.health.has_turned_within(LOOK)
    }

    /// Markers of transactions behind the last record that was read are nothing that waits.
    fn show_ends(&self, partition: i32, low: i64, stable: i64, high: i64) {
        let gauges = self.gauges.get(&partition).and_then(Weak::upgrade);
        let committed = gauges.and_then(|gauges| gauges.progress().1);
        let n_markers = match committed.map(|committed| committed.max(low)) {
            Some(committed) if self.ends.lag(partition, committed, stable) == 0 => {
                (stable - committed).max(0)
            }
            Some(_) | None => 0,
        };
        self.metrics.input_ends(partition, stable - n_markers, high - n_markers);
    }

    fn stop_watching(&mut self, partition: i32) {
        self.watchdog.forget(partition);
        self.health.set_stall(partition, None);
    }

    /// Judges whether the partition comes on, and does what helps if it does not.
    fn watch(&mut self, partition: i32, low: i64, stable: i64) {
        let Some(gauges) = self.gauges.get(&partition).and_then(Weak::upgrade) else { return };
        let progress = gauges.progress();
        let work = match (progress.1, gauges.restore_remaining()) {
            (Some(committed), _) => match self.ends.lag(partition, committed.max(low), stable) {
                0 => Work::None,
                lag => Work::Records(lag),
            },
            (None, Some(remaining)) => Work::Restore(remaining),
            // Before a restore reads, it waits for others' transactions and has its own patience.
            (None, None) => Work::None,
        };
        let verdict = self.watchdog.see(partition, Sight { work, progress }, self.began.elapsed());
        match verdict {
            Verdict::Fine => {
                if self.health.set_stall(partition, None) {
                    info!(partition, "the partition comes on again");
                }
            }
            Verdict::Heal(sentence) => {
                if matches!(work, Work::Records(_)) {
                    warn!(partition, "{sentence}; reading it again");
                    let stalled = Input::Stalled { partition, offset_low: low };
                    self.inputs.send_timeout(stalled, TELL).ok();
                } else {
                    warn!(partition, "{sentence}");
                }
                self.health.set_stall(partition, Some(sentence));
            }
            Verdict::Stalled(sentence) => {
                self.health.set_stall(partition, Some(sentence));
            }
            Verdict::GiveUp(sentence) => {
                let sentence = format!(
                    "{sentence}, twice `processing.stall_timeout_s`; exiting, so that a restart \
                     begins anew"
                );
                error!(partition, "{sentence}");
                self.health.set_stall(partition, Some(sentence.clone()));
                self.give_up(sentence);
            }
        }
    }

    /// Ends the lane. An engine that does not hear ends with the process, at the end of the grace,
    /// or in order; the lane has failed all the same.
    fn give_up(&self, sentence: String) {
        self.last_words.get_or_init(|| sentence.clone());
        self.inputs.send_timeout(Input::Failed(sentence), TELL).ok();
        self.shutdown.request();
    }
}

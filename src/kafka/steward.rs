//! The thread beside a lane that asks brokers what the lane must not wait for: it restores
//! partitions from the changelog and learns where the input ends. It changes no live state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Deserialize;
use tracing::{debug, error, warn};

use super::clients::{self, Quiet};
use super::cover::Cover;
use super::restore::Restorer;
use super::watchdog::{Sight, Verdict, Watchdog, Work};
use crate::config::Kafka;
use crate::engine::rebuild::OnLoss;
use crate::engine::{Input, Restored};
use crate::lifecycle::{Lane, Shutdown};
use crate::metrics::{Metrics, PartitionGauges};
use crate::pipeline::Pipeline;
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

/// Where each input partition ends, and how far the lane's consumer has seen it end.
#[derive(Debug, Default)]
pub(super) struct Ends {
    partitions: Mutex<BTreeMap<i32, End>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// Last stable offset, with the time at which it was learnt.
    learnt: Option<(i64, Instant)>,
    /// Where the consumer last reached an end (transaction markers lie behind the last record).
    reached: i64,
    /// After the last record that was handed to the engine. It never goes back: what was read
    /// before a rewind is there to be read again.
    handed_over: Option<i64>,
}

impl Ends {
    /// Whether everything up to an end that was learnt in the last `within_ms` was read, where the
    /// last record handed over ended at `read_to`.
    pub(super) fn is_reached(&self, partition: i32, read_to: Option<i64>, within_ms: i64) -> bool {
        let end = self.lock().get(&partition).copied().unwrap_or_default();
        let Some((learnt, at)) = end.learnt else { return false };
        let is_fresh = at.elapsed() <= Duration::from_millis(within_ms.max(0).unsigned_abs());
        is_fresh && end.reached >= learnt && read_to.is_none_or(|read_to| read_to <= learnt)
    }

    /// Records up to here are with the engine.
    pub(super) fn handed_over(&self, partition: i32, offset_next: i64) {
        let mut ends = self.lock();
        let end = ends.entry(partition).or_default();
        end.handed_over = end.handed_over.max(Some(offset_next));
    }

    /// How much lies between what is committed and the last stable offset; nothing where that is
    /// only markers of transactions.
    fn lag(&self, partition: i32, committed: i64, stable: i64) -> i64 {
        let end = self.lock().get(&partition).copied().unwrap_or_default();
        let is_read = end.reached >= stable && end.handed_over.is_none_or(|next| next <= committed);
        if is_read { 0 } else { (stable - committed).max(0) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, End>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine is gone.
struct Gone;

/// The parts of librdkafka's report that are read here.
#[derive(Debug, Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Debug, Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<i32, PartitionStatistics>,
}

#[derive(Debug, Deserialize)]
struct PartitionStatistics {
    eof_offset: i64,
}

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
    /// On its way to the engine: at most one for each partition.
    restored: VecDeque<Restored>,
    /// Absent where members are not static: each start shares out anew.
    cover: Option<Cover>,
    looked_at: Instant,
    watchdog: Watchdog,
    /// Of the partitions that are owned; the engine says when that ends.
    gauges: BTreeMap<i32, Weak<PartitionGauges>>,
    health: Lane,
    shutdown: Shutdown,
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
    /// The lane's name in the group.
    pub(super) member: String,
    /// Where partitions that stall are reported.
    pub(super) health: Lane,
    /// How long a partition may have work without coming on.
    pub(super) stall_timeout: Duration,
    /// Ends the process when a lane that stalls hears nothing more.
    pub(super) shutdown: Shutdown,
}

impl Steward {
    /// A steward with clients of its own.
    ///
    /// # Errors
    /// What librdkafka says of the configuration.
    pub(super) fn new(
        kafka: &Kafka,
        shared: Shared,
        pipeline: Pipeline,
        ground: Ground,
        on_loss: OnLoss,
    ) -> Result<Self, String> {
        let create = |isolation: &str| -> Result<BaseConsumer<Quiet>, String> {
            clients::reader(kafka, isolation)
                .create_with_context(Quiet)
                .map_err(|error| format!("failed to create a consumer: {error}"))
        };
        let Shared { errands, inputs, ends, ownership, metrics, member, .. } = shared;
        let cover = kafka.static_membership.then(|| Cover::new(kafka, member, ground.n_partitions));
        let n_partitions = ground.n_partitions;
        let restorer = Restorer::new(kafka, create("read_committed")?, pipeline, ground, on_loss);
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
                Ok(Errand::Statistics(report)) => self.read_statistics(&report),
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

    /// Has the group share out anew if partitions were left to nobody.
    fn mend(&mut self) {
        let Some(cover) = &mut self.cover else { return };
        if self.restorer.is_idle() && cover.is_broken(&self.uncommitted) {
            self.ownership.ask_to_rejoin();
        }
    }

    fn forget(&mut self, partition: i32) {
        self.restorer.forget(partition);
        self.ends.lock().remove(&partition);
        self.gauges.remove(&partition);
        self.stop_watching(partition);
    }

    fn read_statistics(&self, report: &[u8]) {
        let Ok(report) = serde_json::from_slice::<Statistics>(report) else {
            warn!("librdkafka's statistics have an unknown form; idle time does not pass");
            return;
        };
        let Some(topic) = report.topics.get(&self.kafka.input_topic) else { return };
        let mut ends = self.ends.lock();
        for (partition, statistics) in &topic.partitions {
            if *partition >= 0 {
                ends.entry(*partition).or_default().reached = statistics.eof_offset;
            }
        }
    }

    /// What to say if the input has more partitions by now. Asked often, for from then on producers
    /// put customers where their state is not.
    fn regrown(&self) -> Option<String> {
        let topic = &self.kafka.input_topic;
        let metadata = self.uncommitted.fetch_metadata(Some(topic), ASK).ok()?;
        let found = metadata.topics().iter().find(|found| found.name() == topic)?;
        let n_partitions = i32::try_from(found.partitions().len()).ok()?;
        (n_partitions > self.n_partitions).then(|| recount(self.n_partitions, n_partitions))
    }

    /// Asks where each owned partition ends, and whether it comes on.
    fn look(&mut self) {
        for partition in self.ownership.owned().into_keys() {
            let topic = &self.kafka.input_topic;
            let stable = self.committed.fetch_watermarks(topic, partition, ASK);
            let high = self.uncommitted.fetch_watermarks(topic, partition, ASK);
            match (stable, high) {
                (Ok((low, stable)), Ok((_, high))) => {
                    let learnt = Some((stable, Instant::now()));
                    self.ends.lock().entry(partition).or_default().learnt = learnt;
                    self.metrics.input_ends(partition, stable, high);
                    self.watch(partition, low, stable);
                }
                (Err(error), _) | (_, Err(error)) => {
                    debug!(%error, partition, "failed to ask where the partition ends");
                    // A broker in trouble is no lane in trouble: nothing counts until it answers.
                    let watched: Vec<i32> = self.gauges.keys().copied().collect();
                    for partition in watched {
                        self.stop_watching(partition);
                    }
                    return;
                }
            }
        }
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
            Verdict::Fine => self.health.set_stall(partition, None),
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
            Verdict::Stalled(sentence) => self.health.set_stall(partition, Some(sentence)),
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

    /// Ends the lane. An engine that does not hear ends with the process, at the end of the grace.
    fn give_up(&self, sentence: String) {
        self.inputs.send_timeout(Input::Failed(sentence), TELL).ok();
        self.shutdown.request();
    }
}

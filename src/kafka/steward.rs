//! The thread beside a lane that asks brokers what the lane must not wait for: it restores
//! partitions from the changelog and learns where the input ends. It changes no live state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde::Deserialize;
use tracing::{debug, warn};

use super::clients::{self, Quiet};
use super::cover::Cover;
use super::restore::Restorer;
use crate::config::Kafka;
use crate::engine::Input;
use crate::engine::rebuild::OnLoss;
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

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, End>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    /// Absent where members are not static: each start shares out anew.
    cover: Option<Cover>,
    looked_at: Instant,
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
        let Shared { errands, inputs, ends, ownership, metrics, member } = shared;
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
            cover,
            looked_at: Instant::now(),
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
                    self.restorer.start(partition, epoch, gauges);
                }
                Ok(Errand::Forget { partition }) => self.forget(partition),
                Ok(Errand::Statistics(report)) => self.read_statistics(&report),
                Err(true) => return,
                Err(false) => {}
            }
            match self.restorer.turn(&self.uncommitted) {
                Ok(restored) => {
                    for restored in restored {
                        if self.inputs.send(Input::Restored(Box::new(restored))).is_err() {
                            return;
                        }
                    }
                }
                Err(sentence) => {
                    self.inputs.send(Input::Failed(sentence)).ok();
                    return;
                }
            }
            if self.looked_at.elapsed() >= LOOK {
                self.looked_at = Instant::now();
                self.look();
                if let Some(sentence) = self.regrown() {
                    self.inputs.send(Input::Failed(sentence)).ok();
                    return;
                }
            }
            self.mend();
        }
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

    /// Asks where each owned partition ends.
    fn look(&self) {
        for partition in self.ownership.owned().into_keys() {
            let topic = &self.kafka.input_topic;
            let stable = self.committed.fetch_watermarks(topic, partition, ASK);
            let high = self.uncommitted.fetch_watermarks(topic, partition, ASK);
            match (stable, high) {
                (Ok((_, stable)), Ok((_, high))) => {
                    let learnt = Some((stable, Instant::now()));
                    self.ends.lock().entry(partition).or_default().learnt = learnt;
                    self.metrics.input_ends(partition, stable, high);
                }
                (Err(error), _) | (_, Err(error)) => {
                    debug!(%error, partition, "failed to ask where the partition ends");
                    return;
                }
            }
        }
    }
}

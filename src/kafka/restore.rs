//! Reads the state of partitions back from the changelog: stable first, then read to the end, then
//! compared with the committed offset. Each partition is a small state machine of its own, so that
//! one that waits holds up no other. Runs on the steward's thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use super::clients::{self, Quiet};
use super::refusal::{Use, missing_right};
use super::steward::ASK;
use crate::config::Kafka;
use crate::engine::Restored;
use crate::engine::rebuild::{Bounds, OnLoss, Rebuild};
use crate::metrics::PartitionGauges;
use crate::models::Models;
use crate::record::marker::Ground;

/// Records read between two looks at errands.
const RECORDS_PER_TURN: usize = 10_000;
/// How long one turn waits for the first record.
const WAIT: Duration = Duration::from_millis(20);
/// How often a partition that waits for an open transaction is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a foreign open transaction may hold a restore up: transaction timeout, the broker's
/// sweep, and twice that again before a person is asked.
const STABLE_WAIT: Duration = Duration::from_mins(2);

/// Restores the partitions of one lane.
pub(super) struct Restorer {
    consumer: BaseConsumer<Quiet>,
    input_topic: String,
    changelog_topic: String,
    group_id: String,
    models: Arc<Models>,
    ground: Ground,
    on_loss: OnLoss,
    tasks: BTreeMap<i32, Task>,
}

/// One partition on its way back.
#[derive(Debug)]
struct Task {
    epoch: u64,
    began: Instant,
    looked_at: Option<Instant>,
    reading: Option<Reading>,
    gauges: Arc<PartitionGauges>,
}

/// How far the changelog of one partition has been read.
#[derive(Debug)]
struct Reading {
    bounds: Bounds,
    end: i64,
    changelog_next: i64,
    /// Whether the leader that reports the end has been asked where it is.
    is_confirmed: bool,
    n_records: u64,
    /// Read since the gauges were told.
    n_untold: u64,
    rebuild: Rebuild,
}

impl std::fmt::Debug for Restorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restorer").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl Restorer {
    pub(super) fn new(
        kafka: &Kafka,
        consumer: BaseConsumer<Quiet>,
        models: Arc<Models>,
        ground: Ground,
        on_loss: OnLoss,
    ) -> Self {
        Self {
            consumer,
            input_topic: kafka.input_topic.clone(),
            changelog_topic: kafka.changelog_topic.clone(),
            group_id: kafka.group_id.clone(),
            models,
            ground,
            on_loss,
            tasks: BTreeMap::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn start(&mut self, partition: i32, epoch: u64, gauges: Arc<PartitionGauges>) {
        self.forget(partition);
        let task = Task { epoch, began: Instant::now(), looked_at: None, reading: None, gauges };
        self.tasks.insert(partition, task);
    }

    pub(super) fn forget(&mut self, partition: i32) {
        if self.tasks.remove(&partition).is_some_and(|task| task.reading.is_some()) {
            self.unassign(partition);
        }
    }

    /// Does a bounded piece of work; returns the partitions that are complete.
    ///
    /// # Errors
    /// A sentence that says why a partition's state cannot be trusted, and the remedy.
    pub(super) fn turn(
        &mut self,
        uncommitted: &BaseConsumer<Quiet>,
    ) -> Result<Vec<Restored>, String> {
        let mut restored = Vec::new();
        let waiting: Vec<i32> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.reading.is_none())
            .filter(|(_, task)| task.looked_at.is_none_or(|at| at.elapsed() >= LOOK))
            .map(|(partition, _)| *partition)
            .collect();
        for partition in waiting {
            if self.look(partition, uncommitted)? {
                restored.extend(self.finish(partition)?);
            }
        }
        if self.tasks.values().any(|task| task.reading.is_some()) {
            self.read(&mut restored)?;
        }
        Ok(restored)
    }

    /// Begins to read once everything up to the end is stable. Returns whether there is nothing to
    /// read. The order matters: the offset first, then the end as uncommitted readers see it, for a
    /// committed reader is shown an earlier one while transaction markers are on their way.
    fn look(&mut self, partition: i32, uncommitted: &BaseConsumer<Quiet>) -> Result<bool, String> {
        let asked = self.ask(partition, uncommitted);
        let task = self.tasks.get_mut(&partition).expect("a task that waits is there");
        let is_first = task.looked_at.is_none();
        task.looked_at = Some(Instant::now());
        let is_late = task.began.elapsed() > STABLE_WAIT;
        match asked {
            Ok((reading, stable)) if stable >= reading.end => {
                let (low, end) = (reading.changelog_next, reading.end);
                let is_empty = low >= end;
                if !is_empty {
                    info!(partition, lag_records = end - low, "restoring partition");
                }
                task.gauges.restore_from(low, end);
                task.reading = Some(reading);
                if !is_empty {
                    self.assign(partition, Offset::Beginning)
                        .map_err(|error| self.fault(partition, &error.to_string()))?;
                }
                Ok(is_empty)
            }
            Ok((reading, stable)) if is_late => {
                let (end, topic) = (reading.end, &self.changelog_topic);
                Err(self.fault(
                    partition,
                    &format!(
                        "an open transaction has held `{topic}` at offset `{stable}` of `{end}` \
                         for {} s; find and abort it (kafka-transactions.sh)",
                        STABLE_WAIT.as_secs()
                    ),
                ))
            }
            Ok((reading, stable)) => {
                if is_first {
                    let (offset_stable, offset_end) = (stable, reading.end);
                    let what = "restore waits for an open transaction to end";
                    info!(partition, offset_stable, offset_end, "{what}");
                }
                Ok(false)
            }
            Err(error) if let Some(sentence) = self.forbidden(&error) => Err(sentence),
            Err(error) if is_late => Err(self.fault(partition, &error.to_string())),
            Err(error) => {
                clients::log_passing(&error, "failed to ask for a partition's state; asking again");
                Ok(false)
            }
        }
    }

    fn ask(
        &self,
        partition: i32,
        uncommitted: &BaseConsumer<Quiet>,
    ) -> Result<(Reading, i64), KafkaError> {
        let committed = self.committed(partition)?;
        let (input_low, _) = uncommitted.fetch_watermarks(&self.input_topic, partition, ASK)?;
        let (low, end) = uncommitted.fetch_watermarks(&self.changelog_topic, partition, ASK)?;
        let (_, stable) = self.consumer.fetch_watermarks(&self.changelog_topic, partition, ASK)?;
        let reading = Reading {
            bounds: Bounds { committed, low: input_low, changelog_low: low },
            end,
            changelog_next: low,
            is_confirmed: false,
            n_records: 0,
            n_untold: 0,
            rebuild: Rebuild::new(self.on_loss),
        };
        Ok((reading, stable))
    }

    /// The group's offset; waits while one is pending.
    fn committed(&self, partition: i32) -> Result<Option<i64>, KafkaError> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&self.input_topic, partition);
        let offsets = self.consumer.committed_offsets(partitions, ASK)?;
        Ok(match offsets.find_partition(&self.input_topic, partition) {
            Some(found) => {
                found.error()?;
                if let Offset::Offset(offset) = found.offset() { Some(offset) } else { None }
            }
            None => None,
        })
    }

    fn read(&mut self, restored: &mut Vec<Restored>) -> Result<(), String> {
        let mut wait = WAIT;
        for _ in 0..RECORDS_PER_TURN {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let partition = message.partition();
                    let reading =
                        self.tasks.get_mut(&partition).and_then(|task| task.reading.as_mut());
                    let Some(reading) = reading else { continue };
                    let offset = message.offset();
                    reading.n_records += 1;
                    reading.n_untold += 1;
                    reading.changelog_next = offset + 1;
                    let (key, value) = (message.key(), message.payload());
                    reading.rebuild.take(offset, key, value);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    if self.is_at_end(partition)? {
                        restored.extend(self.finish(partition)?);
                    }
                }
                Some(Err(error)) => {
                    if let Some(sentence) = self.forbidden(&error) {
                        return Err(sentence);
                    }
                    if error.rdkafka_error_code().is_some_and(clients::is_hopeless) {
                        let topic = &self.changelog_topic;
                        return Err(format!("failed to read the changelog `{topic}`: {error}"));
                    }
                    clients::log_passing(&error, "failed to read the changelog; trying again");
                }
                None => break,
            }
            wait = Duration::ZERO;
        }
        for task in self.tasks.values_mut() {
            task.tell();
        }
        Ok(())
    }

    /// Whether a reported end is the end: everything up to the one asked for was stable before the
    /// reading began, so all of it has been read, unless a new leader has answered that knows less
    /// yet. It gives no end then, so once it has given one its word counts.
    fn is_at_end(&mut self, partition: i32) -> Result<bool, String> {
        let task = self.tasks.get_mut(&partition);
        let Some(reading) = task.and_then(|task| task.reading.as_mut()) else { return Ok(false) };
        let (next, is_final) =
            (reading.changelog_next, reading.is_confirmed || reading.changelog_next >= reading.end);
        reading.is_confirmed = true;
        self.unassign(partition);
        if !is_final {
            let topic = &self.changelog_topic;
            self.consumer
                .fetch_watermarks(topic, partition, ASK)
                .and_then(|_| self.assign(partition, Offset::Offset(next)))
                .map_err(|error| self.fault(partition, &error.to_string()))?;
        }
        Ok(is_final)
    }

    fn assign(&self, partition: i32, from: Offset) -> Result<(), KafkaError> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&self.changelog_topic, partition, from)?;
        self.consumer.incremental_assign(&partitions)
    }

    /// The state that was read; none if it has to be read again.
    fn finish(&mut self, partition: i32) -> Result<Option<Restored>, String> {
        let mut task = self.tasks.remove(&partition).expect("a task that ends is there");
        task.tell();
        let Reading { bounds, n_records, rebuild, .. } =
            task.reading.take().expect("a task that ends has read");
        let n_customers = rebuild.n_customers();
        let pipeline = self.models.resumed(rebuild.model_label()).pipeline();
        let ground = &self.ground;
        let restored = match rebuild.finish(partition, task.epoch, bounds, ground, &pipeline) {
            Ok(restored) => restored,
            // A member that stood still may have lost the partition without knowing it yet: then
            // what it has read is newer than the offset that it began with.
            Err(fault) => match self.committed(partition) {
                Ok(committed) if committed == bounds.committed => {
                    return Err(self.fault(partition, &fault));
                }
                Ok(_) | Err(_) => {
                    warn!(partition, fault, "state and offset moved while reading; reading again");
                    task.began = Instant::now();
                    self.tasks.insert(partition, task);
                    return Ok(None);
                }
            },
        };
        for loss in restored.mending.iter().flat_map(|mending| &mending.losses) {
            warn!(partition, "restored with a loss: {loss}");
        }
        if let (None, Some(marker)) = (bounds.committed, &restored.marker) {
            warn!(
                partition,
                offset_next = marker.offset_next,
                "the group has forgotten its offset; going on where the state ends. If the input \
                 topic was deleted and made anew, what lies before that is skipped: start with a \
                 new group and changelog topic then"
            );
        }
        let duration_ms = u64::try_from(task.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(
            partition,
            records = n_records,
            customers = n_customers,
            offset_next = restored.offset_next,
            duration_ms,
            records_per_s = n_records * 1000 / duration_ms.max(1),
            "restored partition"
        );
        Ok(Some(restored))
    }

    fn unassign(&self, partition: i32) {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&self.changelog_topic, partition);
        if let Err(error) = self.consumer.incremental_unassign(&partitions) {
            warn!(partition, %error, "failed to stop reading a changelog partition");
        }
    }

    fn forbidden(&self, error: &KafkaError) -> Option<String> {
        let topic = (&*self.changelog_topic, Use::Read);
        let refusal = missing_right(error.rdkafka_error_code()?, &self.group_id, topic)?;
        Some(refusal.sentence())
    }

    fn fault(&self, partition: i32, what: &str) -> String {
        format!("failed to restore partition `{partition}` from `{}`: {what}", self.changelog_topic)
    }
}

impl Task {
    /// Shows how far the reading has come.
    fn tell(&mut self) {
        if let Some(reading) = &mut self.reading {
            self.gauges.restored_to(reading.changelog_next, reading.n_untold);
            reading.n_untold = 0;
        }
    }
}

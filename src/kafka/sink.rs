//! Transactions of one lane: the engine's records and offsets through a `writer`, and the check
//! that nothing is committed for a partition that was taken away. Runs on the engine's thread.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::callbacks::Callbacks;
use super::ownership::Ownership;
use super::writer::{Addressed, Deadline, Writer};
use crate::config::Kafka;
use crate::engine::{Failure, Outgoing, Progress, Topic, Transactions};
use crate::lifecycle::Lane;
use crate::metrics::{AbortCause, Metrics, Phase};

/// The producer side of a lane.
pub(super) struct Sink {
    writer: Writer,
    consumer: Arc<BaseConsumer<Callbacks>>,
    ownership: Arc<Ownership>,
    metrics: Arc<Metrics>,
    topics: Topics,
    marked_at: Instant,
    /// A long run of transactions inside one input is a lane at work, not a lane that hangs.
    health: Lane,
}

/// The names of the topics that are written.
#[derive(Clone, Debug)]
struct Topics {
    input: String,
    scores: String,
    signals: String,
    dead_letters: String,
    changelog: String,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl Sink {
    /// The sink over a writer, which has fenced an earlier run.
    pub(super) fn new(
        writer: Writer,
        consumer: Arc<BaseConsumer<Callbacks>>,
        ownership: Arc<Ownership>,
        metrics: Arc<Metrics>,
        health: Lane,
        kafka: &Kafka,
    ) -> Self {
        let topics = Topics {
            input: kafka.input_topic.clone(),
            scores: kafka.scores_topic.clone(),
            signals: kafka.signals_topic.clone(),
            dead_letters: kafka.dlq_topic.clone(),
            changelog: kafka.changelog_topic.clone(),
        };
        Self { writer, consumer, ownership, metrics, topics, marked_at: Instant::now(), health }
    }

    fn send_offsets(&self, progress: &[Progress], deadline: Deadline) -> Result<(), Failure> {
        let mut offsets = TopicPartitionList::with_capacity(progress.len());
        for Progress { partition, offset_next, .. } in progress {
            offsets
                .add_partition_offset(&self.topics.input, *partition, Offset::Offset(*offset_next))
                .map_err(|error| Failure::Fatal(format!("failed to name an offset: {error}")))?;
        }
        self.writer.send_offsets(&offsets, || self.consumer.group_metadata(), deadline)
    }

    /// The broker checks the generation of the metadata, not who owns a partition: a partition that
    /// was taken away since the transaction began would be committed by the new generation.
    fn check_ownership(&self, progress: &[Progress]) -> Result<(), Failure> {
        if self.consumer.assignment_lost() {
            let message = "the group has given this member's partitions away".to_owned();
            return Err(Failure::Abort(AbortCause::AssignmentLost, message));
        }
        for Progress { partition, epoch, .. } in progress {
            if self.ownership.epoch(*partition) != Some(*epoch) {
                let message = format!("partition `{partition}` was taken away meanwhile");
                return Err(Failure::Abort(AbortCause::RevokeBudget, message));
            }
        }
        Ok(())
    }
}

impl Transactions for Sink {
    fn begin(&mut self) -> Result<(), Failure> {
        self.writer.begin()
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        let topic = match outgoing.topic {
            Topic::Scores => &self.topics.scores,
            Topic::Signals => &self.topics.signals,
            Topic::DeadLetters => &self.topics.dead_letters,
            Topic::Changelog => &self.topics.changelog,
        };
        let Outgoing { partition, key, value, headers, .. } = outgoing;
        self.writer.send(Addressed { topic, partition, key, value, headers })
    }

    fn commit(&mut self, progress: &[Progress], budget_ms: u64) -> Result<(), Failure> {
        let deadline = Deadline::after(budget_ms.min(self.writer.transaction_timeout_ms()));
        self.writer.drain(deadline)?;
        self.mark(Some(Phase::Drain));
        self.send_offsets(progress, deadline)?;
        // After the metadata was taken: a partition that went before it is seen here, and one that
        // goes later leaves a generation behind which the broker refuses.
        self.check_ownership(progress)?;
        self.mark(Some(Phase::Offsets));
        self.writer.commit()?;
        self.mark(Some(Phase::Commit));
        Ok(())
    }

    fn mark(&mut self, ended: Option<Phase>) {
        self.health.turned();
        let now = Instant::now();
        if let Some(phase) = ended {
            self.metrics.transaction_phase(phase, now - self.marked_at);
        }
        self.marked_at = now;
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.writer.abort()
    }
}

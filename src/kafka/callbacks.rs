//! What Kafka calls inside `poll`: partitions come and go. The engine commits or aborts before a
//! partition is given up, within a budget of wall-clock time; a new one is paused until restored.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, SendTimeoutError, Sender, bounded};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{debug, info, warn};

use super::clients;
use super::ownership::Ownership;
use super::steward::Errand;
use crate::engine::Input;
use crate::metrics::Metrics;
use crate::record::marker::REPARTITION;

/// The callbacks of one lane's consumer.
#[derive(Debug)]
pub(super) struct Callbacks {
    pub(super) lane: u32,
    pub(super) ownership: Arc<Ownership>,
    pub(super) inputs: Sender<Input>,
    pub(super) errands: Sender<Errand>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) n_partitions: i32,
    pub(super) revoke_budget: Duration,
    /// What found no room in the engine's queue; the source hands it over first, in order. A few
    /// entries for each rebalance that happens while the engine is stuck.
    pub(super) backlog: Mutex<Vec<Input>>,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        clients::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka reports an error");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        // Parsed elsewhere; when the steward is behind, the next report serves as well.
        self.errands.try_send(Errand::Statistics(statistics.to_vec())).ok();
    }
}

impl ConsumerContext for Callbacks {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let numbers: Vec<i32> =
            partitions.elements().iter().map(TopicPartitionListElem::partition).collect();
        let outcome = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let outcome = self.assigned(consumer, &numbers, partitions);
            self.ownership.join();
            outcome
        } else {
            self.taken_away(&numbers, consumer.assignment_lost());
            consumer.incremental_unassign(partitions)
        };
        if let Err(error) = outcome {
            self.tell(Input::Failed(format!("failed to follow a rebalance: {error}")));
        }
    }
}

impl Callbacks {
    fn assigned(
        &self,
        consumer: &BaseConsumer<Self>,
        numbers: &[i32],
        partitions: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let mut from_oldest = partitions.clone();
        from_oldest.set_all_offsets(Offset::Beginning)?;
        // The restore says where to go on; without a word of it a new group starts here.
        consumer.incremental_assign(&from_oldest)?;
        if numbers.is_empty() {
            return Ok(());
        }
        // Paused inside the callback: nothing can be read before the state is there.
        consumer.pause(partitions)?;
        info!(lane = self.lane, partitions = ?numbers, "partitions assigned");
        for partition in numbers {
            if *partition >= self.n_partitions {
                self.tell(Input::Failed(format!(
                    "the input topic had `{}` partitions when this process started and now has \
                     partition `{partition}`: customers would move away from their state; \
                     {REPARTITION}",
                    self.n_partitions
                )));
                return Ok(());
            }
            let epoch = self.ownership.assign(*partition);
            let partition = *partition;
            let gauges = Arc::new(self.metrics.own_partition(partition));
            self.tell(Input::Assigned { partition, epoch, gauges: Arc::clone(&gauges) });
            self.errands.send(Errand::Restore { partition, epoch, gauges }).ok();
        }
        Ok(())
    }

    fn taken_away(&self, numbers: &[i32], is_lost: bool) {
        if numbers.is_empty() {
            return;
        }
        let began = Instant::now();
        if is_lost {
            // Someone else may be processing them: not one more commit.
            self.ownership.release(numbers);
            warn!(lane = self.lane, partitions = ?numbers, "partitions lost to another member");
        } else {
            info!(lane = self.lane, partitions = ?numbers, "partitions revoked");
        }
        for partition in numbers {
            self.errands.send(Errand::Forget { partition: *partition }).ok();
        }
        let (acknowledge, acknowledged) = bounded(1);
        let partitions = numbers.to_vec();
        self.tell(if is_lost {
            Input::Lost { partitions, acknowledge }
        } else {
            Input::Revoked { partitions, acknowledge }
        });
        let left = self.revoke_budget.saturating_sub(began.elapsed());
        // A closed channel is an engine that has ended in order, with nothing open.
        if acknowledged.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            let (lane, what) = (self.lane, "the revoke budget is spent; what is open is aborted");
            warn!(lane, partitions = ?numbers, "{what}");
        }
        // Only now, so that the engine could commit; a commit after this finds them gone and
        // aborts.
        self.ownership.release(numbers);
        self.metrics.revoked(began.elapsed());
    }

    /// Kafka waits for this thread, so it waits no longer than the budget for room in the queue.
    fn tell(&self, input: Input) {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        if !backlog.is_empty() {
            backlog.push(input);
        } else if let Err(SendTimeoutError::Timeout(input)) =
            self.inputs.send_timeout(input, self.revoke_budget)
        {
            backlog.push(input);
        }
    }

    /// Takes what the engine has not been told yet.
    pub(super) fn take_backlog(&self) -> Vec<Input> {
        std::mem::take(&mut *self.backlog.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

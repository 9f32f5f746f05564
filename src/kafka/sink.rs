//! Transactions of one lane: a transactional producer, bounded retries, and the check that nothing
//! is committed for a partition that was taken away. Runs on the engine's thread.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::callbacks::Callbacks;
use super::clients::{self, Verb};
use super::ownership::Ownership;
use crate::config::Kafka;
use crate::engine::{Failure, Outgoing, Progress, Topic, Transactions};
use crate::lifecycle::Lane;
use crate::metrics::{AbortCause, Metrics, Phase};

/// Sends between two looks at what was acknowledged.
const SENDS_PER_POLL: u32 = 1024;
/// How long one call to librdkafka may wait before the deadline is looked at again.
const CALL_MS: u64 = 1000;
/// … and at least: less would be no wait at all.
const CALL_MIN: Duration = Duration::from_millis(1);
/// How long to wait for acknowledgements between two looks.
const PAUSE: Duration = Duration::from_micros(500);
/// How long one call to abort may wait while acknowledgements are outstanding.
const ABORT_SLICE: Duration = Duration::from_millis(50);
/// A commit whose outcome stays unknown this many transaction timeouts ends the process: the
/// restart learns the outcome from the broker.
const COMMIT_TIMEOUTS: u64 = 3;

/// The producer side of a lane.
pub(super) struct Sink {
    producer: BaseProducer,
    consumer: Arc<BaseConsumer<Callbacks>>,
    ownership: Arc<Ownership>,
    metrics: Arc<Metrics>,
    topics: Topics,
    transaction_timeout_ms: u64,
    n_unpolled: u32,
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
    /// The sink over a producer that has been initialised (and so has fenced an earlier run).
    pub(super) fn new(
        producer: BaseProducer,
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
        let transaction_timeout_ms = u64::from(kafka.transaction_timeout_ms);
        Self {
            producer,
            consumer,
            ownership,
            metrics,
            topics,
            transaction_timeout_ms,
            n_unpolled: 0,
            marked_at: Instant::now(),
            health,
        }
    }

    /// Creates the producer of a lane and fences whoever had its identity: also aborts the
    /// transaction that an earlier run may have left open.
    ///
    /// # Errors
    /// A sentence that says what the broker answered.
    pub(super) fn connect(
        kafka: &Kafka,
        identity: &clients::Identity,
        metrics: &Metrics,
    ) -> Result<BaseProducer, Failure> {
        let producer: BaseProducer = clients::sink(kafka, identity)
            .create()
            .map_err(|error| Failure::Fatal(format!("failed to create the producer: {error}")))?;
        let deadline = Deadline::after(u64::from(kafka.transaction_timeout_ms) * COMMIT_TIMEOUTS);
        let call = Call { doing: "initialise transactions", cause: AbortCause::Commit, deadline };
        call.retry(metrics, |timeout| producer.init_transactions(timeout)).map_err(fatal)?;
        Ok(producer)
    }

    /// `commit_transaction` with anything in flight waits in slices of 100 ms, so the
    /// acknowledgements are served here first.
    fn drain(&self, deadline: Deadline) -> Result<(), Failure> {
        while self.producer.in_flight_count() > 0 {
            if deadline.is_over() {
                let n_in_flight = self.producer.in_flight_count();
                let message = format!("`{n_in_flight}` records were not acknowledged in time");
                return Err(Failure::Abort(AbortCause::Delivery, message));
            }
            self.pause();
        }
        Ok(())
    }

    /// Hears of one failed delivery, if there is one, and leaves the core to librdkafka's threads.
    #[expect(clippy::disallowed_methods, reason = "a timed poll spins for its last millisecond")]
    fn pause(&self) {
        self.producer.poll(Duration::ZERO);
        thread::sleep(PAUSE);
    }

    fn send_offsets(&self, progress: &[Progress], deadline: Deadline) -> Result<(), Failure> {
        let mut offsets = TopicPartitionList::with_capacity(progress.len());
        for Progress { partition, offset_next, .. } in progress {
            offsets
                .add_partition_offset(&self.topics.input, *partition, Offset::Offset(*offset_next))
                .map_err(|error| Failure::Fatal(format!("failed to name an offset: {error}")))?;
        }
        let doing = "send offsets to the transaction";
        let call = Call { doing, cause: AbortCause::Offsets, deadline };
        call.retry(&self.metrics, |_| {
            let Some(metadata) = self.consumer.group_metadata() else {
                return Err(KafkaError::NoMessageReceived);
            };
            // Not in slices: a time-out inside librdkafka dooms the transaction.
            let timeout = deadline.left().max(CALL_MIN);
            self.producer.send_offsets_to_transaction(&offsets, &metadata, timeout)
        })
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
        let deadline = Deadline::after(self.transaction_timeout_ms);
        let call = Call { doing: "begin a transaction", cause: AbortCause::Commit, deadline };
        call.retry(&self.metrics, |_| self.producer.begin_transaction()).map_err(fatal)
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        let topic = match outgoing.topic {
            Topic::Scores => &self.topics.scores,
            Topic::Signals => &self.topics.signals,
            Topic::DeadLetters => &self.topics.dead_letters,
            Topic::Changelog => &self.topics.changelog,
        };
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        record.key = outgoing.key;
        record.payload = outgoing.value;
        record.partition = outgoing.partition;
        if !outgoing.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(outgoing.headers.len());
            record.headers =
                Some(outgoing.headers.iter().fold(headers, |headers, (key, value)| {
                    headers.insert(KafkaHeader { key, value: value.as_deref() })
                }));
        }
        self.n_unpolled += 1;
        if self.n_unpolled >= SENDS_PER_POLL {
            self.n_unpolled = 0;
            self.producer.poll(Duration::ZERO);
        }
        // Made when first needed: reading the clock for each record can be measured.
        let mut deadline = None;
        while let Err((error, unsent)) = self.producer.send(record) {
            let deadline =
                deadline.get_or_insert_with(|| Deadline::after(self.transaction_timeout_ms));
            let doing = format!("send a record to `{topic}`");
            match clients::class(&error, &doing, AbortCause::Delivery) {
                Verb::Retry if !deadline.is_over() => self.pause(),
                Verb::Retry => {
                    let message = format!("the way to `{topic}` stayed full");
                    return Err(Failure::Abort(AbortCause::Delivery, message));
                }
                Verb::Fail(failure) => return Err(failure),
            }
            record = unsent;
        }
        Ok(())
    }

    fn commit(&mut self, progress: &[Progress], budget_ms: u64) -> Result<(), Failure> {
        let deadline = Deadline::after(budget_ms.min(self.transaction_timeout_ms));
        self.drain(deadline)?;
        self.mark(Some(Phase::Drain));
        self.send_offsets(progress, deadline)?;
        // After the metadata was taken: a partition that went before it is seen here, and one that
        // goes later leaves a generation behind which the broker refuses.
        self.check_ownership(progress)?;
        self.mark(Some(Phase::Offsets));
        // From here on only the broker knows the outcome: asking again is right, giving up is not.
        let deadline = Deadline::after(self.transaction_timeout_ms * COMMIT_TIMEOUTS);
        let call = Call { doing: "commit the transaction", cause: AbortCause::Commit, deadline };
        call.retry(&self.metrics, |timeout| self.producer.commit_transaction(timeout))?;
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
        let deadline = Deadline::after(self.transaction_timeout_ms * COMMIT_TIMEOUTS);
        let call = Call { doing: "abort the transaction", cause: AbortCause::Commit, deadline };
        // An abort that overtakes the registration of its partitions is refused as a fatal error,
        // so what is under way is waited for first; it lives no longer than a transaction.
        self.drain(Deadline::after(self.transaction_timeout_ms)).ok();
        call.retry(&self.metrics, |timeout| {
            // It purges what is left and waits until that is reported, which `poll` does here.
            let is_drained = self.producer.in_flight_count() == 0;
            let outcome =
                self.producer.abort_transaction(if is_drained { timeout } else { ABORT_SLICE });
            if outcome.is_err() {
                // A purge reports each partition, and waits until all is heard.
                self.producer.poll(CALL_MIN);
            }
            outcome
        })
        .map_err(fatal)
    }
}

/// There is no transaction left to abort.
fn fatal(failure: Failure) -> Failure {
    match failure {
        Failure::Abort(_, message) | Failure::Fatal(message) => Failure::Fatal(message),
    }
}

/// A point on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(ms: u64) -> Self {
        Self(Instant::now() + Duration::from_millis(ms))
    }

    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A call to librdkafka that may have to be made again.
struct Call<'a> {
    doing: &'a str,
    cause: AbortCause,
    deadline: Deadline,
}

impl Call<'_> {
    /// Repeats `call` while librdkafka says that this is right, until the deadline. What was
    /// retried in vain is fatal (nobody knows its outcome), but for offsets: they can still be
    /// aborted.
    fn retry(
        &self,
        metrics: &Metrics,
        mut call: impl FnMut(Duration) -> Result<(), KafkaError>,
    ) -> Result<(), Failure> {
        loop {
            let timeout = self.deadline.left().clamp(CALL_MIN, Duration::from_millis(CALL_MS));
            let Err(error) = call(timeout) else { return Ok(()) };
            match clients::class(&error, self.doing, self.cause) {
                Verb::Retry if !self.deadline.is_over() => metrics.transaction_retried(),
                Verb::Retry => {
                    let message = format!("failed to {} in time: {error}", self.doing);
                    return Err(if self.cause == AbortCause::Offsets {
                        Failure::Abort(self.cause, message)
                    } else {
                        Failure::Fatal(message)
                    });
                }
                Verb::Fail(failure) => return Err(failure),
            }
        }
    }
}

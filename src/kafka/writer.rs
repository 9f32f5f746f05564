//! A transactional producer: begin, send, drain, offsets, commit, abort. Each call is made again
//! while librdkafka says that this is right, until a deadline; what remains is one of two verbs. It
//! does not decide what belongs together. Used by `sink` for a lane and by `mover` for commands.

use std::borrow::Borrow;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::clients::{self, Identity, Verb};
use super::refusal::{Unwritable, Use, missing_right, without_right};
use crate::config::Kafka;
use crate::engine::Failure;
use crate::metrics::AbortCause;

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

/// A record with the name of its topic.
#[derive(Clone, Copy, Debug)]
pub struct Addressed<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; absent where the key chooses it.
    pub partition: Option<i32>,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value; absent for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: &'a [(String, Option<Vec<u8>>)],
}

/// A producer that has been initialised, and so has fenced whoever had its identity.
pub(super) struct Writer {
    producer: BaseProducer<Unwritable>,
    transaction_timeout_ms: u64,
    n_unpolled: u32,
    /// What to do when somebody else has taken the identity.
    remedy: &'static str,
    on_retry: Box<dyn Fn() + Send>,
}

/// Why there is no writer.
#[derive(Debug)]
pub(super) struct NotConnected {
    /// What that means for who wanted one.
    pub(super) failure: Failure,
    /// What the broker answered, if it did.
    pub(super) answer: Option<RDKafkaErrorCode>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("n_unpolled", &self.n_unpolled).finish_non_exhaustive()
    }
}

impl Writer {
    /// Creates the producer and fences whoever had its identity: also aborts the transaction that
    /// an earlier run may have left open. `on_retry` hears of each call that is made again.
    ///
    /// # Errors
    /// A sentence that says what the broker answered.
    pub(super) fn connect(
        kafka: &Kafka,
        identity: &Identity,
        on_retry: impl Fn() + Send + 'static,
    ) -> Result<Self, NotConnected> {
        let producer = clients::sink(kafka, identity)
            .create_with_context(Unwritable::default())
            .map_err(|error| Failure::Fatal(format!("failed to create the producer: {error}")))
            .map_err(|failure| NotConnected { failure, answer: None })?;
        let writer = Self {
            producer,
            transaction_timeout_ms: u64::from(kafka.transaction_timeout_ms),
            n_unpolled: 0,
            remedy: identity.remedy,
            on_retry: Box::new(on_retry),
        };
        let mut answer = None;
        let outcome = writer.outcome_call("initialise transactions").retry(&writer, |timeout| {
            let outcome = writer.producer.init_transactions(timeout);
            answer = outcome.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            outcome
        });
        outcome.map_err(|failure| {
            let topic = (&*kafka.changelog_topic, Use::Write);
            let right = answer.and_then(|code| missing_right(code, &kafka.group_id, topic));
            let failure =
                right.map_or_else(|| fatal(failure), |refusal| Failure::Fatal(refusal.sentence()));
            NotConnected { failure, answer }
        })?;
        Ok(writer)
    }

    /// How long a transaction may stay open.
    pub(super) fn transaction_timeout_ms(&self) -> u64 {
        self.transaction_timeout_ms
    }

    /// Opens a transaction.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when this producer can open no more.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        let deadline = Deadline::after(self.transaction_timeout_ms);
        let call = Call { doing: "begin a transaction", cause: AbortCause::Commit, deadline };
        call.retry(self, |_| self.producer.begin_transaction()).map_err(fatal)
    }

    /// Adds a record to the open transaction, waiting while the way out is full.
    ///
    /// # Errors
    /// The verb that remains after retries.
    pub(super) fn send(&mut self, addressed: Addressed<'_>) -> Result<(), Failure> {
        self.send_dated(addressed, None)
    }

    /// The same with a Kafka timestamp of its own.
    ///
    /// # Errors
    /// The verb that remains after retries.
    pub(super) fn send_dated(
        &mut self,
        addressed: Addressed<'_>,
        timestamp_ms: Option<i64>,
    ) -> Result<(), Failure> {
        let topic = addressed.topic;
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        record.key = addressed.key;
        record.payload = addressed.value;
        record.partition = addressed.partition;
        record.timestamp = timestamp_ms;
        if !addressed.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(addressed.headers.len());
            record.headers =
                Some(addressed.headers.iter().fold(headers, |headers, (key, value)| {
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
            match clients::class(&error, &doing, AbortCause::Delivery, self.remedy) {
                Verb::Retry if !deadline.is_over() => self.pause(),
                Verb::Retry => {
                    let message = format!("the way to `{topic}` stayed full");
                    return Err(Failure::Abort(AbortCause::Delivery, message));
                }
                Verb::Fail(failure) => {
                    self.producer.poll(Duration::ZERO);
                    self.unwritable()?;
                    return Err(failure);
                }
            }
            record = unsent;
        }
        Ok(())
    }

    /// Waits until nothing is in flight. `commit_transaction` with anything in flight waits in
    /// slices of 100 ms, so the acknowledgements are served here first.
    ///
    /// # Errors
    /// [`Failure::Abort`] at the deadline, [`Failure::Fatal`] where a topic may not be written.
    pub(super) fn drain(&self, deadline: Deadline) -> Result<(), Failure> {
        while self.producer.in_flight_count() > 0 {
            self.unwritable()?;
            if deadline.is_over() {
                let n_in_flight = self.producer.in_flight_count();
                let message = format!("`{n_in_flight}` records were not acknowledged in time");
                return Err(Failure::Abort(AbortCause::Delivery, message));
            }
            self.pause();
        }
        Ok(())
    }

    /// Adds offsets to the open transaction, with the group's metadata taken fresh for each try.
    ///
    /// # Errors
    /// The verb that remains after retries.
    pub(super) fn send_offsets<M: Borrow<ConsumerGroupMetadata>>(
        &self,
        offsets: &TopicPartitionList,
        metadata: impl Fn() -> Option<M>,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let doing = "send offsets to the transaction";
        let call = Call { doing, cause: AbortCause::Offsets, deadline };
        call.retry(self, |_| {
            let Some(metadata) = metadata() else {
                return Err(KafkaError::NoMessageReceived);
            };
            // Not in slices: a time-out inside librdkafka dooms the transaction.
            let timeout = deadline.left().max(CALL_MIN);
            self.producer.send_offsets_to_transaction(offsets, metadata.borrow(), timeout)
        })
    }

    /// Commits the open transaction; to be called when nothing is in flight.
    ///
    /// # Errors
    /// The verb that remains after retries.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        // Only the broker knows the outcome: asking again is right, giving up is not.
        self.outcome_call("commit the transaction")
            .retry(self, |timeout| self.producer.commit_transaction(timeout))
    }

    /// Drops the open transaction.
    ///
    /// # Errors
    /// [`Failure::Fatal`] when that cannot be done.
    pub(super) fn abort(&self) -> Result<(), Failure> {
        let call = self.outcome_call("abort the transaction");
        // An abort that overtakes the registration of its partitions is refused as a fatal error,
        // so what is under way is waited for first; it lives no longer than a transaction.
        self.drain(Deadline::after(self.transaction_timeout_ms)).ok();
        call.retry(self, |timeout| {
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

    /// The topic that may not be written, if the broker has said so: no other failure counts then.
    fn unwritable(&self) -> Result<(), Failure> {
        let Some(topic) = self.producer.context().topic() else { return Ok(()) };
        let refusal = without_right(&format!("topic `{topic}`"), "Write");
        Err(Failure::Fatal(refusal.sentence()))
    }

    /// Hears of one failed delivery, if there is one, and leaves the core to librdkafka's threads.
    #[expect(clippy::disallowed_methods, reason = "a timed poll spins for its last millisecond")]
    fn pause(&self) {
        self.producer.poll(Duration::ZERO);
        thread::sleep(PAUSE);
    }

    /// A call whose outcome only the broker knows.
    fn outcome_call(&self, doing: &'static str) -> Call<'static> {
        let deadline = Deadline::after(self.transaction_timeout_ms * COMMIT_TIMEOUTS);
        Call { doing, cause: AbortCause::Commit, deadline }
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
        writer: &Writer,
        mut call: impl FnMut(Duration) -> Result<(), KafkaError>,
    ) -> Result<(), Failure> {
        loop {
            let timeout = self.deadline.left().clamp(CALL_MIN, Duration::from_millis(CALL_MS));
            let Err(error) = call(timeout) else { return Ok(()) };
            match clients::class(&error, self.doing, self.cause, writer.remedy) {
                Verb::Retry if !self.deadline.is_over() => (writer.on_retry)(),
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

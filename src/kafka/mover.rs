//! Moves records for a command: bounded transactions, one run of a command at a time for a group,
//! and a bookmark that is moved in the same transaction. It does not choose what is moved. Called
//! by `commands::import` and `commands::redrive`.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::clients::{self, Identity, Quiet};
pub use super::writer::Addressed;
use super::writer::{Deadline, Writer};
use crate::config::{Config, Kafka};
use crate::engine::Failure;

/// The most records of one transaction, whatever the configuration allows: what a redrive notes of
/// them must fit one header.
const RECORDS_MAX: u64 = 20_000;
/// The longest that a transaction stays open before it is committed.
const AGE_MAX: Duration = Duration::from_millis(500);
/// How long the brokers may take to answer one question.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a bookmark may be held by a transaction that is about to end, in milliseconds.
const BOOKMARK_WAIT_MS: u64 = 60_000;
/// How long to wait before a bookmark is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// A command's way into topics, one transaction after another.
#[derive(Debug)]
pub struct Mover {
    writer: Writer,
    records_max: u64,
    bytes_max: u64,
    open: Option<Open>,
}

/// What the open transaction holds.
#[derive(Debug)]
struct Open {
    began: Instant,
    n_records: u64,
    n_bytes: u64,
}

impl Mover {
    /// Fences an earlier run of the command and aborts the transaction that it may have left open.
    ///
    /// # Errors
    /// A sentence that says what the broker answered.
    pub fn connect(config: &Config, command: &str) -> Result<Self, String> {
        let identity = Identity::of_command(&config.kafka, command);
        let writer = Writer::connect(&config.kafka, &identity, || {})
            .map_err(|error| error.failure.to_string())?;
        let records_max = u64::from(config.processing.transaction_events_max).min(RECORDS_MAX);
        let bytes_max = u64::from(config.processing.transaction_bytes_max);
        Ok(Self { writer, records_max, bytes_max, open: None })
    }

    /// Adds a record to the open transaction, or to a new one.
    ///
    /// # Errors
    /// A sentence; what was open is dropped.
    pub fn send(&mut self, record: Addressed<'_>) -> Result<(), String> {
        if self.open.is_none() {
            self.writer.begin().map_err(|failure| failure.to_string())?;
            self.open = Some(Open { began: Instant::now(), n_records: 0, n_bytes: 0 });
        }
        if let Some(open) = &mut self.open {
            open.n_records += 1;
            open.n_bytes +=
                (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
        }
        self.writer.send(record).map_err(|failure| self.give_up(&failure))
    }

    /// Whether the open transaction is to be committed before more is added.
    pub fn is_due(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.n_records >= self.records_max
                || open.n_bytes >= self.bytes_max
                || open.began.elapsed() >= AGE_MAX
        })
    }

    /// Commits the open transaction, if there is one, and moves a bookmark with it.
    ///
    /// # Errors
    /// A sentence; what was open is dropped, or was committed after all: only a new run can tell.
    pub fn commit(&mut self, bookmark: Option<(&Bookmark, u64)>) -> Result<(), String> {
        if self.open.is_none() {
            return Ok(());
        }
        let deadline = Deadline::after(self.writer.transaction_timeout_ms());
        let outcome = self.writer.drain(deadline).and_then(|()| {
            if let Some((bookmark, n_done)) = bookmark {
                let offsets = bookmark.offsets(n_done).map_err(Failure::Fatal)?;
                let metadata = || bookmark.consumer.group_metadata();
                self.writer.send_offsets(&offsets, metadata, deadline)?;
            }
            self.writer.commit()
        });
        outcome.map_err(|failure| self.give_up(&failure))?;
        self.open = None;
        Ok(())
    }

    fn give_up(&mut self, failure: &Failure) -> String {
        self.open = None;
        if let Failure::Abort(..) = failure {
            // What cannot be aborted now, the next run aborts when it starts.
            self.writer.abort().ok();
        }
        failure.to_string()
    }
}

/// How far a piece of work has come: the offset that a consumer group of its own has committed for
/// the first partition of a topic. Nobody ever joins the group.
pub struct Bookmark {
    consumer: BaseConsumer<Quiet>,
    group: String,
    topic: String,
}

impl std::fmt::Debug for Bookmark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bookmark").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Bookmark {
    /// The bookmark that is kept under this group.
    ///
    /// # Errors
    /// What librdkafka says of the configuration.
    pub fn new(kafka: &Kafka, group: String, topic: &str) -> Result<Self, String> {
        let consumer = clients::reader(kafka, "read_committed")
            .set("group.id", &group)
            .create_with_context(Quiet)
            .map_err(|error| format!("failed to create a consumer: {error}"))?;
        Ok(Self { consumer, group, topic: topic.to_owned() })
    }

    /// How much is done; 0 where nothing was ever committed. It waits for transactions that are
    /// about to end, so it is to be called when no other run can open one.
    ///
    /// # Errors
    /// The group may not be read, or nothing answers.
    pub fn n_done(&self) -> Result<u64, String> {
        let deadline = Deadline::after(BOOKMARK_WAIT_MS);
        loop {
            match self.ask() {
                Ok(n_done) => return Ok(n_done),
                Err(error)
                    if deadline.is_over()
                        || error.rdkafka_error_code().is_some_and(clients::is_hopeless) =>
                {
                    return Err(format!("failed to read the offset of `{}`: {error}", self.group));
                }
                // Nothing is assigned: this only waits.
                Err(_) => drop(self.consumer.poll(ASK_AGAIN)),
            }
        }
    }

    fn ask(&self) -> Result<u64, KafkaError> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&self.topic, 0);
        let found = self.consumer.committed_offsets(partitions, ANSWER)?;
        let Some(found) = found.find_partition(&self.topic, 0) else { return Ok(0) };
        found.error()?;
        Ok(found.offset().to_raw().and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0))
    }

    fn offsets(&self, n_done: u64) -> Result<TopicPartitionList, String> {
        let mut offsets = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(n_done).unwrap_or(i64::MAX));
        offsets
            .add_partition_offset(&self.topic, 0, offset)
            .map_err(|error| format!("failed to name an offset: {error}"))?;
        Ok(offsets)
    }
}

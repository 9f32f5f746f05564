//! Reads a whole topic once: committed records only, up to where it ended when the scan was opened.
//! No group, no state. Called by `commands::redrive`, for dead letters and for the changelog.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tracing::warn;

use super::clients::{self, Quiet};
use super::{source, topics};
use crate::config::Kafka;
use crate::lifecycle::Shutdown;
use crate::record::dead_letter::Headers;

/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// How long an open transaction, or silence, may hold a scan up before a person is asked.
const PATIENCE: Duration = Duration::from_mins(2);

/// A topic up to an end.
#[derive(Debug)]
pub struct Scan {
    kafka: Kafka,
    topic: String,
    /// Where each partition began and ended, by number.
    bounds: Vec<(i64, i64)>,
}

/// A record as it lies in its topic.
#[derive(Clone, Debug)]
pub struct Lying<'a> {
    /// The partition.
    pub partition: i32,
    /// Its own offset.
    pub offset: i64,
    /// Its Kafka timestamp, milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub payload: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers,
}

impl Scan {
    /// Learns where the topic ends, as uncommitted readers see it, and waits until all of that is
    /// committed or aborted.
    ///
    /// # Errors
    /// The topic is missing, no broker answers, or a transaction stays open.
    pub fn open(kafka: &Kafka, topic: &str, shutdown: &Shutdown) -> Result<Self, String> {
        let n_partitions = topics::partitions(kafka, topic)?;
        let (all, committed) = (asker(kafka, "read_uncommitted")?, asker(kafka, "read_committed")?);
        let ask = |asker: &BaseConsumer<Quiet>, partition| {
            asker
                .fetch_watermarks(topic, partition, ANSWER)
                .map_err(|error| format!("failed to ask where `{topic}` ends: {error}"))
        };
        let bounds: Vec<(i64, i64)> =
            (0..n_partitions).map(|partition| ask(&all, partition)).collect::<Result<_, _>>()?;
        let began = Instant::now();
        for (partition, (_, end)) in (0..n_partitions).zip(&bounds) {
            loop {
                let (_, stable) = ask(&committed, partition)?;
                if stable >= *end {
                    break;
                }
                if began.elapsed() > PATIENCE {
                    return Err(format!(
                        "an open transaction holds partition `{partition}` of `{topic}` at offset \
                         `{stable}` of `{end}`; find and abort it (kafka-transactions.sh)"
                    ));
                }
                if shutdown.wait(POLL) {
                    return Err(format!("stopped while `{topic}` had open transactions"));
                }
            }
        }
        Ok(Self { kafka: kafka.clone(), topic: topic.to_owned(), bounds })
    }

    /// How many records there are at most.
    pub fn n_records_max(&self) -> u64 {
        self.bounds.iter().map(|(low, end)| u64::try_from(end - low).unwrap_or(0)).sum()
    }

    /// Gives each record to `take`, in the order of each partition's offsets, until it breaks off,
    /// a shutdown is requested or all are read; returns whether all were.
    ///
    /// # Errors
    /// The topic cannot be read, or what `take` says.
    pub fn read(
        &self,
        shutdown: &Shutdown,
        mut take: impl FnMut(Lying<'_>) -> Result<ControlFlow<()>, String>,
    ) -> Result<bool, String> {
        let topic = &self.topic;
        let failed = |error: KafkaError| format!("failed to read `{topic}`: {error}");
        let consumer = asker(&self.kafka, "read_committed")?;
        let (mut partitions, mut open) = (TopicPartitionList::new(), BTreeSet::new());
        for (partition, (low, end)) in (0_i32..).zip(&self.bounds) {
            if low < end {
                let at = Offset::Beginning;
                partitions.add_partition_offset(topic, partition, at).map_err(failed)?;
                open.insert(partition);
            }
        }
        consumer.assign(&partitions).map_err(failed)?;
        let mut heard = Instant::now();
        while !open.is_empty() {
            if shutdown.is_requested() {
                return Ok(false);
            }
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    let end = usize::try_from(partition).ok().and_then(|i| self.bounds.get(i));
                    let end = end.map_or(0, |(_, end)| *end);
                    if offset < end && take(lying(&message))?.is_break() {
                        return Ok(false);
                    }
                    if offset >= end - 1 {
                        open.remove(&partition);
                    }
                }
                // Everything up to the end asked for was stable before: so all of it is read.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    heard = Instant::now();
                    open.remove(&partition);
                }
                Some(Err(error))
                    if error.rdkafka_error_code().is_some_and(clients::is_hopeless) =>
                {
                    return Err(failed(error));
                }
                Some(Err(error)) => warn!(%error, "failed to poll; the client tries again"),
                None => {}
            }
            if heard.elapsed() > PATIENCE {
                return Err(format!(
                    "nothing more came of `{topic}` for {} s; are the brokers up?",
                    PATIENCE.as_secs()
                ));
            }
        }
        Ok(true)
    }
}

fn lying<'a>(message: &'a BorrowedMessage<'_>) -> Lying<'a> {
    Lying {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key(),
        payload: message.payload(),
        headers: message.headers().map(source::headers).unwrap_or_default(),
    }
}

fn asker(kafka: &Kafka, isolation: &str) -> Result<BaseConsumer<Quiet>, String> {
    clients::reader(kafka, isolation)
        .create_with_context(Quiet)
        .map_err(|error| format!("failed to create a consumer: {error}"))
}

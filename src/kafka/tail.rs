//! A plain reader of whole topics, from their beginning on, as any other program would read them:
//! committed records only, no group. Called by `demo`.

use std::fmt;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};

use super::clients::{self, Quiet};
use crate::config::Kafka;

/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A reader of some topics.
pub struct Tail {
    consumer: BaseConsumer<Quiet>,
    /// Asks where topics end: a question of the reading client waits behind its open fetch.
    asker: BaseConsumer<Quiet>,
}

/// Where partitions ended when it was asked.
#[derive(Clone, Debug)]
pub struct Ends(Vec<(String, i32, i64)>);

/// What a tail reads.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Where it lay.
    pub topic: &'a str,
    /// The record's value; absent in a tombstone.
    pub payload: Option<&'a [u8]>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").finish_non_exhaustive()
    }
}

impl Tail {
    /// A reader at the beginning of all partitions of `topics`.
    ///
    /// # Errors
    /// A topic is missing, or no broker answers.
    pub fn open(kafka: &Kafka, topics: &[&str]) -> Result<Self, String> {
        let create = || -> Result<BaseConsumer<Quiet>, String> {
            clients::reader(kafka, "read_committed")
                .create_with_context(Quiet)
                .map_err(|error| format!("failed to create a consumer: {error}"))
        };
        let (consumer, asker) = (create()?, create()?);
        let mut partitions = TopicPartitionList::new();
        for topic in topics {
            let refused = |error| format!("failed to read topic `{topic}`: {error}");
            let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(refused)?;
            for found in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
                partitions
                    .add_partition_offset(topic, found.id(), Offset::Beginning)
                    .map_err(refused)?;
            }
        }
        consumer
            .assign(&partitions)
            .map_err(|error| format!("failed to read `{}`: {error}", topics.join("`, `")))?;
        Ok(Self { consumer, asker })
    }

    /// Gives the next record to `take`, and returns whether there was one; waits for it no longer
    /// than `wait`.
    ///
    /// # Errors
    /// None but those of `take`: the client tries again by itself.
    pub fn next(
        &self,
        wait: Duration,
        take: impl FnOnce(Found<'_>) -> Result<(), String>,
    ) -> Result<bool, String> {
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                take(Found { topic: message.topic(), payload: message.payload() })?;
                return Ok(true);
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => {
                clients::log_passing(&error, "failed to poll; the client tries again");
            }
        }
        Ok(false)
    }

    /// Where the topics end now.
    ///
    /// # Errors
    /// A broker does not answer.
    pub fn ends(&self) -> Result<Ends, String> {
        let refused = |error| format!("failed to ask where topics end: {error}");
        let assigned = self.consumer.assignment().map_err(refused)?;
        let mut ends = Vec::with_capacity(assigned.count());
        for at in assigned.elements() {
            let (topic, partition) = (at.topic(), at.partition());
            let (low, end) =
                self.asker.fetch_watermarks(topic, partition, ANSWER).map_err(refused)?;
            if low < end {
                ends.push((topic.to_owned(), partition, end));
            }
        }
        Ok(Ends(ends))
    }

    /// Whether everything before these ends was given out. Positions are compared, for the last
    /// thing before an end need not be a record.
    ///
    /// # Errors
    /// None that a reader with its partitions assigned is known to meet.
    pub fn has_reached(&self, ends: &Ends) -> Result<bool, String> {
        let positions = self
            .consumer
            .position()
            .map_err(|error| format!("failed to tell how far it was read: {error}"))?;
        Ok(ends.0.iter().all(|(topic, partition, end)| {
            let at = positions.find_partition(topic, *partition);
            at.and_then(|at| at.offset().to_raw()).is_some_and(|next| next >= *end)
        }))
    }
}

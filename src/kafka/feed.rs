//! A plain producer of input records with timestamps of their own: no transactions, no processor.
//! Called by `demo` and `load`.

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::clients;
use crate::config::Kafka;

/// How long the way to the broker may stay full.
const FULL_MAX: Duration = Duration::from_secs(30);
/// How long one wait for acknowledgements lasts before there is another try.
const POLL: Duration = Duration::from_millis(10);

/// A producer into the input topic.
pub struct Feed {
    producer: BaseProducer,
    topic: String,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Feed {
    /// A producer that keeps the order of each key and spreads keys as Java producers do.
    ///
    /// # Errors
    /// What librdkafka says of the configuration.
    pub fn new(kafka: &Kafka) -> Result<Self, String> {
        let producer = clients::bare(kafka)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("partitioner", "murmur2_random")
            .create()
            .map_err(|error| format!("failed to create a producer: {error}"))?;
        Ok(Self { producer, topic: kafka.input_topic.clone() })
    }

    /// Hands a record over; waits while the way to the broker is full.
    ///
    /// # Errors
    /// The record cannot be sent.
    pub fn send(&self, key: &[u8], payload: &[u8], timestamp_ms: i64) -> Result<(), String> {
        let began = Instant::now();
        let topic = &self.topic;
        let mut record =
            BaseRecord::to(topic.as_str()).key(key).payload(payload).timestamp(timestamp_ms);
        while let Err((error, unsent)) = self.producer.send(record) {
            let is_full =
                matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            if !is_full || began.elapsed() > FULL_MAX {
                return Err(format!("failed to send a record to `{topic}`: {error}"));
            }
            self.producer.poll(POLL);
            record = unsent;
        }
        Ok(())
    }

    /// Serves acknowledgements for as long as that.
    pub fn wait(&self, wait: Duration) {
        self.producer.poll(wait);
    }

    /// Waits until everything is acknowledged.
    ///
    /// # Errors
    /// It was not within `within`.
    pub fn flush(&self, within: Duration) -> Result<(), String> {
        let topic = &self.topic;
        self.producer
            .flush(within)
            .map_err(|error| format!("records to `{topic}` were not acknowledged: {error}"))
    }
}

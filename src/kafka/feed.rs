//! A plain producer of input records with timestamps of their own: no transactions, no processor.
//! Called by `demo` and `load`.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::clients;
use super::refusal::{Refusal, Use, missing_right};
use super::span::Spans;
use super::topics;
use crate::config::Kafka;

/// The header of what is sent here, so that it is told from a real shop's.
const SIMULATED: &str = "lifetide.simulated";
/// Offsets at the end of each partition at which [`stranger`] looks.
const LOOKED_AT_OFFSETS: i64 = 200;

/// How long the way to the broker may stay full.
const FULL_MAX: Duration = Duration::from_secs(30);
/// How long one wait for acknowledgements lasts before there is another try.
const POLL: Duration = Duration::from_millis(10);

/// A producer into the input topic.
pub struct Feed {
    producer: BaseProducer<Undelivered>,
    topic: String,
    group_id: String,
}

/// Why the first record that did not arrive did not.
#[derive(Clone, Debug, Default)]
struct Undelivered(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Undelivered {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        clients::log_line(level, facility, message);
    }
}

impl ProducerContext for Undelivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result
            && let Ok(mut first) = self.0.lock()
        {
            first.get_or_insert_with(|| error.clone());
        }
    }
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
            .create_with_context(Undelivered::default())
            .map_err(|error| format!("failed to create a producer: {error}"))?;
        let (topic, group_id) = (kafka.input_topic.clone(), kafka.group_id.clone());
        Ok(Self { producer, topic, group_id })
    }

    /// Hands a record over; waits while the way to the broker is full.
    ///
    /// # Errors
    /// The record cannot be sent, or an earlier one has not arrived.
    pub fn send(&self, key: &[u8], payload: &[u8], timestamp_ms: i64) -> Result<(), String> {
        self.arrived()?;
        let began = Instant::now();
        let topic = &self.topic;
        let mark = OwnedHeaders::new_with_capacity(1)
            .insert(Header { key: SIMULATED, value: None::<&[u8]> });
        let mut record = BaseRecord::to(topic.as_str())
            .key(key)
            .payload(payload)
            .timestamp(timestamp_ms)
            .headers(mark);
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
    /// It was not within `within`, or a record was refused.
    pub fn flush(&self, within: Duration) -> Result<(), String> {
        let topic = &self.topic;
        self.producer
            .flush(within)
            .map_err(|error| format!("records to `{topic}` were not acknowledged: {error}"))?;
        self.arrived()
    }

    /// Whether all that was heard of so far has arrived.
    fn arrived(&self) -> Result<(), String> {
        let first = self.producer.context().0.lock().ok().and_then(|mut first| first.take());
        let Some(error) = first else { return Ok(()) };
        let (topic, code) = (&self.topic, error.rdkafka_error_code());
        let right = code.and_then(|it| missing_right(it, &self.group_id, (topic, Use::Write)));
        let other = || format!("a record to `{topic}` did not arrive: {error}");
        Err(right.map_or_else(other, Refusal::sentence))
    }
}

/// Partition and offset of one of the input topic's newest records that no [`Feed`] has sent.
///
/// # Errors
/// The topic cannot be read.
pub fn stranger(kafka: &Kafka) -> Result<Option<(i32, i64)>, String> {
    let topic = &kafka.input_topic;
    let spans = Spans::new(kafka)?;
    let mut found = None;
    for number in 0..topics::partitions(kafka, topic)? {
        let (low, end) = spans.bounds(topic, number)?;
        let from = low.max(end.saturating_sub(LOOKED_AT_OFFSETS));
        spans.read(topic, number, (from, end), |message| {
            if !is_simulated(message) {
                found = Some((number, message.offset()));
            }
            Ok(())
        })?;
    }
    Ok(found)
}

fn is_simulated(message: &BorrowedMessage<'_>) -> bool {
    message.headers().is_some_and(|headers| headers.iter().any(|it| it.key == SIMULATED))
}

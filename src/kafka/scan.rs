//! Reads a whole topic once: committed records only, up to where it ended when the scan was opened.
//! No group, no state. Called by `commands::redrive`, for dead letters and for the changelog.

use std::ops::ControlFlow;

use rdkafka::message::{BorrowedMessage, Message};

use super::span::Spans;
use super::{source, topics};
use crate::config::Kafka;
use crate::lifecycle::Shutdown;
use crate::record::dead_letter::Headers;

/// A topic up to an end.
#[derive(Debug)]
pub struct Scan {
    spans: Spans,
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
    pub fn open(kafka: &Kafka, topic: &str) -> Result<Self, String> {
        let spans = Spans::new(kafka)?;
        let numbers = 0..topics::partitions(kafka, topic)?;
        let bounds = numbers.map(|number| spans.bounds(topic, number)).collect::<Result<_, _>>()?;
        Ok(Self { spans, topic: topic.to_owned(), bounds })
    }

    /// How many records there are at most.
    pub fn n_records_max(&self) -> u64 {
        self.bounds.iter().map(|(low, end)| u64::try_from(end - low).unwrap_or(0)).sum()
    }

    /// Gives each record to `take`, by partition in the order of offsets, until it breaks off, a
    /// shutdown is requested or all are read; returns whether all were.
    ///
    /// # Errors
    /// The topic cannot be read, or what `take` says.
    pub fn read(
        &self,
        shutdown: &Shutdown,
        mut take: impl FnMut(Lying<'_>) -> Result<ControlFlow<()>, String>,
    ) -> Result<bool, String> {
        for (partition, bounds) in (0_i32..).zip(&self.bounds) {
            let flow = self.spans.read_while(&self.topic, partition, *bounds, |message| {
                if shutdown.is_requested() {
                    return Ok(ControlFlow::Break(()));
                }
                take(lying(message))
            })?;
            if flow.is_break() || shutdown.is_requested() {
                return Ok(false);
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

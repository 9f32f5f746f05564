//! Reads the signals topic for those who watch it over HTTP: committed records only, no group, from
//! a bounded way before the ends on. While nobody watches it reads nothing and needs no right. Run
//! on a thread of its own by `service`; it ends with the shutdown.

use std::time::{Duration, Instant};

use crossbeam_channel::select;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::de::IgnoredAny;
use tracing::{debug, info, warn};

use super::clients::{self, Quiet, is_hopeless};
use super::refusal::{Refusal, Use, missing_right};
use super::topics;
use crate::broadcast::{Air, Broadcast, Opening, Signal};
use crate::config::Kafka;
use crate::lifecycle::Shutdown;

/// How far before its end a partition is read: twice what is held, for each signal may have the
/// mark of its transaction behind it.
const BACK_MAX: i64 = 2000;
/// … with many partitions less of each, so that a reading begins with no more records than this.
const BACK_TOTAL_MAX: i64 = 64_000;
/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the beginning may take.
const OPENING_MAX: Duration = Duration::from_secs(15);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// How long a reading goes on for those who come back.
const UNWATCHED_MAX: Duration = Duration::from_mins(1);
/// A signal takes about one KiB; a record of somebody else may be anything.
const SIGNAL_BYTES_MAX: usize = 64 * 1024;
/// How often the partitions are counted again.
const COUNT_INTERVAL: Duration = Duration::from_secs(30);

/// Reads while somebody watches, until shutdown.
pub fn run(kafka: &Kafka, broadcast: &Broadcast, shutdown: &Shutdown) {
    // Who watches tries again and again.
    let mut told = String::new();
    loop {
        select! {
            recv(broadcast.demand()) -> _ => {}
            recv(shutdown.channel()) -> _ => {}
        }
        if shutdown.is_requested() {
            return;
        }
        let reading = Reading::open(kafka).and_then(|reading| reading.run(broadcast, shutdown));
        match reading {
            Ok(()) => {
                told.clear();
                broadcast.end();
            }
            Err(why) => {
                if told != why {
                    warn!("nobody can watch signals: {why}");
                }
                broadcast.refuse(&why);
                told = why;
            }
        }
    }
}

struct Reading<'a> {
    kafka: &'a Kafka,
    consumer: BaseConsumer<Quiet>,
    /// Where each partition is begun and where it ended.
    bounds: Vec<(i64, i64)>,
    /// Records that are no signals are told of once.
    has_told: bool,
}

/// What a look at the topic has brought.
enum Found {
    Signal(i64, Signal),
    /// Everything before an offset was read.
    Passed(usize, i64),
    /// The partition has nothing more.
    End(usize),
    Nothing,
    /// The position is gone: retention was faster, or the topic is another one.
    Lost,
}

impl<'a> Reading<'a> {
    fn open(kafka: &'a Kafka) -> Result<Self, String> {
        let topic = &kafka.signals_topic;
        let n_partitions = topics::partitions(kafka, topic)?;
        let consumer: BaseConsumer<Quiet> = clients::reader(kafka, "read_committed")
            .create_with_context(Quiet)
            .map_err(|error| format!("failed to create a consumer: {error}"))?;
        let refused = |error| format!("failed to read topic `{topic}`: {error}");
        let back = (BACK_TOTAL_MAX / i64::from(n_partitions.max(1))).clamp(1, BACK_MAX);
        let mut bounds = Vec::new();
        let mut list = TopicPartitionList::new();
        for partition in 0..n_partitions {
            let (low, end) =
                consumer.fetch_watermarks(topic, partition, ANSWER).map_err(refused)?;
            let begin = low.max(end - back);
            bounds.push((begin, end));
            list.add_partition_offset(topic, partition, Offset::Offset(begin)).map_err(refused)?;
        }
        consumer.assign(&list).map_err(refused)?;
        Ok(Self { kafka, consumer, bounds, has_told: false })
    }

    /// Until nobody watches, or until who watches must come again.
    fn run(mut self, broadcast: &Broadcast, shutdown: &Shutdown) -> Result<(), String> {
        let Some(opening) = self.begin(shutdown)? else { return Ok(()) };
        let air = broadcast.begin(opening);
        info!(topic = self.kafka.signals_topic, "reading signals for those who watch");
        let (mut watched_at, mut counted_at) = (Instant::now(), Instant::now());
        while !shutdown.is_requested() {
            if !self.turn(&air)? {
                return Ok(());
            }
            if broadcast.n_watching() > 0 {
                watched_at = Instant::now();
            } else if watched_at.elapsed() > UNWATCHED_MAX && broadcast.end_unwatched() {
                info!("nobody watches signals any more");
                return Ok(());
            }
            if counted_at.elapsed() > COUNT_INTERVAL {
                counted_at = Instant::now();
                if self.has_more_partitions() {
                    info!("the signals topic has more partitions; who watches must come again");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads up to where the partitions ended; `None` when a shutdown broke it off.
    fn begin(&mut self, shutdown: &Shutdown) -> Result<Option<Opening>, String> {
        let mut opening = Opening::new(&self.bounds);
        let (began, topic) = (Instant::now(), &self.kafka.signals_topic.clone());
        while !opening.is_complete() {
            if shutdown.is_requested() {
                return Ok(None);
            }
            if began.elapsed() > OPENING_MAX {
                return Err(format!(
                    "topic `{topic}` was not read to its end within `{}` s; the brokers may be \
                     away",
                    OPENING_MAX.as_secs()
                ));
            }
            match self.look()? {
                Found::Signal(written_ms, signal) => opening.push(written_ms, signal),
                Found::Passed(partition, offset_next) => opening.pass(partition, offset_next),
                Found::End(partition) => opening.end(partition),
                Found::Nothing => {}
                Found::Lost => {
                    return Err(format!("records of topic `{topic}` are deleted unread"));
                }
            }
        }
        Ok(Some(opening))
    }

    /// Sends out what comes next; returns whether the reading can go on.
    fn turn(&mut self, air: &Air) -> Result<bool, String> {
        match self.look()? {
            Found::Signal(_, signal) => air.push(signal),
            Found::Passed(partition, offset_next) => air.pass(partition, offset_next),
            Found::End(_) | Found::Nothing => {}
            Found::Lost => return Ok(false),
        }
        Ok(true)
    }

    fn look(&mut self) -> Result<Found, String> {
        let error = match self.consumer.poll(POLL) {
            None => return Ok(Found::Nothing),
            Some(Ok(message)) => {
                let found = found(&message);
                if let Found::Passed(partition, _) = found
                    && !self.has_told
                {
                    self.has_told = true;
                    let offset = message.offset();
                    warn!(partition, offset, "skipped a record of the signals topic: no signal");
                }
                return Ok(found);
            }
            Some(Err(error)) => error,
        };
        if let KafkaError::PartitionEOF(partition) = error {
            return Ok(self.ended(partition));
        }
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if code == RDKafkaErrorCode::AutoOffsetReset {
            return Ok(Found::Lost);
        }
        if is_hopeless(code) {
            let topic = &self.kafka.signals_topic;
            let right = missing_right(code, &self.kafka.group_id, (topic, Use::Read));
            let other = || Refusal::new(format!("failed to read topic `{topic}`: {error}"));
            return Err(right.unwrap_or_else(other).sentence());
        }
        debug!(%error, "failed to poll for signals; the client tries again");
        Ok(Found::Nothing)
    }

    /// Marks of transactions lie behind the last record: only the position tells of them.
    fn ended(&self, partition: i32) -> Found {
        let Ok(number) = usize::try_from(partition) else { return Found::Nothing };
        let positions = self.consumer.position().ok();
        let at = positions.as_ref().and_then(|positions| {
            positions.find_partition(&self.kafka.signals_topic, partition)?.offset().to_raw()
        });
        match at {
            Some(offset_next) if offset_next >= 0 => Found::Passed(number, offset_next),
            Some(_) | None => Found::End(number),
        }
    }

    /// An answer that does not come says nothing.
    fn has_more_partitions(&self) -> bool {
        let topic = &self.kafka.signals_topic;
        self.consumer.fetch_metadata(Some(topic), ANSWER).is_ok_and(|metadata| {
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            found.is_some_and(|found| found.partitions().len() > self.bounds.len())
        })
    }
}

fn found(message: &BorrowedMessage<'_>) -> Found {
    let Ok(partition) = usize::try_from(message.partition()) else { return Found::Nothing };
    let offset = message.offset();
    match message.payload().and_then(one_line) {
        Some(json) => {
            let signal = Signal { partition, offset, json: json.into() };
            Found::Signal(message.timestamp().to_millis().unwrap_or(0), signal)
        }
        None => Found::Passed(partition, offset + 1),
    }
}

/// The value of a record that goes out as it is. Somebody else's may be anything.
fn one_line(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok().filter(|it| it.len() <= SIGNAL_BYTES_MAX)?;
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    (is_json && !text.contains(['\n', '\r'])).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_one_line_goes_out() {
        let check = |payload: &[u8], expect: bool| {
            assert_eq!(one_line(payload).is_some(), expect, "{payload:?}");
        };
        check(br#"{"kind":"lapse"}"#, true);
        check(br#"{"sentence":"a\nb"}"#, true);
        check(b"{\n}", false);
        check(b"{}\r", false);
        check(b"", false);
        check(b"event: forged", false);
        check(b"\"\xff\"", false);
        let long = |n_bytes: usize| format!("\"{}\"", "x".repeat(n_bytes - 2)).into_bytes();
        check(&long(SIGNAL_BYTES_MAX), true);
        check(&long(SIGNAL_BYTES_MAX + 1), false);
    }
}

//! Reads stretches of single partitions: committed records only, from an offset to where everything
//! was stable. No group, no state. Called by `scan`, `repartition`, and whoever must know a marker.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::clients::{self, Quiet};
use super::refusal::{Use, missing_right};
use super::topics;
use crate::config::Kafka;
use crate::record::changelog::Key;
use crate::record::marker::Marker;

/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// How long an open transaction, or silence, may hold a reading up before a person is asked.
const PATIENCE: Duration = Duration::from_mins(2);
/// Offsets before the end in which a marker is looked for first: each transaction ends with one.
const TAIL_OFFSETS: i64 = 64;
/// … and how many times as far back the next look goes.
const TAIL_STEP: i64 = 16;

/// A reader of single partitions.
pub struct Spans {
    reader: BaseConsumer<Quiet>,
    /// Ask where partitions end: a question of the reading client waits behind its open fetch.
    committed: BaseConsumer<Quiet>,
    uncommitted: BaseConsumer<Quiet>,
    /// Of whose rights a refusal speaks.
    group_id: String,
}

impl std::fmt::Debug for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spans").finish_non_exhaustive()
    }
}

impl Spans {
    /// A reader with clients of its own.
    ///
    /// # Errors
    /// What librdkafka says of the configuration.
    pub fn new(kafka: &Kafka) -> Result<Self, String> {
        let create = |isolation: &str| -> Result<BaseConsumer<Quiet>, String> {
            clients::reader(kafka, isolation)
                .create_with_context(Quiet)
                .map_err(|error| format!("failed to create a consumer: {error}"))
        };
        Ok(Self {
            reader: create("read_committed")?,
            committed: create("read_committed")?,
            uncommitted: create("read_uncommitted")?,
            group_id: kafka.group_id.clone(),
        })
    }

    /// The newest marker of the first partition of the changelog that has one. One speaks for all:
    /// a new partition count is written to every partition in one transaction.
    ///
    /// # Errors
    /// No broker answers, or the marker is of another version.
    pub fn marker(&self, kafka: &Kafka) -> Result<Option<Marker>, String> {
        let topic = &kafka.changelog_topic;
        for partition in 0..topics::partitions(kafka, topic)? {
            let (low, stable) = ask(&self.committed, topic, partition)?;
            let mut reach = TAIL_OFFSETS;
            let mut end = stable;
            while end > low {
                let from = low.max(stable.saturating_sub(reach));
                let mut found = None;
                self.read(topic, partition, (from, end), |message| {
                    if message.key().map(Key::read) == Some(Ok(Key::Marker)) {
                        found = message.payload().map(<[u8]>::to_vec);
                    }
                    Ok(())
                })?;
                if let Some(json) = found {
                    let place = |fault| format!("marker of partition `{partition}`: {fault}");
                    return Marker::read(&json).map(Some).map_err(place);
                }
                end = from;
                reach = reach.saturating_mul(TAIL_STEP);
            }
        }
        Ok(None)
    }

    /// The oldest offset of a partition and its end, once everything up to there is stable.
    ///
    /// # Errors
    /// No broker answers, or a transaction stays open.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), String> {
        let (low, end) = ask(&self.uncommitted, topic, partition)?;
        let began = Instant::now();
        loop {
            let (_, stable) = ask(&self.committed, topic, partition)?;
            if stable >= end {
                return Ok((low, end));
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "an open transaction holds partition `{partition}` of `{topic}` at offset \
                     `{stable}` of `{end}`; one of an interrupted `lifetide repartition` ends when \
                     that is run again with `--write`, others with kafka-transactions.sh"
                ));
            }
            // Nothing is assigned: this only waits.
            self.committed.poll(POLL);
        }
    }

    /// The offset that the group has committed for a partition.
    ///
    /// # Errors
    /// The group may not be read, or nothing answers.
    pub(super) fn committed(&self, topic: &str, partition: i32) -> Result<Option<i64>, String> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(topic, partition);
        let ask = || {
            let found = self.committed.committed_offsets(partitions, ANSWER)?;
            let Some(found) = found.find_partition(topic, partition) else { return Ok(None) };
            found.error()?;
            Ok(if let Offset::Offset(next) = found.offset() { Some(next) } else { None })
        };
        ask().map_err(|error: KafkaError| format!("failed to ask for the group's offsets: {error}"))
    }

    /// Gives `take` what is committed from the first offset up to the second, which is stable.
    ///
    /// # Errors
    /// Those of `take`; the topic may not be read, or nothing comes.
    pub(super) fn read(
        &self,
        topic: &str,
        partition: i32,
        bounds: (i64, i64),
        mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let all = |message: &BorrowedMessage<'_>| take(message).map(ControlFlow::Continue);
        self.read_while(topic, partition, bounds, all).map(drop)
    }

    /// The same until `take` breaks off; says whether it did.
    ///
    /// # Errors
    /// Those of `take`; the topic may not be read, or nothing comes.
    pub(super) fn read_while(
        &self,
        topic: &str,
        partition: i32,
        (from, end): (i64, i64),
        mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<ControlFlow<()>, String>,
    ) -> Result<ControlFlow<()>, String> {
        if from >= end {
            return Ok(ControlFlow::Continue(()));
        }
        let failed = |error: KafkaError| {
            let code = error.rdkafka_error_code();
            match code.and_then(|code| missing_right(code, &self.group_id, (topic, Use::Read))) {
                Some(refusal) => refusal.sentence(),
                None => format!("failed to read partition `{partition}` of `{topic}`: {error}"),
            }
        };
        let assign = |next: i64| {
            let mut partitions = TopicPartitionList::new();
            partitions
                .add_partition_offset(topic, partition, Offset::Offset(next))
                .and_then(|()| self.reader.assign(&partitions))
                .map_err(failed)
        };
        assign(from)?;
        let (mut heard, mut next, mut is_confirmed) = (Instant::now(), from, false);
        let mut flow = ControlFlow::Continue(());
        loop {
            match self.reader.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    next = message.offset() + 1;
                    if message.offset() < end {
                        flow = take(&message)?;
                    }
                    if flow.is_break() || message.offset() >= end - 1 {
                        break;
                    }
                }
                // Everything up to the end asked for was stable before: so all of it is read,
                // unless a new leader has answered that knows less yet. It gives no end then, so
                // once it has given one its word counts.
                Some(Err(KafkaError::PartitionEOF(_))) if is_confirmed => break,
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    ask(&self.committed, topic, partition)?;
                    is_confirmed = true;
                    assign(next)?;
                }
                Some(Err(error))
                    if error.rdkafka_error_code().is_some_and(clients::is_hopeless) =>
                {
                    return Err(failed(error));
                }
                Some(Err(error)) => {
                    clients::log_passing(&error, "failed to poll; the client tries again");
                }
                None if heard.elapsed() > PATIENCE => {
                    let silence_s = PATIENCE.as_secs();
                    return Err(format!(
                        "nothing more came of partition `{partition}` of `{topic}` for \
                         {silence_s} s; are the brokers up?"
                    ));
                }
                None => {}
            }
        }
        self.reader.unassign().map_err(failed)?;
        Ok(flow)
    }
}

fn ask(asker: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> Result<(i64, i64), String> {
    asker.fetch_watermarks(topic, partition, ANSWER).map_err(|error| {
        format!("failed to ask where partition `{partition}` of `{topic}` ends: {error}")
    })
}

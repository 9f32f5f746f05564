//! Writes what the survey has decided, in one transaction: state, unread events, markers, offsets.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tracing::info;

use super::Repartition;
use super::fence::Fence;
use super::survey::{self, Found, Survey};
use crate::engine::Failure;
use crate::kafka::clients::Identity;
use crate::kafka::source;
use crate::kafka::writer::{Addressed, Deadline, Writer};
use crate::record::changelog::Key;
use crate::record::erased;
use crate::record::marker::Marker;

/// How long the transaction may take: what brokers allow unless told otherwise.
const TRANSACTION_TIMEOUT_MS: u32 = 900_000;

/// The command's name, and so its identity.
const COMMAND: &str = "repartition";

/// The way out.
pub(super) struct Rewrite<'a> {
    job: &'a Repartition<'a>,
    writer: RefCell<Writer>,
}

impl<'a> Rewrite<'a> {
    /// Fences an earlier run and ends the transaction that it may have left open.
    pub(super) fn connect(job: &'a Repartition<'a>) -> Result<Self, String> {
        let identity = Identity::of_command(job.kafka, COMMAND);
        let mut kafka = job.kafka.clone();
        kafka.transaction_timeout_ms = TRANSACTION_TIMEOUT_MS;
        let writer = Writer::connect(&kafka, &identity, || {})
            .or_else(|error| match error.answer {
                // What lanes are given is known to be allowed.
                Some(RDKafkaErrorCode::InvalidTransactionTimeout) => {
                    Writer::connect(job.kafka, &identity, || {})
                }
                _ => Err(error),
            })
            .map_err(|error| error.failure.to_string())?;
        Ok(Self { job, writer: RefCell::new(writer) })
    }

    /// Writes everything, or nothing.
    pub(super) fn run(&self, survey: &Survey, fence: &Fence) -> Result<(), String> {
        let (n_before, n_after) = (self.job.ground.n_partitions, self.job.n_after);
        info!(n_before, n_after, "rewriting in one transaction");
        self.writer.borrow().begin().map_err(|failure| failure.to_string())?;
        let outcome = self.fill(survey).and_then(|()| {
            let offsets = self.offsets(survey)?;
            let writer = self.writer.borrow();
            let deadline = Deadline::after(writer.transaction_timeout_ms());
            writer
                .drain(deadline)
                .and_then(|()| writer.send_offsets(&offsets, || Some(fence.metadata()), deadline))
                .and_then(|()| writer.commit())
                .map_err(|failure| self.explain(&failure))
        });
        if outcome.is_err() {
            // What cannot be aborted now, the next run aborts when it starts.
            self.writer.borrow().abort().ok();
        }
        outcome
    }

    fn fill(&self, survey: &Survey) -> Result<(), String> {
        for found in &survey.partitions {
            self.move_state(survey, found)?;
        }
        let touched = || survey.partitions.iter().filter(|it| survey.tally.touches(it.number));
        let (mut n_sent, n_unread) = (0, touched().map(|found| found.n_unread).sum::<u64>());
        // Misplaced events first: they are older than what the new count has placed.
        for misplaced in [true, false] {
            for found in touched() {
                n_sent += self.send_again(survey, found, misplaced)?;
            }
        }
        // Retention may have taken some since they were counted.
        if n_sent != n_unread {
            return Err(format!(
                "of `{n_unread}` unread events `{n_sent}` could be read again; nothing was \
                 changed: raise the retention of `{}` and run it again",
                self.job.kafka.input_topic
            ));
        }
        survey.partitions.iter().try_for_each(|found| self.mark(survey, found))
    }

    fn move_state(&self, survey: &Survey, found: &Found) -> Result<(), String> {
        let number = found.number;
        let mut remembered = BTreeMap::new();
        if number < self.job.ground.n_partitions {
            let restored = survey::restore(self.job, found)?;
            let mut outcome = Ok(());
            restored.customers.visit_all(|entry| {
                let target = survey.tally.target(entry.id.as_bytes());
                if target != number && outcome.is_ok() {
                    let key = Key::Customer(entry.id).write();
                    outcome = self
                        .log(target, &key, Some(entry.value))
                        .and_then(|()| self.log(number, &key, None));
                }
            });
            outcome?;
            for key in restored.mending.iter().flat_map(|mending| &mending.discard) {
                self.log(number, key, None)?;
            }
            remembered = restored.erased;
        }
        for (hash, at_ms) in &survey.erased {
            if remembered.get(hash) != Some(at_ms) {
                self.log(number, &Key::Erased(*hash).write(), Some(&erased::encode(*at_ms)))?;
            }
        }
        Ok(())
    }

    fn send_again(&self, survey: &Survey, found: &Found, misplaced: bool) -> Result<u64, String> {
        let topic = &self.job.kafka.input_topic;
        let mut n_sent = 0;
        self.job.spans.read(topic, found.number, (found.from, found.end), |message| {
            let target = survey.tally.target_of_event(message.key(), found.number);
            if (target != found.number) != misplaced {
                return Ok(());
            }
            n_sent += 1;
            let headers = message.headers().map(source::headers).unwrap_or_default();
            let record = Addressed {
                topic,
                partition: Some(target),
                key: message.key(),
                value: message.payload(),
                headers: &headers,
            };
            let timestamp_ms = message.timestamp().to_millis();
            let sent = self.writer.borrow_mut().send_dated(record, timestamp_ms);
            sent.map_err(|failure| self.explain(&failure))
        })?;
        (self.job.tell)("sending events again", n_sent);
        Ok(n_sent)
    }

    /// Last of all in each partition, as at the end of every transaction.
    fn mark(&self, survey: &Survey, found: &Found) -> Result<(), String> {
        let ground = &self.job.ground;
        let model = || self.job.pipeline.model_label().to_owned();
        let marker = Marker {
            stream_time_ms: found.stream_time_ms.or(survey.stream_time_ms),
            model: found.model.clone().unwrap_or_else(model),
            n_partitions: self.job.n_after,
            n_customers: Some(survey.tally.n_customers_of(found.number)),
            n_erased: Some(i64::try_from(survey.erased.len()).unwrap_or(i64::MAX)),
            changelog_low: found.changelog_low,
            ..ground.marker(offset_next(survey, found))
        };
        self.log(found.number, &Key::Marker.write(), Some(&marker.to_json()))
    }

    fn offsets(&self, survey: &Survey) -> Result<TopicPartitionList, String> {
        let mut offsets = TopicPartitionList::with_capacity(survey.partitions.len());
        for found in &survey.partitions {
            let offset = Offset::Offset(offset_next(survey, found));
            offsets
                .add_partition_offset(&self.job.kafka.input_topic, found.number, offset)
                .map_err(|error| format!("failed to name an offset: {error}"))?;
        }
        Ok(offsets)
    }

    fn log(&self, partition: i32, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let topic = &self.job.kafka.changelog_topic;
        let partition = Some(partition);
        let record = Addressed { topic, partition, key: Some(key), value, headers: &[] };
        self.writer.borrow_mut().send(record).map_err(|failure| self.explain(&failure))
    }

    fn explain(&self, failure: &Failure) -> String {
        format!(
            "{failure}; nothing was changed unless the commit itself was under way: run `lifetide \
             repartition` again, with no other member in the group `{}`",
            self.job.kafka.group_id
        )
    }
}

/// Where a partition goes on: behind what was sent again, or where it stood.
fn offset_next(survey: &Survey, found: &Found) -> i64 {
    if survey.tally.touches(found.number) { found.end } else { found.from }
}

//! Reads all state and all unread events once, checks them as a restore would, and decides where
//! everything goes. Changes nothing.

use std::collections::BTreeMap;

use rdkafka::message::Message;

use super::tally::{self, Tally};
use super::{Repartition, Summary};
use crate::engine::Restored;
use crate::engine::rebuild::{Bounds, Rebuild};
use crate::kafka::placement::Partitioner;
use crate::kafka::topics;
use crate::record::erased::ErasedHash;

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) tally: Tally,
    /// By number, up to the new count.
    pub(super) partitions: Vec<Found>,
    /// Erasures of all partitions, each as late as any remembers it: the hash does not tell where
    /// its customer lies.
    pub(super) erased: BTreeMap<ErasedHash, i64>,
    /// The least stream time of a partition that has one.
    pub(super) stream_time_ms: Option<i64>,
    n_customers: u64,
    losses: Vec<String>,
}

/// One partition of the new count.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: i32,
    /// Where its unread events begin …
    pub(super) from: i64,
    /// … and end.
    pub(super) end: i64,
    pub(super) n_unread: u64,
    pub(super) stream_time_ms: Option<i64>,
    pub(super) model: Option<String>,
    pub(super) changelog_low: Option<i64>,
    /// The changelog as it was before anything was written.
    pub(super) changelog: (i64, i64),
}

impl Survey {
    pub(super) fn take(job: &Repartition<'_>) -> Result<Self, String> {
        let n_before = job.ground.n_partitions;
        let n_changelog = topics::partitions(job.kafka, &job.kafka.changelog_topic)?;
        let mut tallies = Partitioner::ALL.map(|it| Tally::new(it, n_before, job.n_after));
        let (mut partitions, mut losses) = (Vec::new(), Vec::new());
        let mut erased: BTreeMap<ErasedHash, i64> = BTreeMap::new();
        let mut n_customers = 0;
        for number in 0..job.n_after {
            let (low, end) = job.spans.bounds(&job.kafka.input_topic, number)?;
            let mut found = Found {
                number,
                from: low,
                end,
                n_unread: 0,
                stream_time_ms: None,
                model: None,
                changelog_low: None,
                changelog: (0, 0),
            };
            if number < n_changelog {
                found.changelog = job.spans.bounds(&job.kafka.changelog_topic, number)?;
            }
            if number >= n_before {
                check_empty(job, &found)?;
            } else {
                let restored = restore(job, &found)?;
                restored.customers.visit_all(|entry| {
                    n_customers += 1;
                    for tally in &mut tallies {
                        tally.customer(entry.id, number);
                    }
                });
                for (hash, at_ms) in restored.erased {
                    let known = erased.entry(hash).or_insert(at_ms);
                    *known = at_ms.max(*known);
                }
                found.from = restored.offset_next.unwrap_or(low);
                found.changelog_low = restored.changelog_low;
                found.stream_time_ms = restored.marker.as_ref().and_then(|it| it.stream_time_ms);
                found.model = restored.marker.map(|marker| marker.model);
                losses.extend(restored.mending.into_iter().flat_map(|mending| mending.losses));
            }
            let mut n_unread = 0;
            job.spans.read(&job.kafka.input_topic, number, (found.from, end), |message| {
                let (key, timestamp_ms) = (message.key(), message.timestamp().to_millis());
                for tally in &mut tallies {
                    tally.event(key, number, timestamp_ms);
                }
                n_unread += 1;
                Ok(())
            })?;
            found.n_unread = n_unread;
            (job.tell)("reading unread events", n_unread);
            partitions.push(found);
        }
        let tally = tally::choose(tallies, job.told)?;
        check_early(job, &tally, &partitions)?;
        let stream_time_ms = partitions.iter().filter_map(|found| found.stream_time_ms).min();
        Ok(Self { tally, partitions, erased, stream_time_ms, n_customers, losses })
    }

    pub(super) fn summary(&self, job: &Repartition<'_>) -> Summary {
        let resent = |found: &&Found| self.tally.touches(found.number);
        let n_unread = |found: &Found| found.n_unread;
        Summary {
            n_before: job.ground.n_partitions,
            n_after: job.n_after,
            partitioner: self.tally.partitioner.as_str(),
            n_customers: self.n_customers,
            n_moved: self.tally.n_moved,
            n_erased: self.erased.len() as u64,
            n_unread: self.partitions.iter().map(n_unread).sum(),
            n_misplaced: self.tally.n_misplaced,
            n_resent: self.partitions.iter().filter(resent).map(n_unread).sum(),
            misplaced_newest_ms: self.tally.misplaced_newest_ms,
            losses: self.losses.clone(),
        }
    }
}

/// A partition that the old count has not has no state.
fn check_empty(job: &Repartition<'_>, found: &Found) -> Result<(), String> {
    let topic = &job.kafka.changelog_topic;
    let number = found.number;
    job.spans.read(topic, number, found.changelog, |_| {
        Err(format!(
            "partition `{number}` of `{topic}` holds state, though the input had fewer partitions \
             when the rest was made; start with a new group and changelog topic"
        ))
    })
}

/// The state of one partition of the old count, as a start would restore it.
pub(super) fn restore(job: &Repartition<'_>, found: &Found) -> Result<Restored, String> {
    let topic = &job.kafka.changelog_topic;
    let Found { number, from: low, changelog, .. } = *found;
    let mut rebuild = Rebuild::new(job.on_loss);
    let mut n_records = 0;
    job.spans.read(topic, number, changelog, |message| {
        n_records += 1;
        rebuild.take(message.offset(), message.key(), message.payload());
        Ok(())
    })?;
    (job.tell)("reading the changelog", n_records);
    let committed = job.spans.committed(&job.kafka.input_topic, number)?;
    let bounds = Bounds { committed, low, changelog_low: changelog.0 };
    rebuild
        .finish(number, 0, bounds, &job.ground, &job.pipeline)
        .map_err(|fault| format!("the state of partition `{number}` in `{topic}`: {fault}"))
}

/// Nobody may have been processed in two partitions: their histories cannot be put together.
fn check_early(job: &Repartition<'_>, tally: &Tally, found: &[Found]) -> Result<(), String> {
    let mut by_old: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    for (id, old) in &tally.early {
        by_old.entry(*old).or_default().push(id);
    }
    let mut n_split = 0;
    for found in found {
        let Some(ids) = by_old.get(&found.number) else { continue };
        let restored = restore(job, found)?;
        n_split += ids.iter().filter(|id| restored.customers.get(id, |_| ()).is_some()).count();
    }
    if n_split == 0 {
        return Ok(());
    }
    Err(format!(
        "`{n_split}` customers lie in two partitions: events of theirs were processed after the \
         input had grown; start with a new group and changelog topic, on an input topic that was \
         filled under one count"
    ))
}

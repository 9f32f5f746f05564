//! Where the partitions of the input end, as three threads of a lane see it: the steward asks, the
//! source has handed over so far, and the client reports where it met an end. It asks nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tracing::warn;

/// Where each input partition ends, and how far the lane's consumer has seen it end.
#[derive(Debug, Default)]
pub(super) struct Ends {
    partitions: Mutex<BTreeMap<i32, End>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// Last stable offset, with the time at which it was learnt.
    learnt: Option<(i64, Instant)>,
    /// Where the consumer last reached an end (transaction markers lie behind the last record).
    reached: i64,
    /// After the last record that was handed to the engine. It never goes back: what was read
    /// before a rewind is there to be read again.
    handed_over: Option<i64>,
}

impl Ends {
    /// Whether everything up to an end that was learnt `within` that time was read, where the last
    /// record handed over ended at `read_to`.
    pub(super) fn is_reached(
        &self,
        partition: i32,
        read_to: Option<i64>,
        within: Duration,
    ) -> bool {
        let end = self.lock().get(&partition).copied().unwrap_or_default();
        let Some((learnt, at)) = end.learnt else { return false };
        at.elapsed() <= within
            && end.reached >= learnt
            && read_to.is_none_or(|read_to| read_to <= learnt)
    }

    /// The last stable offset, just asked for.
    pub(super) fn learnt(&self, partition: i32, stable: i64) {
        self.lock().entry(partition).or_default().learnt = Some((stable, Instant::now()));
    }

    /// The partition is somebody else's.
    pub(super) fn forget(&self, partition: i32) {
        self.lock().remove(&partition);
    }

    /// Where the client last reached an end, by its report.
    pub(super) fn read_statistics(&self, report: &[u8], input_topic: &str) {
        let Ok(report) = serde_json::from_slice::<Statistics>(report) else {
            warn!("librdkafka's statistics have an unknown form; idle time does not pass");
            return;
        };
        let Some(topic) = report.topics.get(input_topic) else { return };
        let mut ends = self.lock();
        for (partition, statistics) in &topic.partitions {
            if *partition >= 0 {
                ends.entry(*partition).or_default().reached = statistics.eof_offset;
            }
        }
    }

    /// Records up to here are with the engine.
    pub(super) fn handed_over(&self, partition: i32, offset_next: i64) {
        let mut ends = self.lock();
        let end = ends.entry(partition).or_default();
        end.handed_over = end.handed_over.max(Some(offset_next));
    }

    /// How much lies between what is committed and the last stable offset; nothing where that is
    /// only markers of transactions.
    pub(super) fn lag(&self, partition: i32, committed: i64, stable: i64) -> i64 {
        let end = self.lock().get(&partition).copied().unwrap_or_default();
        let is_read = end.reached >= stable && end.handed_over.is_none_or(|next| next <= committed);
        if is_read { 0 } else { (stable - committed).max(0) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, End>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts of librdkafka's report that are read here.
#[derive(Debug, Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Debug, Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<i32, PartitionStatistics>,
}

#[derive(Debug, Deserialize)]
struct PartitionStatistics {
    eof_offset: i64,
}

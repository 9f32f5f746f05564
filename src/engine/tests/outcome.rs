//! What has come of a run in the end, and how two runs differ.

use std::collections::BTreeMap;

use super::broker::Written;
use super::workload::customer_partition;
use crate::config::Emit;
use crate::engine::Topic;
use crate::record::changelog;

/// Everything that is committed in the end.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What was sent because of each input partition, in order.
    pub(super) topics: BTreeMap<(Topic, i32), Vec<Written>>,
    /// The changelog, compacted.
    pub(super) state: BTreeMap<(i32, Vec<u8>), Vec<u8>>,
    pub(super) offsets: BTreeMap<i32, i64>,
    /// The counters of committed work.
    pub(super) counts: Vec<String>,
}

impl Outcome {
    /// Compares byte for byte; prints the first difference only.
    pub(super) fn assert_same(&self, other: &Self, how: &str) {
        assert_eq!(self.offsets, other.offsets, "{how}");
        let places: Vec<_> = self.topics.keys().chain(other.topics.keys()).collect();
        for place in places {
            let of = |outcome: &Self| outcome.topics.get(place).cloned().unwrap_or_default();
            let (mine, theirs) = (of(self), of(other));
            for (i, pair) in mine.iter().zip(&theirs).enumerate() {
                assert!(pair.0 == pair.1, "{how}: {i} of {place:?}\n{}", texts(pair));
            }
            assert_eq!(mine.len(), theirs.len(), "{how}: {place:?}");
        }
        let keys: Vec<_> = self.state.keys().chain(other.state.keys()).collect();
        for key in keys {
            let (mine, theirs) = (self.state.get(key), other.state.get(key));
            let name = String::from_utf8_lossy(&key.1);
            let decoded = [mine, theirs].map(|value| value.map(|value| changelog::decode(value)));
            assert!(mine == theirs, "{how}: state of {name}\n{decoded:#?}");
        }
        assert_eq!(self.counts, other.counts, "{how}");
    }

    pub(super) fn n_written(&self, topic: Topic) -> usize {
        let of_topic = self.topics.iter().filter(|((of, _), _)| *of == topic);
        of_topic.map(|(_, written)| written.len()).sum()
    }
}

fn texts((mine, theirs): (&Written, &Written)) -> String {
    let text = |written: &Written| {
        let value = written.value.as_deref().unwrap_or(b"(tombstone)");
        format!("{}: {}", String::from_utf8_lossy(&written.key), String::from_utf8_lossy(value))
    };
    format!("{}\n{}", text(mine), text(theirs))
}

/// The input partition that gave rise to a record.
pub(super) fn input_partition(written: &Written) -> i32 {
    let place = written.headers.iter().find(|(name, _)| name == "lifetide.partition");
    place.map_or_else(
        || customer_partition(std::str::from_utf8(&written.key).unwrap()),
        |(_, value)| std::str::from_utf8(value.as_ref().unwrap()).unwrap().parse().unwrap(),
    )
}

/// What compaction leaves of a topic.
pub(super) fn last_of_each_key(written: &[Written]) -> Vec<Written> {
    let last: BTreeMap<&[u8], &Written> = written.iter().map(|it| (&*it.key, it)).collect();
    last.into_values().cloned().collect()
}

/// Whether a line of the metrics says of committed work what no batching may change.
pub(super) fn is_count(line: &str, emit: Emit) -> bool {
    let names = [
        "lifetide_events_total",
        "lifetide_rejections_total",
        "lifetide_signals_total",
        "lifetide_lifecycle_transitions_total",
        "lifetide_duplicates_total",
        "lifetide_erased_events_total",
        "lifetide_dead_letters_total",
        "lifetide_timers_fired_total",
        "lifetide_population_",
    ];
    let is_score = emit == Emit::Event && line.starts_with("lifetide_scores_total");
    is_score || names.iter().any(|name| line.starts_with(name))
}

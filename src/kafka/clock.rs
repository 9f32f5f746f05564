//! How far ahead of this machine's clock records are stamped, as far as brokers tell without being
//! written to: a record with a later stamp is there, or none is. Called by `check`.

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::admin::{ANSWER_TIMEOUT, Asker};
use super::refusal::Refusal;

/// How far ahead stamps are looked for. Below the first, networks and good clocks differ too.
const STEPS_S: [i64; 5] = [5, 60, 600, 3_600, 86_400];

/// Records that are stamped later than now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// A partition that has one.
    pub partition: i32,
    /// It is at least so far ahead.
    pub at_least_s: i64,
}

impl Asker {
    /// The records of the topic that are stamped furthest after `now_ms`, if any are.
    ///
    /// # Errors
    /// The topic may not be described, or no broker answers.
    pub fn stamped_ahead(
        &self,
        topic: &str,
        n_partitions: usize,
        now_ms: i64,
    ) -> Result<Option<Ahead>, Refusal> {
        let mut furthest = None;
        for at_least_s in STEPS_S {
            let mut later = TopicPartitionList::new();
            for partition in (0..).take(n_partitions) {
                let from = Offset::Offset(now_ms + at_least_s * 1000);
                later
                    .add_partition_offset(topic, partition, from)
                    .map_err(|error| self.refusal(&error))?;
            }
            let found = self
                .consumer
                .offsets_for_times(later, ANSWER_TIMEOUT)
                .map_err(|error| self.refusal(&error))?;
            let elements = found.elements();
            let one = elements.iter().find(|it| matches!(it.offset(), Offset::Offset(_)));
            let Some(one) = one else { break };
            furthest = Some(Ahead { partition: one.partition(), at_least_s });
        }
        Ok(furthest)
    }
}

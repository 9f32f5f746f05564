//! What a step of a partition works with: the pipeline, the counts, and the way out. Holds no state
//! of its own. Made by the engine for each step.

use super::port::{Failure, Outgoing, Topic};
use crate::churn::Cause;
use crate::config::Emit;
use crate::customer::Customer;
use crate::metrics::Tally;
use crate::pipeline::{Pipeline, Raise};
use crate::record::changelog::Key;

/// Where staged records go; fails when the transaction cannot take them.
pub(super) type Out<'a> = dyn FnMut(Outgoing<'_>) -> Result<(), Failure> + 'a;

/// What a step works with beside the partition.
pub struct Work<'a> {
    /// Judges and scores.
    pub pipeline: &'a mut Pipeline,
    /// When scores are written.
    pub emit: Emit,
    /// Counts what happens.
    pub tally: &'a mut Tally,
    /// Where staged records go.
    pub out: &'a mut Out<'a>,
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("emit", &self.emit).finish_non_exhaustive()
    }
}

impl Work<'_> {
    /// Sends a customer's record, or its tombstone, to a topic that is keyed by customer.
    pub(super) fn send(&mut self, topic: Topic, id: &str, value: Option<&[u8]>) -> Outcome {
        let key = Some(id.as_bytes());
        (self.out)(Outgoing { topic, partition: None, key, value, headers: &[] })
    }

    /// Sends a record to the changelog partition that mirrors the input's.
    pub(super) fn log(&mut self, partition: i32, key: &Key<'_>, value: Option<&[u8]>) -> Outcome {
        self.log_raw(partition, &key.write(), value)
    }

    /// The same for a key as it lies there.
    pub(super) fn log_raw(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) -> Outcome {
        let (topic, partition) = (Topic::Changelog, Some(partition));
        (self.out)(Outgoing { topic, partition, key: Some(key), value, headers: &[] })
    }

    /// Scores a customer as of the last judgement and sends it. `raise` is what that gave rise to,
    /// where it is at hand.
    pub(super) fn score(
        &mut self,
        id: &str,
        customer: &Customer,
        cause: Cause,
        raise: Option<&Raise>,
    ) -> Outcome {
        self.tally.score(cause);
        let score = self.pipeline.score(id, customer, customer.path.as_of_ms, cause, raise);
        self.send(Topic::Scores, id, Some(&score))
    }
}

/// What the way out says.
type Outcome = Result<(), Failure>;

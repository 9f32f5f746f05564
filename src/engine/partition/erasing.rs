//! Customers who are forgotten: their erasure is remembered for a while, so that what is late does
//! not bring them back. Part of a partition's work, staged and committed with the rest of it.

use super::Partition;
use crate::churn::Cause;
use crate::engine::port::{Failure, Topic};
use crate::engine::work::Work;
use crate::event::Event;
use crate::record::erased;

impl Partition {
    /// When the customer was erased, if that is remembered.
    pub(super) fn erased_at_ms(&self, id: &str) -> Option<i64> {
        if self.erased.is_empty() && self.stage.erased.is_empty() {
            return None;
        }
        let hash = erased::hash_of(id);
        let staged = self.stage.erased.get(&hash).copied();
        staged.unwrap_or_else(|| self.erased.get(&hash).copied())
    }

    /// Forgets a customer but for the day of the erasure.
    pub(super) fn erase(&mut self, event: &Event, work: &mut Work<'_>) -> Result<(), Failure> {
        let hash = erased::hash_of(&event.customer_id);
        self.stage.erased.insert(hash, Some(event.occurred_at_ms));
        let index = self.stage.touch(&event.customer_id, &self.committed);
        let (touched, customer) = self.stage.take(index, &self.committed);
        self.timers.change(touched.hash, touched.due, None);
        touched.due = None;
        let before = customer.take().map(|customer| work.pipeline.rest(&customer).share);
        self.stage.population.replace(before.as_ref(), None);
        work.tally.population(before.as_ref(), None);
        self.stage.keep(index, Cause::Event);
        work.send(Topic::Scores, &event.customer_id, None)
    }

    /// Forgets erasures that are older.
    pub(super) fn forget_before(&mut self, kept_from_ms: i64) {
        for at_ms in self.stage.erased.values_mut() {
            *at_ms = at_ms.filter(|at_ms| *at_ms >= kept_from_ms);
        }
        for (hash, at_ms) in &self.erased {
            if *at_ms < kept_from_ms && !self.stage.erased.contains_key(hash) {
                self.stage.erased.insert(*hash, None);
            }
        }
    }
}

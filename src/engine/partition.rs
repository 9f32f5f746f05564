//! One input partition: committed state, what the open transaction stages over it, and its stream
//! time. It decides nothing about a customer (the pipeline does) and nothing about transactions.
//!
//! `erasing` customers who are forgotten

mod erasing;

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;

use super::port::{Failure, Mending, Outgoing, Rejected, Restored, Topic};
use super::stage::{Stage, Touched};
use super::timers::{TIMER_BYTES, Timers};
use super::work::Work;
use crate::calendar::Calendar;
use crate::churn::Cause;
use crate::config::Emit;
use crate::customer::Source;
use crate::event::{Body, Event};
use crate::metrics::Figures;
use crate::pipeline::{Clock, Pipeline, Raise};
use crate::population::{Census, Changes};
use crate::record::changelog::Key;
use crate::record::dead_letter::{DeadLetter, Refused};
use crate::record::erased::{self, ErasedHash};
use crate::record::marker::{Ground, Marker};
use crate::store::Customers;

/// The state of one input partition.
#[derive(Debug)]
pub struct Partition {
    number: i32,
    /// Of the input.
    n_partitions: i32,
    committed: Arc<Customers>,
    timers: Timers,
    erased: BTreeMap<ErasedHash, i64>,
    position: Position,
    position_committed: Position,
    stage: Stage,
    mending: Option<Mending>,
    changelog_low: Option<i64>,
    /// The sum over the committed customers.
    population: Census,
}

/// How far a partition has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    stream_time_ms: Option<i64>,
    offset_next: Option<i64>,
}

impl Partition {
    /// A partition as it was committed.
    pub fn new(restored: Restored) -> Self {
        let position = Position {
            stream_time_ms: restored.marker.and_then(|marker| marker.stream_time_ms),
            offset_next: restored.offset_next,
        };
        Self {
            number: restored.partition,
            n_partitions: restored.n_partitions,
            committed: restored.customers,
            timers: restored.timers,
            erased: restored.erased,
            position,
            position_committed: position,
            stage: Stage::default(),
            changelog_low: restored.changelog_low,
            mending: restored.mending,
            population: restored.population,
        }
    }

    /// Whether losses were accepted that the changelog does not say so yet.
    pub fn is_mending(&self) -> bool {
        self.mending.is_some()
    }

    /// Goes on under another model, by which these are the timers and the sum over the customers.
    /// Nothing is staged.
    pub(super) fn remodel(&mut self, timers: Timers, population: Census) -> Changes {
        self.timers = timers;
        let before = std::mem::replace(&mut self.population, population);
        before.remodelled(&self.population)
    }

    /// The sum over the committed customers.
    pub fn population(&self) -> &Census {
        &self.population
    }

    /// The committed customers.
    pub fn customers(&self) -> &Arc<Customers> {
        &self.committed
    }

    /// The next offset to read.
    pub fn offset_next(&self) -> Option<i64> {
        self.position.offset_next
    }

    /// Stream time: the largest accepted `occurred_at`, or the last fired timer's due time if
    /// later.
    pub fn stream_time_ms(&self) -> Option<i64> {
        self.position.stream_time_ms
    }

    /// The size of the committed state: customers with their timers, all in.
    pub fn figures(&self, calendar: &Calendar) -> Figures {
        let n_timers = self.timers.len() as u64;
        let today = self.position.stream_time_ms.map(|at_ms| calendar.day(at_ms));
        Figures {
            n_customers: self.committed.n_customers().unsigned_abs(),
            store_bytes: self.committed.n_bytes().unsigned_abs() + n_timers * TIMER_BYTES,
            n_timers_pending: n_timers,
            n_timers_due: today.map_or(0, |today| self.timers.n_due(today) as u64),
        }
    }

    /// Whether the open transaction has anything of this partition.
    pub fn is_staged(&self) -> bool {
        !self.stage.is_empty()
    }

    /// Takes note that the record at `offset` is about to be processed: an abort reads it again.
    pub fn enter(&mut self, offset: i64) {
        self.stage.offset_first.get_or_insert(offset);
    }

    /// Takes note that the record at `offset` is read.
    ///
    /// # Panics
    /// If offsets go back: the reader and this state disagree, and going on would count twice.
    pub fn read(&mut self, offset: i64) {
        let expected = self.position.offset_next;
        assert!(
            expected.is_none_or(|expected| offset >= expected),
            "partition `{}` went back to offset `{offset}`, expected `{expected:?}` or later",
            self.number
        );
        self.position.offset_next = Some(offset + 1);
    }

    /// Stages a record that cannot be accepted as a dead letter.
    ///
    /// # Errors
    /// What the way out says.
    pub fn reject(
        &mut self,
        rejected: Rejected,
        offset: i64,
        topic: &str,
        work: &mut Work<'_>,
    ) -> Result<(), Failure> {
        let Rejected { rejection, key, payload, headers } = rejected;
        work.tally.rejection(rejection.reason);
        work.tally.dead_letter();
        let refused = Refused {
            topic,
            partition: self.number,
            n_partitions: self.n_partitions,
            offset,
            key: key.as_deref(),
            payload: payload.as_deref(),
            headers,
        };
        let letter = DeadLetter::new(refused, &rejection);
        (work.out)(Outgoing {
            topic: Topic::DeadLetters,
            partition: None,
            key: letter.key.as_deref(),
            value: letter.payload.as_deref(),
            headers: &letter.headers,
        })
    }

    /// Whether the event is neither of an erased customer nor there already. Only such an event may
    /// move time.
    pub fn admits(&mut self, event: &Event, offset: i64, work: &mut Work<'_>) -> bool {
        if self.erased_at_ms(&event.customer_id).is_some_and(|at_ms| event.occurred_at_ms <= at_ms)
        {
            work.tally.erased();
            return false;
        }
        let fingerprint = event.fingerprint(self.number, offset);
        let index = self.stage.touch(&event.customer_id, &self.committed);
        let (_, customer) = self.stage.take(index, &self.committed);
        if customer.as_ref().is_some_and(|customer| customer.path.remembers(fingerprint)) {
            work.tally.duplicate();
            return false;
        }
        true
    }

    /// Whether a timer is due by `until_ms`.
    pub fn is_due(&self, calendar: &Calendar, until_ms: i64) -> bool {
        let today = calendar.day(until_ms);
        self.timers.first_day().is_some_and(|day| day <= today)
    }

    /// Fires the timers of the earliest due day and hash. The caller has asked whether one is due,
    /// and may end the transaction between two calls.
    ///
    /// # Errors
    /// What the way out says.
    ///
    /// # Panics
    /// If a timer belongs to nobody: state and index disagree.
    pub fn fire_next(&mut self, clock: Clock, work: &mut Work<'_>) -> Result<(), Failure> {
        let Some((day, hash)) = self.timers.first() else { return Ok(()) };
        let due_ms = work.pipeline.rules().calendar.start_ms(day);
        self.advance(work.pipeline, due_ms);
        let stream_ms = self.position.stream_time_ms.unwrap_or(due_ms);
        let mut ids: Vec<CompactString> = Vec::new();
        self.committed.visit(hash, |entry| ids.push(entry.id.into()));
        for id in ids {
            self.stage.touch(&id, &self.committed);
        }
        let candidates: Vec<usize> = self.stage.with_hash(hash).collect();
        let mut n_fired = 0;
        for index in candidates {
            if self.stage.touched()[index].due != Some(day) {
                continue;
            }
            let (touched, customer) = self.stage.take(index, &self.committed);
            let customer = customer.as_mut().expect("only a customer has a timer");
            let raise = work.pipeline.fire(&touched.id, customer, due_ms, stream_ms, clock);
            work.tally.timer_fired();
            n_fired += 1;
            self.publish(index, Cause::Time, &raise, work)?;
        }
        assert!(n_fired > 0, "the timer of day `{day}` and hash `{hash}` belongs to nobody");
        Ok(())
    }

    /// Applies an admitted event whose earlier timers have fired.
    ///
    /// # Errors
    /// What the way out says.
    pub fn apply_event(
        &mut self,
        event: &Event,
        offset: i64,
        work: &mut Work<'_>,
    ) -> Result<(), Failure> {
        work.tally.event(event.kind());
        self.advance(work.pipeline, event.occurred_at_ms);
        if matches!(event.body, Body::CustomerErased) {
            return self.erase(event, work);
        }
        let stream_ms = self.position.stream_time_ms.unwrap_or(event.occurred_at_ms);
        let source = Source { partition: self.number, offset };
        let index = self.stage.touch(&event.customer_id, &self.committed);
        let (_, customer) = self.stage.take(index, &self.committed);
        let customer = customer.get_or_insert_default();
        let raise = work.pipeline.apply(customer, event, source, stream_ms);
        raise.map_or(Ok(()), |raise| self.publish(index, Cause::Event, &raise, work))
    }

    /// Sends what is due at the end of a transaction: pending scores, the changelog and the marker.
    ///
    /// # Errors
    /// What the way out says.
    ///
    /// # Panics
    /// If nothing was ever read: then there is nothing to commit either.
    pub fn close(&mut self, ground: &Ground, work: &mut Work<'_>) -> Result<(), Failure> {
        if work.emit == Emit::Commit {
            for index in 0..self.stage.touched().len() {
                let Some(cause) = self.stage.touched()[index].cause else { continue };
                if let (touched, Some(customer)) = self.stage.take(index, &self.committed) {
                    work.score(&touched.id, customer, cause, None)?;
                }
            }
        }
        let (mut n_customers, mut n_erased) = (self.committed.n_customers(), self.n_erased());
        for key in self.mending.iter().flat_map(|mending| &mending.discard) {
            work.log_raw(self.number, key, None)?;
        }
        for (touched, value) in self.stage.changed() {
            if value.is_some() || touched.is_committed {
                n_customers += i64::from(value.is_some()) - i64::from(touched.is_committed);
                work.log(self.number, &Key::Customer(&touched.id), value)?;
            }
        }
        for (hash, at_ms) in &self.stage.erased {
            n_erased += i64::from(at_ms.is_some()) - i64::from(self.erased.contains_key(hash));
            let value = at_ms.map(erased::encode);
            work.log(self.number, &Key::Erased(*hash), value.as_deref())?;
        }
        let marker = Marker {
            stream_time_ms: self.position.stream_time_ms,
            model: work.pipeline.model_label().to_owned(),
            n_customers: Some(n_customers),
            n_erased: Some(n_erased),
            changelog_low: self.changelog_low,
            ..ground.marker(self.position.offset_next.expect("something was read to be staged"))
        };
        work.log(self.number, &Key::Marker, Some(&marker.to_json()))
    }

    /// The transaction is committed: what was staged is the state.
    pub fn commit(&mut self) {
        for (touched, value) in self.stage.changed() {
            match value {
                Some(value) => self.committed.put(&touched.id, touched.due, value),
                None => self.committed.remove(&touched.id),
            }
        }
        for (hash, at_ms) in &self.stage.erased {
            match at_ms {
                Some(at_ms) => self.erased.insert(*hash, *at_ms),
                None => self.erased.remove(hash),
            };
        }
        self.population.merge(&self.stage.population);
        self.stage.clear();
        self.mending = None;
        self.position_committed = self.position;
    }

    fn n_erased(&self) -> i64 {
        i64::try_from(self.erased.len()).unwrap_or(i64::MAX)
    }

    /// The transaction is aborted: the state is as it was. Returns the offset to read again from.
    pub fn roll_back(&mut self) -> Option<i64> {
        for touched in self.stage.touched() {
            self.timers.change(touched.hash, touched.due, touched.due_committed);
        }
        self.position = self.position_committed;
        let offset_next = self.position.offset_next.or(self.stage.offset_first);
        self.stage.clear();
        offset_next
    }

    /// Moves stream time on, and forgets erasures that are older than they must be remembered.
    fn advance(&mut self, pipeline: &Pipeline, at_ms: i64) {
        let before_ms = self.position.stream_time_ms;
        let now_ms = before_ms.map_or(at_ms, |before_ms| before_ms.max(at_ms));
        self.position.stream_time_ms = Some(now_ms);
        let rules = pipeline.rules();
        let today = rules.calendar.day(now_ms);
        if before_ms.is_none_or(|before_ms| rules.calendar.day(before_ms) != today) {
            let memory_days = rules.windows.erasure_memory_days;
            self.forget_before(rules.calendar.start_ms(today.plus(-memory_days)));
        }
    }

    /// Takes note of a changed customer and sends what it gave rise to.
    fn publish(
        &mut self,
        index: usize,
        cause: Cause,
        raise: &Raise,
        work: &mut Work<'_>,
    ) -> Result<(), Failure> {
        let is_known = self.stage.is_known(index);
        let before = Some(&raise.before).filter(|_| is_known);
        self.stage.population.replace(before, Some(&raise.after));
        work.tally.population(before, Some(&raise.after));
        let (Touched { id, hash, due, .. }, customer) = self.stage.take(index, &self.committed);
        let customer = customer.as_ref().expect("only a customer is published");
        self.timers.change(*hash, *due, raise.due);
        *due = raise.due;
        work.tally.lifecycle(raise.before.place.lifecycle, raise.after.place.lifecycle);
        for signal in &raise.signals {
            work.tally.signal(signal.kind, signal.driver);
            work.send(Topic::Signals, id, Some(&signal.json))?;
        }
        if work.emit == Emit::Event {
            work.score(id, customer, cause, Some(raise))?;
        }
        self.stage.keep(index, cause);
        Ok(())
    }
}

//! The recount of a history, customer by customer, by the same pipeline as the processor's. Time is
//! the events' alone. No I/O. Called by `commands`.

mod comparison;

use std::collections::BTreeMap;

use compact_str::CompactString;

use crate::calendar::Day;
use crate::churn::Cause;
use crate::customer::{Applied, Customer, Ledger, Source};
use crate::event::{Body, Event};
use crate::pipeline::{Clock, Pipeline, Raise, Rules};
use crate::population::Share;

pub use comparison::{Comparison, Side, Windows};

use comparison::Passage;

/// An event with the stream time right after it, were all customers of the history one partition.
#[derive(Debug)]
struct Step {
    event: Event,
    stream_ms: i64,
    offset: i64,
}

/// A history, sorted into customers.
#[derive(Debug, Default)]
pub struct Replay {
    steps: BTreeMap<CompactString, Vec<Step>>,
    n_events: u64,
    first_ms: Option<i64>,
    stream_ms: Option<i64>,
}

/// A customer at the end of the recount.
#[derive(Debug)]
pub struct Recounted {
    /// The customer's id.
    pub id: CompactString,
    /// The state.
    pub customer: Customer,
    /// What was raised on the way, in the order of time.
    pub signals: Vec<Signal>,
    /// Events that were there already.
    pub n_duplicates: u64,
}

/// A signal that was raised on the way.
#[derive(Debug)]
pub struct Signal {
    /// When, in milliseconds since 1970.
    pub raised_at_ms: i64,
    /// Its name.
    pub kind: &'static str,
    /// The record's value.
    pub json: Vec<u8>,
}

/// The ledgers of a customer at two moments of the recount.
#[derive(Debug)]
pub struct Ledgers {
    /// After the last event of the first moment; absent before the first event and once erased.
    pub before: Option<Ledger>,
    /// After the last event; absent once erased.
    pub after: Option<Ledger>,
    /// Events that were there already.
    pub n_duplicates: u64,
}

impl Replay {
    /// Takes the next event, in the order in which the history is to be played.
    pub fn push(&mut self, event: Event) {
        let at_ms = event.occurred_at_ms;
        let stream_ms = self.stream_ms.map_or(at_ms, |stream_ms| stream_ms.max(at_ms));
        self.stream_ms = Some(stream_ms);
        self.first_ms = Some(self.first_ms.map_or(at_ms, |first_ms| first_ms.min(at_ms)));
        let offset = i64::try_from(self.n_events).unwrap_or(i64::MAX);
        self.n_events += 1;
        let id = event.customer_id.clone();
        self.steps.entry(id).or_default().push(Step { event, stream_ms, offset });
    }

    /// Stream time after the last event.
    pub fn stream_ms(&self) -> Option<i64> {
        self.stream_ms
    }

    /// The time of the earliest event.
    pub fn first_ms(&self) -> Option<i64> {
        self.first_ms
    }

    /// The ids of all customers, ascending.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(CompactString::as_str)
    }

    /// Leaves this customer alone to be played, at the stream time of all.
    pub fn narrow(&mut self, id: &str) {
        self.steps.retain(|known, _| known == id);
    }

    /// Events taken.
    pub fn n_events(&self) -> u64 {
        self.n_events
    }

    /// Plays each customer's events in turn, ascending by id, with the timers that fall due between
    /// them, then the timers due by what `until_ms` says for the customer. Customers who end up
    /// erased are left out.
    pub fn play(
        self,
        pipeline: &mut Pipeline,
        until_ms: impl Fn(&str) -> i64,
    ) -> impl Iterator<Item = Recounted> {
        self.play_with(pipeline, &mut [], None, until_ms)
    }

    /// [`Self::play`], which goes on with each successor from its day on, and fills a comparison
    /// on the way, whose last window ends by `until_ms`.
    pub fn play_with(
        self,
        pipeline: &mut Pipeline,
        successors: &mut [Successor],
        mut comparison: Option<&mut Comparison>,
        until_ms: impl Fn(&str) -> i64,
    ) -> impl Iterator<Item = Recounted> {
        self.steps.into_iter().filter_map(move |(id, steps)| {
            let until_ms = until_ms(&id);
            let watch = comparison.as_deref_mut().map(|it| (Passage::default(), it));
            let player = Player {
                pipeline,
                successors,
                watch,
                id,
                customer: None,
                signals: Vec::new(),
                n_duplicates: 0,
                due: None,
            };
            player.play(steps, until_ms)
        })
    }

    /// Each customer's ledger when stream time passes `split_ms` and at the end, ascending by id,
    /// as [`Self::play`] would leave them. Nobody is judged and no timer fires: neither moves a
    /// ledger.
    pub fn ledgers(&self, rules: &Rules, split_ms: i64) -> impl Iterator<Item = Ledgers> {
        self.steps.values().map(move |steps| {
            let n_before = steps.partition_point(|step| step.stream_ms <= split_ms);
            let mut books = Books::default();
            let mut before = None;
            for (i, step) in steps.iter().enumerate() {
                if i == n_before {
                    before = books.ledger();
                }
                books.take(step, rules);
            }
            let after = books.ledger();
            if n_before == steps.len() {
                before.clone_from(&after);
            }
            Ledgers { before, after, n_duplicates: books.n_duplicates }
        })
    }
}

impl FromIterator<Event> for Replay {
    fn from_iter<T: IntoIterator<Item = Event>>(events: T) -> Self {
        let mut replay = Self::default();
        events.into_iter().for_each(|event| replay.push(event));
        replay
    }
}

/// A customer who is counted and not judged.
#[derive(Default)]
struct Books {
    customer: Option<Customer>,
    erased_at_ms: Option<i64>,
    n_duplicates: u64,
}

impl Books {
    fn take(&mut self, step: &Step, rules: &Rules) {
        let Step { event, offset, .. } = step;
        if self.erased_at_ms.is_some_and(|at_ms| event.occurred_at_ms <= at_ms) {
            return;
        }
        let customer = self.customer.get_or_insert_default();
        let fingerprint = event.fingerprint(0, *offset);
        let Rules { intake, calendar, windows, .. } = rules;
        match customer.apply(event, fingerprint, intake, calendar, windows) {
            Applied::Changed => {}
            Applied::Duplicate => self.n_duplicates += 1,
            Applied::Erased => {
                self.erased_at_ms = Some(event.occurred_at_ms);
                self.customer = None;
            }
        }
    }

    fn ledger(&self) -> Option<Ledger> {
        self.customer.as_ref().map(|customer| customer.ledger.clone())
    }
}

/// Another model, and the first day that is judged by it.
#[derive(Debug)]
pub struct Successor {
    /// Its first day.
    pub from: Day,
    /// What judges from then on.
    pub pipeline: Pipeline,
}

struct Player<'a> {
    pipeline: &'a mut Pipeline,
    /// Those to come, by day.
    successors: &'a mut [Successor],
    watch: Option<(Passage, &'a mut Comparison)>,
    id: CompactString,
    customer: Option<Customer>,
    signals: Vec<Signal>,
    n_duplicates: u64,
    due: Option<Day>,
}

impl Player<'_> {
    fn play(mut self, steps: Vec<Step>, until_ms: i64) -> Option<Recounted> {
        let mut erased_at_ms = None;
        for Step { event, stream_ms, offset } in steps {
            if erased_at_ms.is_some_and(|at_ms| event.occurred_at_ms <= at_ms) {
                continue;
            }
            let source = Source { partition: 0, offset };
            let fingerprint = event.fingerprint(source.partition, source.offset);
            if self.customer.as_ref().is_some_and(|known| known.path.remembers(fingerprint)) {
                self.n_duplicates += 1;
                continue;
            }
            self.fire_until(stream_ms);
            if matches!(event.body, Body::CustomerErased) {
                erased_at_ms = Some(event.occurred_at_ms);
                if self.customer.take().is_some() {
                    self.note(None, stream_ms);
                }
                self.due = None;
                continue;
            }
            let customer = self.customer.get_or_insert_default();
            let before = customer.totals;
            if let Some(raise) = self.pipeline.apply(customer, &event, source, stream_ms) {
                if let Some((passage, comparison)) = &mut self.watch {
                    passage.order(comparison, before, customer.totals);
                }
                self.take(raise, stream_ms);
            }
        }
        self.fire_until(until_ms);
        let tomorrow = self.pipeline.rules().calendar.day(until_ms).plus(1);
        if let Some((passage, comparison)) = &mut self.watch {
            passage.cross(comparison, self.customer.as_ref(), tomorrow, self.pipeline);
        }
        let Self { id, signals, n_duplicates, .. } = self;
        self.customer.map(|customer| Recounted { id, customer, signals, n_duplicates })
    }

    /// Lets time pass, under each model in its turn.
    fn fire_until(&mut self, until_ms: i64) {
        while let Some(next) = self.successors.first() {
            let begin_ms = self.pipeline.rules().calendar.start_ms(next.from);
            if begin_ms > until_ms {
                break;
            }
            self.fire_due(i64::MIN, begin_ms - 1);
            if let Some((next, others)) = std::mem::take(&mut self.successors).split_first_mut() {
                (self.pipeline, self.successors) = (&mut next.pipeline, others);
            }
            let customer = self.customer.as_ref();
            self.due = customer.and_then(|customer| self.pipeline.due_day(customer));
            self.fire_due(begin_ms, begin_ms);
        }
        self.fire_due(i64::MIN, until_ms);
    }

    /// Fires what is due by an instant; what was due before `stream_ms` comes at that time.
    fn fire_due(&mut self, stream_ms: i64, until_ms: i64) {
        while let Some((day, customer)) = self.due.zip(self.customer.as_mut()) {
            let due_ms = self.pipeline.rules().calendar.start_ms(day);
            if due_ms > until_ms {
                break;
            }
            if let Some((passage, comparison)) = &mut self.watch {
                passage.cross(comparison, Some(customer), day, self.pipeline);
            }
            let now_ms = due_ms.max(stream_ms);
            let raise = self.pipeline.fire(&self.id, customer, due_ms, now_ms, Clock::Event);
            self.take(raise, now_ms);
        }
        let today = self.pipeline.rules().calendar.day(until_ms);
        if let Some((passage, comparison)) = &mut self.watch {
            passage.cross(comparison, self.customer.as_ref(), today, self.pipeline);
        }
    }

    /// The customer counts with another share since the step at `at_ms`.
    fn note(&mut self, share: Option<Share>, at_ms: i64) {
        if let Some((passage, comparison)) = &mut self.watch {
            passage.step(comparison, share, self.pipeline.rules().calendar.day(at_ms));
        }
    }

    fn take(&mut self, raise: Raise, at_ms: i64) {
        self.note(Some(raise.after), at_ms);
        self.due = raise.due;
        self.signals.extend(raise.signals.into_iter().map(|signal| Signal {
            raised_at_ms: signal.raised_at_ms,
            kind: signal.kind.as_str(),
            json: signal.json,
        }));
    }
}

/// The score of a recounted customer: `cause` is time, and there is no source.
pub fn score(pipeline: &mut Pipeline, recounted: &mut Recounted, as_of_ms: i64) -> Vec<u8> {
    recounted.customer.path.source = None;
    pipeline.score(&recounted.id, &recounted.customer, as_of_ms, Cause::Time, None)
}

#[cfg(test)]
mod tests;

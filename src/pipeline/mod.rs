//! One customer, one step: apply, judge, score, in that order, as a pure function of state, input,
//! stream time, model and configuration. It keeps nothing between steps but a table of model values
//! that are functions of their arguments. Called by `engine`, `kafka::restore` and `http` look-ups.

mod assess;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calendar::{Calendar, Day};
use crate::churn::{self, Cause, Occasion, Raised, Reading, Standing, Verdict, Worth};
use crate::clv::{Forecaster, Horizon, Model, formulas};
use crate::customer::{Applied, Customer, Driver, SignalKind, Source, Windows};
use crate::event::{Body, Event, Intake};
use crate::record::signal::{Evidence, SCHEMA, Signal};
use crate::record::wire::{Estimate, Moment};

/// Whose clock moved time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// An event's.
    Event,
    /// The wall clock, on a partition that is read to its end.
    Idle,
}

impl Clock {
    /// The name in a signal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Idle => "idle",
        }
    }
}

/// Everything that a score depends on beside the customer, the time and the model.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Days of the configured time zone.
    pub calendar: Calendar,
    /// How events are read and converted.
    pub intake: Intake,
    /// What a ledger keeps.
    pub windows: Windows,
    /// The limits of judgements.
    pub churn: churn::Settings,
    /// The value tiers.
    pub tiers: churn::Tiers,
    /// How far predictions reach.
    pub horizon: Horizon,
    /// Months of retention in the articles' formula.
    pub retention_months: u32,
}

/// What one step gave rise to.
#[derive(Debug)]
pub struct Raise {
    /// The signals to publish, in a fixed order.
    pub signals: Vec<Ready>,
    /// The customer's timer from now on.
    pub due: Option<Day>,
    /// The lifecycle before the step.
    pub lifecycle_before: churn::Lifecycle,
    /// The lifecycle after it.
    pub lifecycle: churn::Lifecycle,
    /// The customer as judged; absent without a standing order.
    pub reading: Option<Reading>,
}

/// A signal ready to be sent.
#[derive(Debug)]
pub struct Ready {
    /// What it says.
    pub kind: SignalKind,
    /// Why.
    pub driver: Option<Driver>,
    /// When, in milliseconds since 1970.
    pub raised_at_ms: i64,
    /// The record's value.
    pub json: Vec<u8>,
}

/// Rules and model, with the table of model values in front of the latter.
#[derive(Debug)]
pub struct Pipeline {
    rules: Arc<Rules>,
    judging: churn::Rules,
    model: Option<Arc<Model>>,
    forecaster: Option<Forecaster>,
}

impl Pipeline {
    /// A pipeline for these rules and this model.
    pub fn new(rules: Arc<Rules>, model: Option<Arc<Model>>) -> Self {
        let judging = churn::Rules::new(
            rules.churn.clone(),
            rules.tiers.clone(),
            model.clone(),
            rules.calendar.clone(),
            rules.intake.currency,
        );
        let forecaster =
            model.as_ref().map(|model| Forecaster::new(Arc::clone(model), rules.horizon));
        Self { rules, judging, model, forecaster }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The model.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.model.as_ref()
    }

    /// `name/version` of the model, or `none`.
    pub fn model_label(&self) -> &str {
        self.model.as_ref().map_or("none", |model| model.label())
    }

    /// Applies an event and judges the customer. `None` for an event that was there already:
    /// nothing has changed.
    pub fn apply(
        &mut self,
        customer: &mut Customer,
        event: &Event,
        source: Source,
        stream_ms: i64,
    ) -> Option<Raise> {
        let before = Standing::of(customer);
        let fingerprint = event.fingerprint(source.partition, source.offset);
        let Rules { intake, calendar, windows, .. } = &*self.rules;
        match customer.apply(event, fingerprint, intake, calendar, windows) {
            Applied::Duplicate | Applied::Erased => return None,
            Applied::Changed => customer.path.source = Some(source),
        }
        let at_ms = event.occurred_at_ms;
        let occasion = match event.body {
            Body::OrderCompleted(_) => Occasion::Purchase { at_ms },
            Body::OrderRefunded(_)
            | Body::OrderCancelled
            | Body::CartAbandoned
            | Body::UsageRecorded { .. }
            | Body::SupportContacted
            | Body::AcquisitionRecorded(_)
            | Body::CustomerErased => Occasion::Other { at_ms },
        };
        Some(self.judge(&event.customer_id, customer, &before, occasion, stream_ms, Clock::Event))
    }

    /// Judges a customer whose timer has fallen due.
    pub fn fire(
        &mut self,
        id: &str,
        customer: &mut Customer,
        due_ms: i64,
        stream_ms: i64,
        clock: Clock,
    ) -> Raise {
        let before = Standing::of(customer);
        self.judge(id, customer, &before, Occasion::Timer { due_ms }, stream_ms, clock)
    }

    fn judge(
        &mut self,
        id: &str,
        customer: &mut Customer,
        before: &Standing,
        occasion: Occasion,
        stream_ms: i64,
        clock: Clock,
    ) -> Raise {
        let lifecycle_before = before.lifecycle(&self.judging);
        let Self { rules, judging, model, forecaster } = self;
        let worth = |customer: &Customer, reading: &Reading| {
            worth(rules, model.as_deref(), forecaster.as_mut(), customer, reading)
        };
        let Verdict { raised, reading, due } =
            churn::judge(customer, before, occasion, stream_ms, judging, worth);
        let signals = raised.into_iter().map(|raised| self.ready(id, raised, clock)).collect();
        let lifecycle = reading.as_ref().map_or(churn::Lifecycle::New, |reading| reading.lifecycle);
        Raise { signals, due, lifecycle_before, lifecycle, reading }
    }

    fn ready(&self, id: &str, raised: Raised, clock: Clock) -> Ready {
        let figures: BTreeMap<_, _> = raised
            .evidence
            .figures
            .into_iter()
            .filter_map(|(name, value)| Some((name.into(), Estimate::of(value)?)))
            .collect();
        let signal = Signal {
            schema: SCHEMA.into(),
            signal_id: churn::signal_id(id, raised.kind, raised.raised_at_ms).into(),
            customer_id: id.into(),
            kind: raised.kind.as_str().into(),
            raised_at: Moment(raised.raised_at_ms),
            from: raised.from.into(),
            to: raised.to.into(),
            driver: raised.driver.map(|driver| driver.as_str().into()),
            severity: raised.severity.as_str().into(),
            value_at_risk: raised.value_at_risk.and_then(Estimate::of),
            currency: self.rules.intake.currency.code().into(),
            evidence: Evidence { sentence: raised.evidence.sentence.into(), figures },
            clock: clock.as_str().into(),
        };
        Ready {
            kind: raised.kind,
            driver: raised.driver,
            raised_at_ms: raised.raised_at_ms,
            json: signal.to_json(),
        }
    }

    /// The customer's one timer: a pure function of the state, so that a restart rebuilds it.
    pub fn due_day(&self, customer: &Customer) -> Option<Day> {
        let today = self.rules.calendar.day(customer.path.as_of_ms);
        churn::due_day(customer, today, &self.judging)
    }

    /// The score of a customer as of an instant, as JSON. `reading` saves the work where the
    /// customer was judged at that very instant.
    pub fn score(
        &mut self,
        id: &str,
        customer: &Customer,
        as_of_ms: i64,
        cause: Cause,
        reading: Option<&Reading>,
    ) -> Vec<u8> {
        let read = match reading {
            Some(_) => None,
            None => churn::read(customer, self.rules.calendar.day(as_of_ms), &self.judging),
        };
        let label = self.model.as_ref().map_or("none", |model| model.label());
        let subject = assess::Subject { id, customer, as_of_ms, cause, model_label: label };
        let reading = reading.or(read.as_ref());
        let prospects = reading.map(|reading| {
            assess::Prospects::of(
                &self.rules,
                self.model.as_deref(),
                self.forecaster.as_mut(),
                customer,
                reading,
            )
        });
        assess::score(&self.rules, &self.judging, subject, reading, prospects).to_json()
    }
}

/// What the customer is worth, for a signal's value at risk.
fn worth(
    rules: &Rules,
    model: Option<&Model>,
    forecaster: Option<&mut Forecaster>,
    customer: &Customer,
    reading: &Reading,
) -> Worth {
    let prospects = assess::Prospects::of(rules, model, forecaster, customer, reading);
    let average_order_value = assess::average_order_value(rules, customer);
    let n_orders = customer.totals.n_orders;
    let orders_per_month = formulas::orders_per_month(n_orders, reading.purchases.t_days);
    Worth {
        predicted_alive: prospects.predicted_alive,
        average_order_value,
        orders_per_month: average_order_value.map(|_| orders_per_month),
        horizon_months: rules.horizon.months,
    }
}

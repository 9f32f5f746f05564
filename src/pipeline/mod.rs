//! One customer, one step: apply, judge, score, in that order, as a pure function of state, input,
//! stream time, model and configuration. It keeps nothing between steps but a table of model values
//! that are functions of their arguments. Called by `engine`, `kafka::restore` and `http` look-ups.

mod assess;
mod plan;
mod stake;
#[cfg(test)]
pub(crate) mod testing;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calendar::{Calendar, Day};
use crate::churn::{self, Cause, Occasion, Raised, Reading, Standing, Verdict, Worth};
use crate::clv::{Alive, Forecaster, Horizon, Model, formulas};
use crate::customer::{Applied, Customer, Driver, SignalKind, Source, Windows};
use crate::event::{Body, Event, Intake};
use crate::population::Share;
use crate::record::score::Score;
use crate::record::signal::{Evidence, SCHEMA, Signal};
use crate::record::wire::{Estimate, Moment};

use assess::{Basis, Prospects};
pub use plan::Plan;
pub use stake::Stake;

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
    /// What the customer counted with before the step, as of the last one.
    pub before: Share,
    /// What the customer counts with after it.
    pub after: Share,
    /// The customer as judged; absent without a standing order.
    reading: Option<Reading>,
    prospects: Prospects,
}

/// What a customer's state says as of its last step, whatever came since.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// The customer's one timer.
    pub due: Option<Day>,
    /// What the customer counts with.
    pub share: Share,
}

/// A customer before a step.
struct Before {
    standing: Standing,
    basis: Option<Basis>,
}

/// A customer's score, and what was found on the way to it.
#[derive(Debug)]
pub struct Account<'a> {
    /// The score.
    pub score: Score<'a>,
    /// The customer as read; absent without a standing order.
    pub reading: Option<Reading>,
    /// What a living customer will buy; absent where nothing is predicted.
    pub alive: Option<Alive>,
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
    /// Its table fills as it is asked; what it answers does not depend on that.
    forecaster: Option<RefCell<Forecaster>>,
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
        let forecaster = |model: &Arc<Model>| Forecaster::new(Arc::clone(model), rules.horizon);
        let forecaster = model.as_ref().map(|model| RefCell::new(forecaster(model)));
        Self { rules, judging, model, forecaster }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What it was made of.
    pub fn plan(&self) -> Plan {
        Plan { rules: Arc::clone(&self.rules), model: self.model.clone() }
    }

    /// By what customers are judged.
    pub fn judging(&self) -> &churn::Rules {
        &self.judging
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
        let before = self.before(customer);
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
        let before = self.before(customer);
        self.judge(id, customer, &before, Occasion::Timer { due_ms }, stream_ms, clock)
    }

    fn before(&self, customer: &Customer) -> Before {
        let today = self.rules.calendar.day(customer.path.as_of_ms);
        Before { standing: Standing::of(customer), basis: Basis::of(customer, today) }
    }

    fn judge(
        &mut self,
        id: &str,
        customer: &mut Customer,
        before: &Before,
        occasion: Occasion,
        stream_ms: i64,
        clock: Clock,
    ) -> Raise {
        let Before { standing, basis } = before;
        let (tier_before, lifecycle_before) =
            (self.rules.tiers.of(standing.net_minor()), standing.lifecycle(&self.judging));
        let worth = |customer: &Customer, reading: &Reading| {
            self.worth(customer, reading, &self.prospects(customer, Some(reading)))
        };
        let Verdict { raised, reading, due } =
            churn::judge(customer, standing, occasion, stream_ms, &self.judging, worth);
        let signals = raised.into_iter().map(|raised| self.ready(id, raised, clock)).collect();
        let prospects = self.prospects(customer, reading.as_ref());
        let after = self.share(customer, reading.as_ref(), &prospects);
        // Within a day that brings no further purchase day the chance stays as it is.
        let same = reading.filter(|it| basis.is_some_and(|basis| basis.purchases == it.purchases));
        let counts = lifecycle_before != churn::Lifecycle::Lapsed;
        let predicted = basis.filter(|_| counts).and_then(|basis| {
            let p_alive = match same {
                Some(reading) => reading.p_alive,
                None => self.model.as_ref().map(|model| model.p_alive(&basis.purchases)),
            };
            self.predict(&basis, p_alive).factors(&self.rules)
        });
        let before = Share::new(tier_before, lifecycle_before, basis.is_some(), predicted);
        Raise { signals, due, before, after, reading, prospects }
    }

    /// What the customer counts with as of the day of the reading.
    fn share(
        &self,
        customer: &Customer,
        reading: Option<&Reading>,
        prospects: &Prospects,
    ) -> Share {
        let tier = self.rules.tiers.of(customer.totals.net_revenue_minor());
        let lifecycle = reading.map_or(churn::Lifecycle::New, |reading| reading.lifecycle);
        Share::new(tier, lifecycle, reading.is_some(), prospects.factors(&self.rules))
    }

    fn prospects(&self, customer: &Customer, reading: Option<&Reading>) -> Prospects {
        reading.map_or_else(Prospects::default, |reading| {
            let repeat_net_minor = customer.ledger.repeat_net_minor();
            let basis = Basis { purchases: reading.purchases, repeat_net_minor };
            self.predict(&basis, reading.p_alive)
        })
    }

    fn predict(&self, basis: &Basis, p_alive: Option<f64>) -> Prospects {
        let mut forecaster = self.forecaster.as_ref().map(RefCell::borrow_mut);
        let forecaster = forecaster.as_deref_mut();
        Prospects::of(&self.rules, self.model.as_deref(), forecaster, basis, p_alive)
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

    /// What the state says as of its last step: what that step gave, so that a restart, which knows
    /// the state alone, sets the same timer and counts the same share.
    pub fn rest(&self, customer: &Customer) -> Rest {
        let today = self.rules.calendar.day(customer.path.as_of_ms);
        let (reading, prospects) = self.read(customer, today);
        let due = reading.and_then(|it| it.due_day(&customer.path.latches, &self.judging));
        Rest { due, share: self.share(customer, reading.as_ref(), &prospects) }
    }

    /// What the customer counts with on a day that is no earlier than the last step and before the
    /// timer.
    pub fn share_on(&self, customer: &Customer, today: Day) -> Share {
        let (reading, prospects) = self.read(customer, today);
        self.share(customer, reading.as_ref(), &prospects)
    }

    fn read(&self, customer: &Customer, today: Day) -> (Option<Reading>, Prospects) {
        let reading = churn::read(customer, today, &self.judging);
        (reading, self.prospects(customer, reading.as_ref()))
    }

    /// The score of a customer as of an instant, as JSON. `raise` saves the work where the customer
    /// was judged at that very instant.
    pub fn score(
        &self,
        id: &str,
        customer: &Customer,
        as_of_ms: i64,
        cause: Cause,
        raise: Option<&Raise>,
    ) -> Vec<u8> {
        self.account(id, customer, as_of_ms, cause, raise).score.to_json()
    }

    /// [`Self::score`], with what it was made of.
    pub fn account<'a>(
        &'a self,
        id: &'a str,
        customer: &'a Customer,
        as_of_ms: i64,
        cause: Cause,
        raise: Option<&Raise>,
    ) -> Account<'a> {
        let (reading, prospects) = if let Some(raise) = raise {
            (raise.reading, raise.prospects)
        } else {
            self.read(customer, self.rules.calendar.day(as_of_ms))
        };
        let model_label = self.model_label();
        let subject = assess::Subject { id, customer, as_of_ms, cause, model_label };
        let score = assess::score(&self.rules, &self.judging, subject, reading.as_ref(), prospects);
        Account { score, reading, alive: prospects.alive() }
    }

    /// What the customer is worth, for the value at risk.
    fn worth(&self, customer: &Customer, reading: &Reading, prospects: &Prospects) -> Worth {
        let average_order_value = assess::average_order_value(&self.rules, customer);
        let n_orders = customer.totals.n_orders;
        let orders_per_month = formulas::orders_per_month(n_orders, reading.purchases.t_days);
        Worth {
            predicted_alive: prospects.predicted_alive,
            average_order_value,
            orders_per_month: average_order_value.map(|_| orders_per_month),
            horizon_months: self.rules.horizon.months,
        }
    }
}

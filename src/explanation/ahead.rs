//! What comes: a customer played on in silence, timer by timer, and with a purchase, on copies, by
//! the pipeline that judges in operation. Called by `explanation`.

use super::document::{Change, PurchaseToday, Shift};
use crate::calendar::Day;
use crate::churn::{Cause, LapseLine, Lifecycle, Reading, SignalKind};
use crate::customer::{Customer, Latches, Source};
use crate::event::{Body, Event};
use crate::money::Amount;
use crate::pipeline::{Account, Clock, Pipeline, Raise};
use crate::record::score::Score;
use crate::record::wire::{Date, Estimate, Money};

/// Timers that are played: one on each day of three years. Silence has far fewer unless
/// `processing.score_drift_max` is tiny.
const TIMERS_MAX: usize = 1100;

/// A place that no event has.
const NOWHERE: Source = Source { partition: -1, offset: -1 };

/// What silence brings, ascending. Of the days on which nothing but P(alive) has moved only the
/// first is listed.
pub(super) fn silence(
    pipeline: &mut Pipeline,
    id: &str,
    customer: &Customer,
    as_of_ms: i64,
) -> Vec<Change> {
    let account = pipeline.account(id, customer, as_of_ms, Cause::Time, None);
    let Some(mut before) = account.reading.map(|reading| reading.lifecycle) else {
        return Vec::new();
    };
    let mut customer = customer.clone();
    let mut due = pipeline.due_day(&customer);
    let mut changes: Vec<Change> = Vec::new();
    for _ in 0..TIMERS_MAX {
        let Some(on) = due else { break };
        let due_ms = pipeline.rules().calendar.start_ms(on);
        let latches = customer.path.latches;
        let raise = pipeline.fire(id, &mut customer, due_ms, due_ms, Clock::Event);
        due = raise.due;
        let account = pipeline.account(id, &customer, due_ms, Cause::Time, Some(&raise));
        let Some(reading) = account.reading else { break };
        let mut step = Step { pipeline, on, reading: &reading, raise: &raise, changes: Vec::new() };
        step.compare(before, &latches, &customer.path.latches);
        before = reading.lifecycle;
        let is_known = |what| changes.iter().any(|change: &Change| change.what == what);
        step.changes.retain(|change| change.what != SCORE_PUBLISHED || !is_known(SCORE_PUBLISHED));
        changes.append(&mut step.changes);
    }
    changes
}

const SCORE_PUBLISHED: &str = "score_published";

/// One timer.
struct Step<'a> {
    pipeline: &'a Pipeline,
    on: Day,
    reading: &'a Reading,
    raise: &'a Raise,
    changes: Vec<Change>,
}

impl Step<'_> {
    fn compare(&mut self, before: Lifecycle, latches: &Latches, after: &Latches) {
        let now = self.reading.lifecycle;
        if now == Lifecycle::AtRisk && before != now {
            let percent = 100.0 * self.pipeline.judging().settings.at_risk_silence_tail;
            let says =
                format!("at risk: at most {percent} % of loyal customers are silent so long");
            self.push("at_risk", says, None);
        }
        if (now == Lifecycle::Lapsed && before != now) || latches.lapse != after.lapse {
            self.push("lapsed", format!("lapsed: {}", self.lapse()), Some(SignalKind::Lapse));
        }
        if latches.orders != after.orders {
            let says = "an alarm of decline: too few orders against their own past".to_owned();
            self.push("orders_alarm", says, Some(SignalKind::SpendDecline));
        }
        if latches.basket != after.basket {
            let says = "an alarm of decline: too small baskets against their own past".to_owned();
            self.push("basket_alarm", says, Some(SignalKind::SpendDecline));
        }
        if after.usage.is_some() && latches.usage != after.usage {
            let says = "an alarm of use: less than their own past".to_owned();
            self.push("usage_alarm", says, Some(SignalKind::UsageDecline));
        }
        if self.changes.is_empty() {
            let percent = self.reading.p_alive.map(|p_alive| 100.0 * p_alive);
            let chance = percent.map(|it| format!(": still a customer with a chance of {it:.0} %"));
            let says = format!("the score is published again{}", chance.unwrap_or_default());
            self.push(SCORE_PUBLISHED, says, None);
        }
    }

    fn lapse(&self) -> String {
        let judging = self.pipeline.judging();
        let settings = &judging.settings;
        match self.reading.lapse_line(judging) {
            LapseLine::PAlive => {
                let percent = 100.0 * settings.lapse_p_alive;
                format!("still a customer with a chance of at most {percent} %")
            }
            LapseLine::SilenceTail => {
                let percent = 100.0 * settings.lapse_silence_tail;
                format!("at most {percent} % of loyal customers are silent so long")
            }
            LapseLine::DaysSingle => {
                let days = settings.lapse_days_single.max(settings.lapse_days_min);
                format!("{days} days after an only order")
            }
        }
    }

    fn push(&mut self, what: &'static str, says: String, signal: Option<SignalKind>) {
        // One signal tells of both alarms of decline: it is named once.
        let is_raised = |kind: &SignalKind| {
            self.raise.signals.iter().any(|signal| signal.kind == *kind)
                && self.changes.iter().all(|change| change.signal != Some(kind.as_str()))
        };
        let change = Change {
            on: Date(self.on),
            what,
            says,
            lifecycle: Some(self.reading.lifecycle.as_str()),
            p_alive: self.reading.p_alive.and_then(Estimate::of),
            signal: signal.filter(is_raised).map(SignalKind::as_str),
        };
        self.changes.push(change);
    }
}

/// The same, and the day by which an order is expected, where that is to come.
pub(super) fn with_next_order(mut changes: Vec<Change>, account: &Account<'_>) -> Vec<Change> {
    let today = account.reading.map(|reading| reading.today);
    let expected_on = account.score.churn.next_order_expected_on;
    if let Some((on, _)) = expected_on.zip(today).filter(|(on, today)| on.0 > *today) {
        let says = "half of loyal customers like this one have bought again".to_owned();
        let what = "next_order_expected";
        let at = changes.partition_point(|change| change.on <= on);
        changes.insert(at, Change { on, what, says, lifecycle: None, p_alive: None, signal: None });
    }
    changes
}

/// A customer after a purchase.
pub(super) struct Purchased {
    value: Money,
    lifecycle: String,
    p_alive: Option<Estimate>,
    expected_orders: Option<Estimate>,
    predicted: Option<Estimate>,
    lapses_on: Option<Date>,
    signals: Vec<&'static str>,
}

/// What a purchase of the customer's average order value would make of them at this instant; `None`
/// where there is no average.
pub(super) fn purchase(
    pipeline: &mut Pipeline,
    id: &str,
    customer: &Customer,
    as_of_ms: i64,
) -> Option<Purchased> {
    let currency = pipeline.rules().intake.currency;
    let totals = &customer.totals;
    let n_orders = i128::from(totals.n_orders);
    let half_up = totals.gross_minor.checked_add(n_orders / 2)?;
    let minor = i64::try_from(half_up.checked_div(n_orders)?).ok()?;
    let event = Event {
        customer_id: id.into(),
        occurred_at_ms: as_of_ms,
        event_id: None,
        order_id: None,
        channel: None,
        body: Body::OrderCompleted(Amount { minor, currency }),
    };
    let mut customer = customer.clone();
    let raise = pipeline.apply(&mut customer, &event, NOWHERE, as_of_ms)?;
    let account = pipeline.account(id, &customer, as_of_ms, Cause::Event, Some(&raise));
    let Score { churn, clv, segment, .. } = account.score;
    Some(Purchased {
        value: Money::new(minor.into(), currency),
        lifecycle: segment.lifecycle.into_owned(),
        p_alive: churn.p_alive,
        expected_orders: churn.expected_orders,
        predicted: clv.predicted,
        lapses_on: churn.lapses_on,
        signals: raise.signals.iter().map(|signal| signal.kind.as_str()).collect(),
    })
}

impl Purchased {
    /// Beside the score without it.
    pub(super) fn against(self, score: &Score<'_>) -> PurchaseToday {
        let lifecycle = score.segment.lifecycle.clone().into_owned();
        let Score { churn, clv, .. } = score;
        PurchaseToday {
            value: self.value,
            lifecycle: Shift { before: Some(lifecycle), after: Some(self.lifecycle) },
            p_alive: Shift { before: churn.p_alive, after: self.p_alive },
            expected_orders: Shift { before: churn.expected_orders, after: self.expected_orders },
            predicted: Shift { before: clv.predicted, after: self.predicted },
            lapses_on: Shift { before: churn.lapses_on, after: self.lapses_on },
            signals: self.signals,
        }
    }
}

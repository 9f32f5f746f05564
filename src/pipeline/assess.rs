//! Fills a score: figures of the ledger, of the model and of the judgement, side by side. Decides
//! nothing. Called by `pipeline`.

use super::Rules;
use crate::calendar::Day;
use crate::churn::{self, Cause, Confidence, Lifecycle, Reading, TrendState};
use crate::clv::{Alive, Forecaster, Model, Purchases, formulas};
use crate::customer::{Customer, Driver};
use crate::population::Factors;
use crate::record::score::{Churn, Clv, History, SCHEMA, Score, Segment, Source, Trend};
use crate::record::wire::{Date, Estimate, Moment, Money};

/// Whose score, as of when, and why.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) id: &'a str,
    pub(super) customer: &'a Customer,
    pub(super) as_of_ms: i64,
    pub(super) cause: Cause,
    pub(super) model_label: &'a str,
}

/// What the model says of the future, in major units. Absent what it does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prospects {
    /// 0 where nothing is predicted, as the next.
    p_alive: f64,
    /// Of the customer if alive.
    alive: Alive,
    pub(super) expected_orders: Option<f64>,
    pub(super) expected_value: Option<f64>,
    /// Discounted value over the horizon if the customer is alive.
    pub(super) predicted_alive: Option<f64>,
    /// The same times the chance that they are.
    pub(super) predicted: Option<f64>,
}

/// What a prediction is made of: what the models know of a customer on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Basis {
    pub(super) purchases: Purchases,
    pub(super) repeat_net_minor: i128,
}

impl Basis {
    /// `None` without a standing order.
    pub(super) fn of(customer: &Customer, today: Day) -> Option<Self> {
        let ledger = &customer.ledger;
        let purchases = ledger.purchases(today)?;
        Some(Self { purchases, repeat_net_minor: ledger.repeat_net_minor() })
    }
}

impl Prospects {
    pub(super) fn of(
        rules: &Rules,
        model: Option<&Model>,
        forecaster: Option<&mut Forecaster>,
        basis: &Basis,
        p_alive: Option<f64>,
    ) -> Self {
        let (Some(model), Some(forecaster), Some(p_alive)) = (model, forecaster, p_alive) else {
            return Self::default();
        };
        let Basis { purchases, repeat_net_minor } = *basis;
        let alive = forecaster.alive(purchases.x, purchases.t_days);
        let mean_major = match purchases.x {
            0 => 0.0,
            x => major(rules, repeat_net_minor) / f64::from(x),
        };
        let expected_value = model.expected_value(purchases.x, mean_major);
        let predicted_alive = expected_value.map(|value| value * alive.discounted_orders);
        Self {
            p_alive,
            alive,
            expected_orders: Some(p_alive * alive.expected_orders),
            expected_value,
            predicted_alive,
            predicted: predicted_alive.map(|value| value * p_alive),
        }
    }

    /// What a living customer will buy; absent where nothing is predicted.
    pub(super) fn alive(&self) -> Option<Alive> {
        self.expected_orders.map(|_| self.alive)
    }

    /// The prediction in minor units, and the factors of which it is the product.
    pub(super) fn factors(&self, rules: &Rules) -> Option<(f64, Factors)> {
        let (predicted, expected_value) = self.predicted.zip(self.expected_value)?;
        let minor_per_major = rules.intake.currency.minor_per_major();
        let factors = Factors {
            retention: self.p_alive,
            frequency: self.alive.discounted_orders,
            basket: expected_value * minor_per_major,
        };
        Some((predicted * minor_per_major, factors))
    }
}

/// Gross ÷ completed orders in major units; absent without an order.
pub(super) fn average_order_value(rules: &Rules, customer: &Customer) -> Option<f64> {
    let totals = &customer.totals;
    #[expect(clippy::cast_precision_loss, reason = "no customer has 2^53 orders")]
    let n_orders = totals.n_orders as f64;
    (totals.n_orders > 0).then(|| major(rules, totals.gross_minor) / n_orders)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate keeps eight digits")]
fn major(rules: &Rules, minor: i128) -> f64 {
    minor as f64 / rules.intake.currency.minor_per_major()
}

pub(super) fn score<'a>(
    rules: &'a Rules,
    judging: &churn::Rules,
    subject: Subject<'a>,
    reading: Option<&Reading>,
    prospects: Prospects,
) -> Score<'a> {
    let Subject { id, customer, as_of_ms, cause, model_label } = subject;
    let tier = rules.tiers.of(customer.totals.net_revenue_minor());
    let lifecycle = reading.map_or(Lifecycle::New, |reading| reading.lifecycle);
    Score {
        schema: SCHEMA.into(),
        customer_id: id.into(),
        as_of: Moment(as_of_ms),
        cause: cause.as_str().into(),
        currency: rules.intake.currency.code().into(),
        history: history(rules, customer),
        clv: clv(rules, customer, reading, prospects),
        churn: reading.map_or_else(Churn::default, |reading| churn(judging, reading, prospects)),
        trend: trend(customer, reading),
        segment: Segment {
            value: rules.tiers.name(tier).into(),
            lifecycle: lifecycle.as_str().into(),
        },
        model: model_label.into(),
        source: customer
            .path
            .source
            .map(|source| Source { partition: source.partition, offset: source.offset }),
    }
}

fn history(rules: &Rules, customer: &Customer) -> History {
    let currency = rules.intake.currency;
    let (totals, ledger) = (&customer.totals, &customer.ledger);
    let cost_minor = customer.counters.acquisition_cost_minor;
    History {
        orders: totals.n_orders,
        purchase_days: ledger.n_days(),
        first_order_on: ledger.first_day().map(Date),
        last_order_on: ledger.last_day().map(Date),
        gross: Money::new(totals.gross_minor, currency),
        refunded: Money::new(totals.refunded_minor + totals.unmatched_minor, currency),
        net_revenue: Money::new(totals.net_revenue_minor(), currency),
        average_order_value: average_order_value(rules, customer).and_then(Estimate::of),
        carts_abandoned: customer.counters.n_carts_abandoned,
        acquisition_cost: (cost_minor != 0).then(|| Money::new(cost_minor, currency)),
    }
}

fn clv(rules: &Rules, customer: &Customer, reading: Option<&Reading>, prospects: Prospects) -> Clv {
    let net_minor = customer.totals.net_revenue_minor();
    let average = average_order_value(rules, customer);
    let n_orders = customer.totals.n_orders;
    let formula = average.zip(reading).map(|(average, reading)| {
        let monthly = formulas::orders_per_month(n_orders, reading.purchases.t_days);
        formulas::formula(average, monthly, f64::from(rules.retention_months))
    });
    let historic = major(rules, net_minor);
    let total = prospects.predicted.map(|predicted| historic + predicted);
    let cost_minor = customer.counters.acquisition_cost_minor;
    let cost = (cost_minor > 0).then(|| major(rules, cost_minor));
    Clv {
        historic: Money::new(net_minor, rules.intake.currency),
        simple: average.and_then(|average| Estimate::of(formulas::simple(average, n_orders))),
        formula: formula.and_then(Estimate::of),
        predicted: prospects.predicted.and_then(Estimate::of),
        total: total.and_then(Estimate::of),
        to_acquisition_cost: cost.and_then(|cost| Estimate::of(total.unwrap_or(historic) / cost)),
    }
}

fn churn(judging: &churn::Rules, reading: &Reading, prospects: Prospects) -> Churn {
    let purchases = reading.purchases;
    let median_days = judging.prior().next_order_median_days(purchases.x, purchases.t_x_days);
    let first = reading.last.plus(-signed(purchases.t_x_days));
    Churn {
        p_alive: reading.p_alive.and_then(Estimate::of),
        expected_orders: prospects.expected_orders.and_then(Estimate::of),
        expected_order_value: prospects.expected_value.and_then(Estimate::of),
        silence_tail: Estimate::of(reading.silence_tail),
        next_order_expected_on: median_days.map(|days| Date(first.plus(signed(days)))),
        lapses_on: reading.deadlines.lapses_on.map(Date),
    }
}

fn signed(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}

fn trend(customer: &Customer, reading: Option<&Reading>) -> Trend<'static> {
    let Some(trend) = reading.map(|reading| reading.trend(customer)) else {
        return Trend {
            state: TrendState::Unknown.as_str().into(),
            since: None,
            driver: None,
            orders_ratio: None,
            basket_ratio: None,
            spend_ratio: None,
            confidence: Confidence::None.as_str().into(),
        };
    };
    Trend {
        state: trend.state.as_str().into(),
        since: trend.since.map(Date),
        driver: trend.driver.map(Driver::as_str).map(Into::into),
        orders_ratio: trend.orders_ratio.and_then(Estimate::of),
        basket_ratio: trend.basket_ratio.and_then(Estimate::of),
        spend_ratio: trend.spend_ratio.and_then(Estimate::of),
        confidence: trend.confidence.as_str().into(),
    }
}

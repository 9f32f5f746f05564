//! The inputs of a score and the pieces of its figures, each by the formula that made it. Called by
//! `explanation`.

use std::collections::BTreeMap;

use super::document::{
    ExpectedOrders, ExpectedValue, Formula, Historic, Inputs, LeftOut, PAlive, Pieces, Predicted,
    SilenceTail, Simple, Total,
};
use crate::churn::Reading;
use crate::clv::{DAYS_PER_WEEK, Model, Parameters, Spend, formulas};
use crate::customer::Customer;
use crate::pipeline::{Account, Pipeline};
use crate::record::wire::Estimate;

pub(super) fn inputs(pipeline: &Pipeline, customer: &Customer, account: &Account<'_>) -> Inputs {
    let history = &account.score.history;
    let purchases = account.reading.map(|reading| reading.purchases);
    let repeated = purchases.filter(|purchases| purchases.x > 0);
    let gap_days = repeated.map(|it| f64::from(it.t_x_days) / f64::from(it.x));
    let prior = pipeline.judging().prior();
    let model = pipeline.model();
    let parameters = model.map_or_else(
        || Parameters { r: Some(prior.r), alpha: Some(prior.alpha_weeks), ..Default::default() },
        |model| model.parameters(),
    );
    let Parameters { r, alpha, a, b, s, beta } = parameters;
    let Spend { p, q, gamma } = model.and_then(|model| model.spend()).unwrap_or_default();
    Inputs {
        first_order_on: history.first_order_on,
        last_order_on: history.last_order_on,
        usual_gap_days: gap_days.and_then(Estimate::of),
        days_silent: account
            .reading
            .map(|reading| u32::try_from(reading.days_silent()).unwrap_or(0)),
        mean_repeat_value: own_mean(pipeline, customer, account.reading.as_ref())
            .and_then(Estimate::of),
        model: pipeline.model_label().to_owned(),
        identifiable: model.map(|model| model.identifiable()),
        parameters: named([
            ("r", r),
            ("alpha", alpha),
            ("a", a),
            ("b", b),
            ("s", s),
            ("beta", beta),
        ]),
        spend: named([("p", p), ("q", q), ("gamma", gamma)]),
        left_out: left_out(pipeline, account),
    }
}

fn named<const N: usize>(
    parameters: [(&'static str, Option<f64>); N],
) -> BTreeMap<&'static str, f64> {
    parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The mean of the repeat days in major units, as the spend model takes it.
#[expect(clippy::cast_precision_loss, reason = "an estimate keeps eight digits")]
fn own_mean(pipeline: &Pipeline, customer: &Customer, reading: Option<&Reading>) -> Option<f64> {
    let x = reading?.purchases.x;
    let minor = customer.ledger.repeat_net_minor() as f64;
    let major = minor / pipeline.rules().intake.currency.minor_per_major();
    (x > 0).then(|| major / f64::from(x))
}

fn left_out(pipeline: &Pipeline, account: &Account<'_>) -> Vec<LeftOut> {
    const OF_ORDERS: &[&str] = &["clv.formula", "clv.predicted", "clv.total", "churn", "trend"];
    const OF_MODEL: &[&str] = &[
        "clv.predicted",
        "clv.total",
        "churn.p_alive",
        "churn.expected_orders",
        "churn.expected_order_value",
    ];
    const OF_SPEND: &[&str] = &["clv.predicted", "clv.total", "churn.expected_order_value"];
    const OF_TREND: &[&str] = &["trend.orders_ratio", "trend.basket_ratio", "trend.spend_ratio"];
    if account.reading.is_none() {
        return vec![LeftOut { figures: OF_ORDERS, why: "no order stands" }];
    }
    let of_model = match pipeline.model() {
        None => Some(LeftOut { figures: OF_MODEL, why: "there is no model" }),
        Some(model) if model.spend().is_none() => {
            Some(LeftOut { figures: OF_SPEND, why: "the model has no `[spend]`" })
        }
        Some(_) => None,
    };
    let why = "fewer than 3 purchase days up to 56 days ago";
    let is_unknown = account.score.trend.confidence == "none";
    let of_trend = is_unknown.then_some(LeftOut { figures: OF_TREND, why });
    of_model.into_iter().chain(of_trend).collect()
}

pub(super) fn pieces(pipeline: &Pipeline, customer: &Customer, account: &Account<'_>) -> Pieces {
    let score = &account.score;
    let (rules, model) = (pipeline.rules(), pipeline.model());
    let (clv, history) = (&score.clv, &score.history);
    let reading = account.reading.as_ref();
    let purchases = reading.map(|reading| reading.purchases);
    let expected_orders = || {
        Some(ExpectedOrders {
            value: score.churn.expected_orders?,
            if_alive: Estimate::of(account.alive?.expected_orders)?,
            p_alive: score.churn.p_alive?,
            days: rules.horizon.orders_days,
        })
    };
    let p_alive = || {
        let d = model?.ln_odds_of_death(&purchases?);
        let log_odds_of_death = d.and_then(Estimate::of);
        Some(PAlive { value: score.churn.p_alive?, log_odds_of_death })
    };
    let predicted = || {
        Some(Predicted {
            value: clv.predicted?,
            p_alive: score.churn.p_alive?,
            discounted_orders_if_alive: Estimate::of(account.alive?.discounted_orders)?,
            expected_order_value: score.churn.expected_order_value?,
            months: rules.horizon.months,
            discount_monthly: rules.horizon.discount_monthly,
        })
    };
    let formula = || {
        let per_month = formulas::orders_per_month(history.orders, purchases?.t_days);
        Some(Formula {
            value: clv.formula?,
            average_order_value: history.average_order_value?,
            orders_per_month: Estimate::of(per_month)?,
            retention_months: rules.retention_months,
        })
    };
    let simple = clv.simple.zip(history.average_order_value);
    let total = clv.total.zip(clv.predicted);
    Pieces {
        p_alive: p_alive(),
        silence_tail: silence_tail(pipeline, account),
        expected_orders: expected_orders(),
        expected_order_value: model.and_then(|model| value(pipeline, customer, account, model)),
        predicted: predicted(),
        formula: formula(),
        simple: simple.map(|(value, average_order_value)| Simple {
            value,
            average_order_value,
            orders: history.orders,
        }),
        historic: Historic {
            value: clv.historic,
            gross: history.gross,
            refunded: history.refunded,
        },
        total: total.map(|(value, predicted)| Total { value, historic: clv.historic, predicted }),
    }
}

fn silence_tail(pipeline: &Pipeline, account: &Account<'_>) -> Option<SilenceTail> {
    let purchases = account.reading?.purchases;
    let prior = pipeline.judging().prior();
    let scale = |days| prior.alpha_weeks + f64::from(days) / DAYS_PER_WEEK;
    Some(SilenceTail {
        value: account.score.churn.silence_tail?,
        base: Estimate::of(scale(purchases.t_x_days) / scale(purchases.t_days))?,
        exponent: Estimate::of(prior.r + f64::from(purchases.x))?,
    })
}

fn value(
    pipeline: &Pipeline,
    customer: &Customer,
    account: &Account<'_>,
    model: &Model,
) -> Option<ExpectedValue> {
    let own_mean = own_mean(pipeline, customer, account.reading.as_ref());
    let x = account.reading?.purchases.x;
    Some(ExpectedValue {
        value: account.score.churn.expected_order_value?,
        own_mean: own_mean.and_then(Estimate::of),
        own_weight: Estimate::of(model.own_value_share(x, own_mean.unwrap_or(0.0))?)?,
        population_mean: Estimate::of(model.population_mean_value()?)?,
    })
}

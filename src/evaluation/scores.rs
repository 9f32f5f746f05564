//! What the model and the simple rules said of each customer on the split day, and the order in
//! which each score puts them. It sees what was known and nothing else. Called by this module.

use serde::Serialize;

use super::cohort::{Cohort, Known, RECENT_DAYS};
use super::{AGE_DAYS_MIN, HALF, Question, Target};
use crate::clv::{DAYS_PER_WEEK, Model, Purchases, RatePrior};

/// What more purchase days could add to a chance that falls with their number is not looked at
/// below this.
const CHANCE_NEGLIGIBLE: f64 = 1e-12;

/// Something by which customers can be put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Purchase days that the model expects in the window; few first.
    ExpectedOrders,
    /// The chance of no purchase day in the window; high first.
    NoPurchaseChance,
    /// The chance that the window brings less than half of the customer's own rate; high first.
    HalvingChance,
    /// What the model expects to be spent in the window; little first.
    ExpectedSpend,
    /// The same over what the customer's own rate would bring; little first.
    ExpectedSpendRatio,
    /// The chance that the customer is alive; low first.
    PAlive,
    /// The chance that a living customer is silent this long; low first.
    SilenceTail,
    /// Days since the last purchase day; many first.
    Hiatus,
    /// The same over the 90 % quantile of the customer's own gaps, of everybody's gaps where the
    /// customer has none; many first.
    OwnGap,
    /// Spend of the last 56 days over what the customer's own rate would bring; little first.
    RecentSpend,
}

impl Score {
    /// All of them, as they are told: the model's, then the simple rules.
    pub const ALL: [Self; 10] = [
        Self::ExpectedOrders,
        Self::NoPurchaseChance,
        Self::HalvingChance,
        Self::ExpectedSpend,
        Self::ExpectedSpendRatio,
        Self::PAlive,
        Self::SilenceTail,
        Self::Hiatus,
        Self::OwnGap,
        Self::RecentSpend,
    ];

    /// Whether it is asked about a target. Two have a meaning only for who has a rate of their own.
    pub(super) const fn is_asked_about(self, target: Target) -> bool {
        let needs_own_rate = matches!(self, Self::HalvingChance | Self::ExpectedSpendRatio);
        matches!(target, Target::SpendHalved) || !needs_own_rate
    }

    /// Whether it is a rule of thumb that needs no model.
    pub const fn is_rule(self) -> bool {
        matches!(self, Self::Hiatus | Self::OwnGap | Self::RecentSpend)
    }
}

/// What the model said of one customer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// The chance that they are alive.
    pub p_alive: f64,
    /// Purchase days in the window.
    pub expected_orders: f64,
    /// Spend in the window, in major units; absent without a spend model.
    pub expected_spend: Option<f64>,
    /// The chance of no purchase day in the window.
    pub no_purchase_chance: f64,
    /// The chance that the window brings less than half of the customer's own rate; absent without
    /// a spend model and for whom the question has no meaning.
    pub halving_chance: Option<f64>,
}

/// What a customer's own rate, their first purchase day included, would bring in some days; absent
/// for who is too young to have a rate or has spent nothing.
pub(super) fn own_spend(known: &Known, days: u32) -> Option<f64> {
    let age_days = known.purchases.t_days;
    let is_known = age_days >= AGE_DAYS_MIN && known.net_major > 0.0;
    is_known.then(|| known.net_major / f64::from(age_days) * f64::from(days))
}

/// What the model says of every customer, in their order.
pub fn forecasts(model: &Model, cohort: &Cohort, question: Question) -> Vec<Forecast> {
    let known = &cohort.known;
    let mut order: Vec<usize> = (0..known.len()).collect();
    // Next to each other, customers of one frequency and age share what is costly.
    order.sort_by_key(|i| (known[*i].purchases.x, known[*i].purchases.t_days));
    let horizon_weeks = f64::from(question.window_days()) / DAYS_PER_WEEK;
    let mut forecasts = vec![None; known.len()];
    let mut shared: Option<Shared> = None;
    for i in order {
        let Purchases { x, t_days, .. } = known[i].purchases;
        let shared = match &mut shared {
            Some(shared) if (shared.x, shared.t_days) == (x, t_days) => shared,
            other => other.insert(Shared {
                x,
                t_days,
                orders: model.expected_orders_alive(x, t_days, horizon_weeks),
                chances: model.order_chances_alive(x, t_days, horizon_weeks),
            }),
        };
        forecasts[i] = Some(forecast(model, &known[i], shared, question));
    }
    forecasts.into_iter().flatten().collect()
}

/// What customers of one frequency and age have in common while they live.
struct Shared {
    x: u32,
    t_days: u32,
    orders: f64,
    chances: Vec<f64>,
}

fn forecast(model: &Model, known: &Known, shared: &Shared, question: Question) -> Forecast {
    let p_alive = model.p_alive(&known.purchases);
    let expected_orders = p_alive * shared.orders;
    let value = model.expected_value(shared.x, known.repeat_mean_major);
    let none = shared.chances.first().copied().unwrap_or(1.0);
    let of_living = |chance: f64| (1.0 - p_alive + p_alive * chance).clamp(0.0, 1.0);
    Forecast {
        p_alive,
        expected_orders,
        expected_spend: value.map(|value| value * expected_orders),
        no_purchase_chance: of_living(none),
        halving_chance: own_spend(known, question.window_days())
            .and_then(|own| chance_of_less(model, known, &shared.chances, HALF * own))
            .map(of_living),
    }
}

/// The chance that a living customer spends less than `limit_major`: over each number of purchase
/// days, its chance times that of their sum.
fn chance_of_less(model: &Model, known: &Known, chances: &[f64], limit_major: f64) -> Option<f64> {
    let (mut sum, mut rest) = (0.0, 1.0);
    for (n_orders, chance) in (0..).zip(chances) {
        let (x, mean) = (known.purchases.x, known.repeat_mean_major);
        let less = model.chance_of_less(x, mean, n_orders, limit_major)?;
        sum += chance * less;
        rest -= chance;
        if less * rest < CHANCE_NEGLIGIBLE {
            break;
        }
    }
    Some(sum)
}

/// How much each customer is at risk by a score, more for those whom it puts first; `None` for a
/// score that cannot be computed of these customers. Who is asked about by no cell has any number.
pub(super) fn risks(
    score: Score,
    cohort: &Cohort,
    forecasts: Option<&[Forecast]>,
    prior: RatePrior,
) -> Option<Vec<f64>> {
    let of_known = |risk: &dyn Fn(&Known) -> f64| Some(cohort.known.iter().map(risk).collect());
    let of_forecast = |risk: &dyn Fn(&Forecast) -> Option<f64>| -> Option<Vec<f64>> {
        forecasts?.iter().map(risk).collect()
    };
    match score {
        Score::ExpectedOrders => of_forecast(&|it| Some(-it.expected_orders)),
        Score::NoPurchaseChance => of_forecast(&|it| Some(it.no_purchase_chance)),
        Score::HalvingChance => {
            let has_any = forecasts?.iter().any(|it| it.halving_chance.is_some());
            let chance = |it: &Forecast| Some(it.halving_chance.unwrap_or(0.0));
            of_forecast(&chance).filter(|_| has_any)
        }
        Score::ExpectedSpend => of_forecast(&|it| it.expected_spend.map(|spend| -spend)),
        Score::ExpectedSpendRatio => {
            let spends = of_forecast(&|it| it.expected_spend)?;
            let ratio = |(known, spend): (&Known, f64)| match own_spend(known, 1) {
                Some(own) => -spend / own,
                None => 0.0,
            };
            Some(cohort.known.iter().zip(spends).map(ratio).collect())
        }
        Score::PAlive => of_forecast(&|it| Some(-it.p_alive)),
        Score::SilenceTail => of_known(&|it| -prior.silence_tail(&it.purchases)),
        Score::Hiatus => of_known(&silence_days),
        Score::OwnGap => {
            let everybody = cohort.long_gap_days()?;
            of_known(&|it| silence_days(it) / it.long_gap_days.unwrap_or(everybody))
        }
        Score::RecentSpend => of_known(&|it| {
            let share = if it.net_major > 0.0 { it.recent_major / it.net_major } else { 0.0 };
            -share * (f64::from(it.purchases.t_days) / f64::from(RECENT_DAYS)).max(1.0)
        }),
    }
}

fn silence_days(known: &Known) -> f64 {
    f64::from(known.purchases.t_days.saturating_sub(known.purchases.t_x_days))
}

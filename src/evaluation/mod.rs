//! Whether predictions come true: what the model and the simple rules said of every customer at the
//! end of a past day, against what the customers did afterwards.
//!
//! `cohort` what was known and what came · `scores` the forecasts and the orders in which they put
//! customers · `ranking` how good an order is · `bands` sums and calibration · `rounds` how far
//! chance alone moves a figure.
//!
//! Pure: numbers in, figures out; the draws of the bootstrap are handed in. Nothing that came after
//! the split enters a forecast. It fits no model and writes no sentence. Called by `commands`.

mod bands;
mod cohort;
mod ranking;
mod rounds;
mod scores;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::calendar::Day;
use crate::clv::{Model, RatePrior};

pub use bands::{Band, Bias, Quantity};
pub use cohort::{Became, Cohort, Known, RECENT_DAYS};
pub use rounds::{CONFIDENCE, Figure};
pub use scores::{Forecast, Score, forecasts};

use ranking::{Cell, Quality, Ranked, Totals};
use rounds::{Series, n_rounds, resample};

/// Who is younger at the split has no rate of their own to fall below.
pub const AGE_DAYS_MIN: u32 = 28;

/// The share of their own rate below which a customer's spend has fallen.
pub const HALF: f64 = 0.5;

/// The days that an evaluation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The last day that was known.
    pub split: Day,
    /// The last day of the window after it.
    pub until: Day,
}

impl Question {
    /// Days of the window.
    pub fn window_days(&self) -> u32 {
        u32::try_from(self.until.days_since(self.split)).unwrap_or(0)
    }
}

/// What a customer may do in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// No purchase day.
    NoPurchase,
    /// Net spend below half of what the customer's own rate up to the split would bring.
    SpendHalved,
}

/// Of whom it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Everybody of whom the question has a meaning.
    All,
    /// Those of them with a repeat day.
    Repeaters,
}

/// How well the scores foretold one target in one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// What was to be foretold.
    pub target: Target,
    /// Of whom.
    pub group: Group,
    /// Customers.
    pub customers: u64,
    /// To how many of them it happened.
    pub happened: u64,
    /// To what share; absent without customers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_rate: Option<f64>,
    /// Customers in the first tenth, rounded up.
    pub top_customers: u64,
    /// The scores that can be computed.
    pub scores: Vec<Scored>,
}

/// How well one score foretold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// The score.
    pub score: Score,
    /// The chance that a customer to whom it happened stands before one to whom it did not; absent
    /// where all are of one kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc: Option<Figure>,
    /// By how much that is more than by [`Score::Hiatus`], the simplest rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc_over_hiatus: Option<Figure>,
    /// To what share of the first tenth it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Figure>,
    /// The same over the base rate; absent where it happened to nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lift: Option<f64>,
}

/// Predicted against actual, in bands of the prediction.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected purchase days against purchase days.
    pub orders: Vec<Band>,
    /// The chance of no purchase day against the share without one.
    pub no_purchase: Vec<Band>,
}

/// All figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Rounds of the bootstrap behind the intervals.
    pub rounds: u64,
    /// What was to be foretold, of whom, and how well it was.
    pub trials: Vec<Trial>,
    /// Sums of predicted and actual; empty without a model.
    pub bias: Vec<Bias>,
    /// Absent without a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// Judges the model and the simple rules by what the customers did. Without a model the rules alone
/// are judged, and the silence tail under `prior`.
///
/// `below` draws a whole number below the given one, each as likely; `on_round` hears after each
/// round how many are done, and of how many.
pub fn evaluate(
    cohort: &Cohort,
    question: Question,
    model: Option<&Model>,
    prior: RatePrior,
    below: &mut dyn FnMut(u64) -> u64,
    on_round: &mut dyn FnMut(u64, u64),
) -> Evaluation {
    let forecasts = model.map(|model| forecasts(model, cohort, question));
    let forecasts = forecasts.as_deref();
    let prior = model.map_or(prior, Model::rate_prior);
    let mut running: Vec<Running> = CELLS
        .iter()
        .map(|(target, group)| Running::new(*target, *group, cohort, question))
        .collect();
    for score in Score::ALL {
        let Some(risks) = scores::risks(score, cohort, forecasts, prior) else { continue };
        for trial in running.iter_mut().filter(|trial| score.is_asked_about(trial.target)) {
            trial.ranked.push((score, Ranked::new(&trial.cell, &risks)));
        }
    }
    let mut sums = forecasts.map_or(Vec::new(), |forecasts| bands::sums(cohort, forecasts));
    let mut weights = vec![1; cohort.len()];
    for trial in &mut running {
        trial.round(&weights);
    }
    let n_rounds = n_rounds(cohort.len());
    for round in 1..=n_rounds {
        resample(&mut weights, below);
        for trial in &mut running {
            trial.round(&weights);
        }
        for sum in &mut sums {
            sum.round(&weights);
        }
        on_round(round, n_rounds);
    }
    Evaluation {
        rounds: n_rounds,
        trials: running.into_iter().map(Running::trial).collect(),
        bias: sums.into_iter().map(bands::Sum::bias).collect(),
        calibration: forecasts.map(|forecasts| calibration(cohort, forecasts)),
    }
}

const CELLS: [(Target, Group); 4] = [
    (Target::NoPurchase, Group::All),
    (Target::NoPurchase, Group::Repeaters),
    (Target::SpendHalved, Group::All),
    (Target::SpendHalved, Group::Repeaters),
];

/// A trial whose rounds are not all in.
struct Running {
    target: Target,
    group: Group,
    cell: Cell,
    totals: Option<Totals>,
    ranked: Vec<(Score, Ranked)>,
    /// Of each score, the qualities so far: of all customers as they are, then of each round.
    qualities: Vec<Vec<Quality>>,
}

impl Running {
    fn new(target: Target, group: Group, cohort: &Cohort, question: Question) -> Self {
        let rows = (0..).zip(cohort.known.iter().zip(&cohort.became));
        let members = rows.filter(|(_, (known, _))| group == Group::All || known.purchases.x > 0);
        let members = members.filter_map(|(customer, (known, became))| {
            let happened = match target {
                Target::NoPurchase => became.n_days == 0,
                Target::SpendHalved => {
                    let own = scores::own_spend(known, question.window_days())?;
                    became.net_major < HALF * own
                }
            };
            Some((customer, happened))
        });
        let cell = Cell { members: members.collect() };
        Self { target, group, cell, totals: None, ranked: Vec::new(), qualities: Vec::new() }
    }

    fn round(&mut self, weights: &[u32]) {
        let totals = self.cell.totals(weights);
        // The first round is of the customers as they are.
        self.totals.get_or_insert(totals);
        self.qualities.resize(self.ranked.len(), Vec::new());
        for ((_, ranked), qualities) in self.ranked.iter().zip(&mut self.qualities) {
            qualities.push(ranked.quality(weights, totals));
        }
    }

    fn trial(self) -> Trial {
        let totals = self.totals.unwrap_or(Totals { n_positive: 0, n: 0 });
        let hiatus = self.ranked.iter().position(|(score, _)| *score == Score::Hiatus);
        let hiatus = hiatus.map(|i| &self.qualities[i]);
        let scored = |((score, _), qualities): (&(Score, Ranked), &Vec<Quality>)| {
            let over = hiatus.filter(|_| *score != Score::Hiatus).map(|hiatus| {
                figure(qualities.iter().zip(hiatus).map(|(it, rule)| Some(it.auc? - rule.auc?)))
            });
            let precision = figure(qualities.iter().map(|it| it.precision));
            let base_rate = totals.base_rate().filter(|base_rate| *base_rate > 0.0);
            Scored {
                score: *score,
                auc: figure(qualities.iter().map(|it| it.auc)),
                auc_over_hiatus: over.flatten(),
                precision,
                lift: precision.zip(base_rate).map(|(precision, base)| precision.value / base),
            }
        };
        Trial {
            target: self.target,
            group: self.group,
            customers: totals.n,
            happened: totals.n_positive,
            base_rate: totals.base_rate(),
            top_customers: totals.n_top(),
            scores: self.ranked.iter().zip(&self.qualities).map(scored).collect(),
        }
    }
}

/// The first value is that of all customers as they are, the others are the rounds'.
fn figure(mut values: impl Iterator<Item = Option<f64>>) -> Option<Figure> {
    let mut series = Series::new(values.next().flatten());
    values.for_each(|value| series.push(value));
    series.figure()
}

fn calibration(cohort: &Cohort, forecasts: &[Forecast]) -> Calibration {
    let orders: Vec<f64> = forecasts.iter().map(|it| it.expected_orders).collect();
    let chances: Vec<f64> = forecasts.iter().map(|it| it.no_purchase_chance).collect();
    let days: Vec<f64> = cohort.became.iter().map(|it| f64::from(it.n_days)).collect();
    let none: Vec<f64> =
        cohort.became.iter().map(|it| f64::from(u8::from(it.n_days == 0))).collect();
    Calibration { orders: bands::bands(&orders, &days), no_purchase: bands::bands(&chances, &none) }
}

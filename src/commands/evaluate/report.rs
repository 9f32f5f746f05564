//! All that an evaluation found, as `--json` writes it: stable names, what is unknown left out.
//! Computes nothing but counts. Filled by `mod`, told by `table` and `page`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::calendar::Day;
use crate::evaluation::{
    AGE_DAYS_MIN, CONFIDENCE, Cohort, Evaluation, Group, Question, Score, Scored, Target, Trial,
};
use crate::fit::{Fitted, LIKELIHOOD_RATIO_MIN};
use crate::history::Tally;
use crate::money::Currency;

use super::SEED;

/// What `schema` says.
const SCHEMA: &str = "lifetide.evaluation/1";

/// An evaluation.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    /// The last day that was known.
    #[serde(serialize_with = "iso")]
    pub(super) split: Day,
    /// The last day of the window.
    #[serde(serialize_with = "iso")]
    pub(super) until: Day,
    /// Days of the window, which begins on the day after the split.
    pub(super) window_days: u32,
    pub(super) currency: String,
    pub(super) history: History,
    pub(super) customers: Customers,
    /// Absent where none could be fitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<FittedModel>,
    /// What to mind, a sentence each.
    pub(super) warnings: Vec<String>,
    pub(super) bootstrap: Bootstrap,
    #[serde(flatten)]
    pub(super) evaluation: Evaluation,
}

/// What was read.
#[derive(Debug, Serialize)]
pub(super) struct History {
    pub(super) rows: u64,
    pub(super) skipped: BTreeMap<&'static str, u64>,
    pub(super) after_until: u64,
}

/// Who is judged, and who is not.
#[derive(Debug, Default, Serialize)]
pub(super) struct Customers {
    /// With an order that stood at the end of the split day: all who are judged.
    pub(super) known: u64,
    /// Of these, with a purchase day after the first.
    pub(super) repeaters: u64,
    /// Of these, without a rate of their own, for they were younger than four weeks.
    pub(super) too_young: u64,
    /// Of the others, without one because all they had was free.
    pub(super) without_spend: u64,
    /// Of the known, erased in the window; they count as without purchase up to then.
    pub(super) erased_later: u64,
    /// Not judged: nothing was known of them at the split.
    pub(super) first_seen_later: u64,
    /// Not judged: known by then without an order that stood.
    pub(super) without_order: u64,
    /// Events of all of them that were there already.
    pub(super) duplicate_events: u64,
}

impl Customers {
    pub(super) fn count(&mut self, cohort: &Cohort) {
        for known in cohort.known() {
            self.known += 1;
            self.repeaters += u64::from(known.purchases.x > 0);
            let is_young = known.purchases.t_days < AGE_DAYS_MIN;
            self.too_young += u64::from(is_young);
            self.without_spend += u64::from(!is_young && known.net_major <= 0.0);
        }
    }
}

/// The model, fitted to what was known.
#[derive(Debug, Serialize)]
pub(super) struct FittedModel {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) parameters: BTreeMap<&'static str, f64>,
    pub(super) log_likelihood: f64,
    /// Twice the gain in log-likelihood over NBD, in which nobody leaves.
    pub(super) likelihood_ratio: f64,
    pub(super) likelihood_ratio_needed: f64,
    /// Whether the history tells leaving from rare buying; if not, nobody should act on `p_alive`.
    pub(super) identifiable: bool,
    /// Whether there is a spend model, and so forecasts of money.
    pub(super) spend: bool,
}

/// Where the intervals come from.
#[derive(Debug, Serialize)]
pub(super) struct Bootstrap {
    pub(super) seed: u64,
    pub(super) confidence: f64,
}

impl Report {
    pub(super) fn new(
        question: Question,
        currency: Currency,
        tally: &Tally,
        customers: Customers,
        fitted: Option<&Fitted>,
        warnings: Vec<String>,
        evaluation: Evaluation,
    ) -> Self {
        let skipped = tally.n_bad.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
        Self {
            schema: SCHEMA,
            split: question.split,
            until: question.until,
            window_days: question.window_days(),
            currency: currency.code().to_owned(),
            history: History { rows: tally.n_rows, skipped, after_until: tally.n_after_until },
            customers,
            model: fitted.map(FittedModel::of),
            warnings,
            bootstrap: Bootstrap { seed: SEED, confidence: CONFIDENCE },
            evaluation,
        }
    }

    /// The trial of a target in a group.
    pub(super) fn trial(&self, target: Target, group: Group) -> Option<&Trial> {
        let trials = &self.evaluation.trials;
        trials.iter().find(|trial| trial.target == target && trial.group == group)
    }

    /// Whether somebody may act on a score.
    pub(super) fn is_acted_on(&self, score: Score) -> bool {
        score != Score::PAlive || self.model.as_ref().is_some_and(|model| model.identifiable)
    }
}

impl FittedModel {
    fn of(fitted: &Fitted) -> Self {
        let (name, maximum) = (&fitted.file.name, &fitted.tried[0].1);
        let all = maximum.estimates.iter().chain(fitted.spend.iter().flat_map(|it| &it.estimates));
        Self {
            name: name.clone(),
            version: fitted.file.version.clone(),
            parameters: all.map(|estimate| (estimate.key, estimate.value)).collect(),
            log_likelihood: maximum.log_likelihood,
            // Where the search ends a hair below NBD, nothing is gained.
            likelihood_ratio: fitted.likelihood_ratio.max(0.0),
            likelihood_ratio_needed: LIKELIHOOD_RATIO_MIN,
            identifiable: fitted.likelihood_ratio >= LIKELIHOOD_RATIO_MIN,
            spend: fitted.spend.is_some(),
        }
    }
}

/// The score that Lifetide itself goes by for a target: chosen beforehand, not by its figures. With
/// the model, the one that asks the target's own question; without, the silence tail.
pub(super) fn lead(trial: &Trial) -> Option<&Scored> {
    let wanted: &[Score] = match trial.target {
        Target::NoPurchase => &[Score::ExpectedOrders, Score::SilenceTail],
        Target::SpendHalved => &[Score::HalvingChance, Score::NoPurchaseChance, Score::SilenceTail],
    };
    wanted.iter().find_map(|score| scored(trial, *score))
}

/// A score of a trial.
pub(super) fn scored(trial: &Trial, score: Score) -> Option<&Scored> {
    trial.scores.iter().find(|scored| scored.score == score)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn iso<S: Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&day.text())
}

//! `replay --fit-at`: the models that a history would have been gone on with, had each been fitted
//! on its day, by the same rules as in the stream. Called by `replay`.

use std::sync::Arc;

use anyhow::Result;

use crate::calendar::Day;
use crate::cli;
use crate::clv::{Model, ModelFile};
use crate::config::Config;
use crate::fit::succession::{REPEATERS_MIN, SPAN_DAYS_MIN, held_back};
use crate::fit::{Request, Statistics, fit};
use crate::pipeline::{Pipeline, Rules};
use crate::plan::{Plan, read_model_file};
use crate::replay::{Replay, Successor};

/// What came of the days.
#[derive(Debug, Default)]
pub(super) struct Refits {
    /// The models to go on with, ascending.
    pub(super) successors: Vec<Successor>,
    /// A sentence for each day.
    pub(super) said: Vec<String>,
}

/// Fits on each day that was asked for to what was known by its end.
///
/// # Errors
/// The model file of the beginning cannot be read.
pub(super) fn refit(
    replay: &Replay,
    arguments: &cli::Replay,
    plan: &Plan,
    (config, end): (&Config, Day),
) -> Result<Refits> {
    let mut refits = Refits::default();
    if arguments.fit_at.is_empty() {
        return Ok(refits);
    }
    let mut dates = arguments.fit_at.clone();
    dates.sort_unstable();
    dates.dedup();
    let path = arguments.model.as_deref().or(config.model.file.as_deref());
    let file = path.map(read_model_file).transpose()?;
    let mut in_use: Option<(ModelFile, Arc<Model>)> = file.zip(plan.model.clone());
    for day in dates.into_iter().map(Day::from_date) {
        if day >= end {
            refits.said.push(format!("{day}  not used: everybody is judged up to {end}"));
            continue;
        }
        let (statistics, first_day) = known(replay, &plan.rules, day);
        let span_days = first_day.map_or(0, |first| day.days_since(first));
        let n_repeaters = statistics.n_repeaters();
        if n_repeaters < REPEATERS_MIN || span_days < SPAN_DAYS_MIN {
            refits.said.push(format!(
                "{day}  no model: `{n_repeaters}` customers with a second purchase day in \
                 `{span_days}` days, needed are `{REPEATERS_MIN}` in `{SPAN_DAYS_MIN}`"
            ));
            continue;
        }
        let is_taken =
            |version: &str| in_use.as_ref().is_some_and(|(file, _)| file.version == version);
        let version = Some(day.to_string()).filter(|version| !is_taken(version));
        let request = Request {
            name: None,
            version: version.unwrap_or_else(|| format!("{day}.2")),
            currency: Some(plan.rules.intake.currency),
        };
        let fitted = match fit(&statistics, &request) {
            Ok(fitted) => fitted,
            Err(unfit) => {
                refits.said.push(format!("{day}  no model: {unfit}"));
                continue;
            }
        };
        let label = format!("{}/{}", fitted.file.name, fitted.file.version);
        let current = in_use.as_ref().map(|(file, model)| (file, &**model));
        if let Some(reason) = current.and_then(|it| held_back(&statistics, &fitted, it)) {
            refits.said.push(format!("{day}  held back {label}: {reason}"));
            continue;
        }
        let model = Model::from_file(fitted.file.clone()).map_err(|faults| {
            anyhow::anyhow!("the model fitted on `{day}` is refused: {}", faults.join("; "))
        })?;
        let (n_customers, model) = (statistics.n_customers(), Arc::new(model));
        refits.said.push(format!("{day}  fitted {label} to {n_customers} customers"));
        refits.said.extend(fitted.warnings.iter().map(|warning| format!("{day}  {warning}")));
        let pipeline = Pipeline::new(Arc::clone(&plan.rules), Some(Arc::clone(&model)));
        refits.successors.push(Successor { from: day.plus(1), pipeline });
        in_use = Some((fitted.file, model));
    }
    Ok(refits)
}

/// What is known at the end of a day, and the first purchase of all.
fn known(replay: &Replay, rules: &Rules, day: Day) -> (Statistics, Option<Day>) {
    let (mut statistics, mut first_day) = (Statistics::default(), None);
    let ledgers = replay.ledgers(rules, rules.calendar.end_ms(day));
    for ledger in ledgers.filter_map(|one| one.before) {
        statistics.take(&ledger, day, rules.intake.currency);
        first_day = [first_day, ledger.first_day()].into_iter().flatten().min();
    }
    (statistics, first_day)
}

//! `lifetide evaluate`: a history split at a day, the model fitted before it, and its predictions
//! judged by what came after. It computes no figure: `fit` and `evaluation` do. Opens the files,
//! keeps the two sides apart, and has `table`, `report` and `page` tell what came of it.

mod page;
mod pieces;
mod plot;
mod report;
mod style;
mod table;
mod words;

use anyhow::{Context, Result, bail};

use super::reading::{self, Wanted};
use super::{Misuse, Outcome, load_config, printed, progress, refuse_shared_files, write_whole};
use crate::calendar::Day;
use crate::cli;
use crate::clv::Model;
use crate::config::Purpose;
use crate::dice::Dice;
use crate::evaluation::{Cohort, Question, evaluate};
use crate::event::Event;
use crate::fit::{Fitted, Name, Request, Statistics, Unfit, fit};
use crate::history::Order;
use crate::pipeline::Rules;
use crate::plan;
use crate::replay::Replay;
use report::{Customers, Report};

/// The seed of the draws behind the intervals: the same history gives the same page.
const SEED: u64 = 1;

/// Rounds between two movements of the bar.
const PROGRESS_ROUNDS: u64 = 10;

/// Judges a model by the days after a split.
///
/// # Errors
/// Bad usage or configuration, a history that cannot be read or has nothing on one side of the
/// split, a bad row under `--strict`, a file that cannot be written.
pub fn execute(arguments: &cli::Evaluate) -> Result<Outcome> {
    let files = [
        ("--json", arguments.json.as_deref()),
        ("--html", arguments.html.as_deref()),
        ("--input", Some(arguments.history.input.as_path())),
        ("--config", arguments.layers.config.as_deref()),
    ];
    refuse_shared_files(&files, 2)?;
    let split = Day::from_date(arguments.split);
    if let Some(until) = arguments.until.filter(|until| *until <= arguments.split) {
        return Err(Misuse(format!(
            "`--until {until}` is not after `--split {split}`; give a later `--until` or an \
             earlier `--split`"
        ))
        .into());
    }
    let config =
        load_config(arguments.layers.config.as_deref(), &arguments.layers.sets, Purpose::Offline)?;
    let rules = plan::rules(&config, None)?;
    let wanted = Wanted {
        path: &arguments.history.input,
        mapping: &arguments.history.map,
        until: arguments.until.map(Day::from_date),
        order: Order::Time,
        is_strict: arguments.strict,
    };
    let (rows, tally) = reading::read_file(&wanted, &rules)?;
    let events: Vec<Event> = rows.into_iter().map(|row| row.event).collect();
    let (question, mut warnings) = question(arguments, &events, &rules)?;
    let sides = Sides::of(events, &rules, question);
    if sides.cohort.is_empty() {
        bail!(
            "no customer has an order that stood at the end of `--split {split}`; give a later day"
        );
    }
    let (fitted, reason) = fitted(arguments, &sides.statistics, &rules, question)?;
    let model = fitted.as_ref().map(|fitted| Model::from_file(fitted.file.clone()));
    let model = model.transpose().map_err(|faults| anyhow::Error::msg(faults.join("; ")))?;
    warnings.extend(reason);
    warnings.extend(fitted.iter().flat_map(|fitted| fitted.warnings.iter().cloned()));
    let (mut dice, bar) =
        (Dice::new(SEED, 0), progress(0, "resampling {bar:40} {pos}/{len} {eta}"));
    let mut on_round = |n_done: u64, n_rounds| {
        if n_done.is_multiple_of(PROGRESS_ROUNDS) {
            bar.set_length(n_rounds);
            bar.set_position(n_done);
        }
    };
    let prior = rules.churn.prior;
    let below = &mut |bound| dice.below(bound);
    let evaluation = evaluate(&sides.cohort, question, model.as_ref(), prior, below, &mut on_round);
    bar.finish_and_clear();
    let report = Report::new(
        question,
        rules.intake.currency,
        &tally,
        sides.customers,
        fitted.as_ref(),
        warnings,
        evaluation,
    );
    if let Some(path) = &arguments.json {
        let mut json = serde_json::to_string_pretty(&report).context("the figures are no JSON")?;
        json.push('\n');
        write_whole(path, json.as_bytes())?;
    }
    if let Some(path) = &arguments.html {
        write_whole(path, page::page(&report).as_bytes())?;
    }
    printed(table::print(&report, arguments), Outcome::Done)
}

/// The days that are asked about, with what to mind of them.
fn question(
    arguments: &cli::Evaluate,
    events: &[Event],
    rules: &Rules,
) -> Result<(Question, Vec<String>)> {
    let split = Day::from_date(arguments.split);
    let day = |event: &Event| rules.calendar.day(event.occurred_at_ms);
    let (Some(first), Some(last)) = (events.first().map(day), events.last().map(day)) else {
        bail!("the history holds no event; give it one, or look why its rows were skipped");
    };
    if first > split {
        bail!(
            "nothing happened up to `--split {split}`: the first event is of `{first}`; give a \
               later day"
        );
    }
    if last <= split {
        bail!(
            "nothing happened after `--split {split}`: the last event is of `{last}`; give an \
               earlier day"
        );
    }
    let until = arguments.until.map_or(last, Day::from_date);
    let mut warnings = Vec::new();
    if last < until {
        warnings.push(format!(
            "the last event is of `{last}`, before `--until {until}`: the days between count as \
             days on which nobody bought; give `--until {last}` if the history ends there"
        ));
    }
    Ok((Question { split, until }, warnings))
}

/// What was known at the end of the split day, and what came.
struct Sides {
    cohort: Cohort,
    statistics: Statistics,
    customers: Customers,
}

impl Sides {
    fn of(events: Vec<Event>, rules: &Rules, question: Question) -> Self {
        let replay: Replay = events.into_iter().collect();
        let currency = rules.intake.currency;
        let (mut cohort, mut statistics) = (Cohort::default(), Statistics::default());
        let mut customers = Customers::default();
        for one in replay.ledgers(rules, rules.calendar.end_ms(question.split)) {
            customers.duplicate_events += one.n_duplicates;
            let Some(before) = &one.before else {
                customers.first_seen_later += u64::from(one.after.is_some());
                continue;
            };
            if cohort.take(before, one.after.as_ref(), question, currency) {
                statistics.take(before, question.split, currency);
                customers.erased_later += u64::from(one.after.is_none());
            } else {
                customers.without_order += 1;
            }
        }
        customers.count(&cohort);
        Self { cohort, statistics, customers }
    }
}

/// The model as `lifetide fit --until` would make it, or why there is none.
fn fitted(
    arguments: &cli::Evaluate,
    statistics: &Statistics,
    rules: &Rules,
    question: Question,
) -> Result<(Option<Fitted>, Option<String>)> {
    let request = Request {
        name: arguments.name.map(Name::from),
        version: question.split.to_string(),
        currency: Some(rules.intake.currency),
    };
    match fit(statistics, &request) {
        Ok(fitted) => Ok((Some(fitted), None)),
        Err(unfit @ (Unfit::Repeaters { .. } | Unfit::NotFinite(_))) => Ok((
            None,
            Some(format!(
                "there is no model, so the rules that need none are judged alone: up to the split \
                 {unfit}"
            )),
        )),
        Err(unfit @ Unfit::Refused(_)) => Err(unfit.into()),
    }
}

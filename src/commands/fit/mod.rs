//! `lifetide fit`: a model from a history, a file or the input topic, through the same ledgers as
//! the processor's. It estimates nothing: `fit` does. Opens what is to be read, writes the model
//! file and has `table` print what came of it.

mod table;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Error, Result, bail};

use super::reading::{self, Wanted};
use super::{Misuse, Outcome, load_config, printed, progress, refuse_shared_files, write_whole};
use crate::calendar::Day;
use crate::cli;
use crate::config::{Config, Purpose};
use crate::event::{Envelope, Event, Reason, decode};
use crate::fit::{Name, Request, Statistics, Unfit, fit};
use crate::history::Order;
use crate::kafka::scan::{Lying, Scan};
use crate::lifecycle::Shutdown;
use crate::pipeline::Rules;
use crate::plan;
use crate::replay::Replay;
use table::Known;

/// Records between two movements of a bar.
const PROGRESS_RECORDS: u64 = 1000;

/// Fits a model.
///
/// # Errors
/// Bad usage or configuration, a history that cannot be read or has too little in it, a bad row
/// under `--strict`, a file that cannot be written.
pub fn execute(arguments: &cli::Fit) -> Result<Outcome> {
    let files = [
        ("--output", arguments.output.as_deref()),
        ("--input", arguments.input.as_deref()),
        ("--config", arguments.layers.config.as_deref()),
    ];
    refuse_shared_files(&files, 1)?;
    let purpose = if arguments.topic { Purpose::Cluster } else { Purpose::Offline };
    let config = load_config(arguments.layers.config.as_deref(), &arguments.layers.sets, purpose)?;
    // Arrival times tell how far ahead an event is dated; a file has none.
    let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
    let rules = plan::rules(&config, arguments.topic.then_some(skew_ms))?;
    let past = match &arguments.input {
        Some(path) => from_file(path, arguments, &rules)?,
        None => from_topic(arguments, &config, &rules)?,
    };
    let (statistics, known) = count(past, arguments, &rules)?;
    let request = Request {
        name: arguments.name.map(Name::from),
        version: arguments.model_version.clone().unwrap_or_else(|| known.as_of.to_string()),
        currency: Some(config.processing.currency),
    };
    let fitted = fit(&statistics, &request).map_err(|unfit| match unfit {
        Unfit::Refused(faults) => Error::from(Misuse(faults)),
        Unfit::Repeaters { .. } | Unfit::NotFinite(_) => Error::from(unfit),
    })?;
    if let Some(path) = &arguments.output {
        let text = toml::to_string(&fitted.file).context("the model is no TOML")?;
        write_whole(path, text.as_bytes())?;
    }
    printed(table::print(&known, &fitted, arguments), Outcome::Done)
}

impl From<cli::ModelName> for Name {
    fn from(name: cli::ModelName) -> Self {
        match name {
            cli::ModelName::BgNbd => Self::BgNbd,
            cli::ModelName::MbgNbd => Self::MbgNbd,
            cli::ModelName::ParetoNbd => Self::ParetoNbd,
        }
    }
}

/// Events, and what else was read.
#[derive(Default)]
struct Past {
    events: Vec<Event>,
    /// What was read, `rows` or `records`, and how many.
    read: (&'static str, u64),
    n_bad: BTreeMap<Reason, u64>,
    n_after_until: u64,
}

fn from_file(path: &Path, arguments: &cli::Fit, rules: &Rules) -> Result<Past> {
    let wanted = Wanted {
        path,
        mapping: &arguments.map,
        until: arguments.until.map(Day::from_date),
        order: Order::Time,
        is_strict: arguments.strict,
    };
    let (rows, tally) = reading::read_file(&wanted, rules)?;
    Ok(Past {
        events: rows.into_iter().map(|row| row.event).collect(),
        read: ("rows", tally.n_rows),
        n_bad: tally.n_bad,
        n_after_until: tally.n_after_until,
    })
}

/// What is committed in the input topic, up to where it ends now, decoded as the processor does.
fn from_topic(arguments: &cli::Fit, config: &Config, rules: &Rules) -> Result<Past> {
    let until = arguments.until.map(Day::from_date);
    let topic = &config.kafka.input_topic;
    let scan = Scan::open(&config.kafka, topic).map_err(Error::msg)?;
    let bar = progress(scan.n_records_max(), "reading events {bar:40} {pos}/{len} {eta}");
    let mut past = Past { read: ("records", 0), ..Past::default() };
    let mut first_bad = None;
    let take = |lying: Lying<'_>| {
        past.read.1 += 1;
        if past.read.1.is_multiple_of(PROGRESS_RECORDS) {
            bar.set_position(past.read.1);
        }
        let envelope =
            Envelope { payload: lying.payload, key: lying.key, timestamp_ms: lying.timestamp_ms };
        match decode(envelope, &rules.intake) {
            Err(rejection) => {
                *past.n_bad.entry(rejection.reason).or_default() += 1;
                let place = (lying.partition, lying.offset);
                first_bad.get_or_insert((place, rejection.reason));
            }
            Ok(event) => {
                let day = rules.calendar.day(event.occurred_at_ms);
                if until.is_some_and(|until| day > until) {
                    past.n_after_until += 1;
                } else {
                    past.events.push(event);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    };
    // Nothing is written yet, so a signal may end the process where it stands.
    scan.read(&Shutdown::new(), take).map_err(Error::msg)?;
    bar.finish_and_clear();
    if let Some(((partition, offset), reason)) = first_bad.filter(|_| arguments.strict) {
        let n_bad: u64 = past.n_bad.values().sum();
        bail!(
            "`{topic}` has `{n_bad}` records that are no events, the first at offset `{offset}` \
             of partition `{partition}`: {reason}"
        );
    }
    // As a file is read: partitions have no order among each other.
    past.events.sort_by_key(|event| event.occurred_at_ms);
    Ok(past)
}

/// Brings the events into ledgers, and counts those.
fn count(past: Past, arguments: &cli::Fit, rules: &Rules) -> Result<(Statistics, Known)> {
    let Past { events, read, n_bad, n_after_until } = past;
    let calendar = rules.calendar.clone();
    let currency = rules.intake.currency;
    let n_events = events.len() as u64;
    let replay: Replay = events.into_iter().collect();
    let last = replay.stream_ms().map(|stream_ms| calendar.day(stream_ms));
    let Some(as_of) = arguments.until.map(Day::from_date).or(last) else {
        bail!("the history holds no event; give it one, or look why its rows were skipped");
    };
    let (mut statistics, mut n_duplicates) = (Statistics::default(), 0);
    for one in replay.ledgers(rules, calendar.end_ms(as_of)) {
        n_duplicates += one.n_duplicates;
        if let Some(ledger) = &one.before {
            statistics.take(ledger, as_of, currency);
        }
    }
    let known = Known { read, n_bad, n_after_until, n_events, n_duplicates, as_of };
    Ok((statistics, known))
}

//! `lifetide fit`: a model from a history, a file or the input topic, through the same ledgers as
//! the processor's. It estimates nothing: `fit` does. Opens what is to be read, writes the model
//! file and has `table` print what came of it.

mod table;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Error, Result, bail};

use super::reading::{self, Source};
use super::{Misuse, Outcome, load_config, printed, progress, refuse_shared_files};
use crate::calendar::Day;
use crate::cli;
use crate::clv::ModelFile;
use crate::config::{Config, Purpose};
use crate::event::{Envelope, Event, Reason, decode};
use crate::fit::{Name, Request, Statistics, Unfit, fit};
use crate::history::{Options, Order};
use crate::kafka::scan::{Lying, Scan};
use crate::lifecycle::Shutdown;
use crate::pipeline::Rules;
use crate::plan::{self, Plan};
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
        ("--config", arguments.config.as_deref()),
    ];
    refuse_shared_files(&files, 1)?;
    let purpose = if arguments.topic { Purpose::Cluster } else { Purpose::Offline };
    let config = load_config(arguments.config.as_deref(), &arguments.sets, purpose)?;
    // Arrival times tell how far ahead an event is dated; a file has none.
    let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
    let rules = plan::rules(&config, arguments.topic.then_some(skew_ms))?;
    let past = match &arguments.input {
        Some(path) => from_file(path, arguments, &rules)?,
        None => from_topic(arguments, &config, &rules)?,
    };
    let (statistics, known) = count(past, arguments, rules)?;
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
        write(path, &fitted.file)?;
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
    let name = &path.display().to_string();
    let input = File::open(path).with_context(|| format!("failed to open `{name}`"))?;
    let n_bytes = input.metadata().map_or(0, |metadata| metadata.len());
    let options = Options {
        mapping: arguments.map.clone(),
        calendar: rules.calendar.clone(),
        intake: rules.intake.clone(),
        recorded_at_ms: None,
        row_id_suffix: String::new(),
        until: arguments.until.map(Day::from_date),
    };
    let source = Source { input, name, n_bytes, is_strict: arguments.strict };
    let (rows, tally) = reading::read(source, options, Order::Time)?;
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
fn count(past: Past, arguments: &cli::Fit, rules: Rules) -> Result<(Statistics, Known)> {
    let Past { events, read, n_bad, n_after_until } = past;
    let calendar = rules.calendar.clone();
    let currency = rules.intake.currency;
    let n_events = events.len() as u64;
    let mut replay = Replay::default();
    for event in events {
        replay.push(event);
    }
    let last = replay.stream_ms().map(|stream_ms| calendar.day(stream_ms));
    let Some(as_of) = arguments.until.map(Day::from_date).or(last) else {
        bail!("the history holds no event; give it one, or look why its rows were skipped");
    };
    let mut pipeline = Plan { rules: Arc::new(rules), model: None }.pipeline();
    let (mut statistics, mut n_duplicates) = (Statistics::default(), 0);
    let end_ms = calendar.end_ms(as_of);
    for one in replay.play(&mut pipeline, |_| end_ms) {
        n_duplicates += one.n_duplicates;
        statistics.take(&one.customer.ledger, as_of, currency);
    }
    let known = Known { read, n_bad, n_after_until, n_events, n_duplicates, as_of };
    Ok((statistics, known))
}

/// Writes the file beside its place and moves it there: who reads it meanwhile gets the old one or
/// the new one.
fn write(path: &Path, file: &ModelFile) -> Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    let name = path.display();
    let failed = || format!("failed to write the model file `{name}`");
    let text = toml::to_string(file).with_context(failed)?;
    let written = File::create(&beside)
        .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What failed is told below; what is left of it should not stay.
        fs::remove_file(&beside).ok();
    }
    written.with_context(failed)
}

//! `lifetide replay`: a history from a file, through the same domain code as the processor's. Opens
//! the files, shows progress and prints what came of it; `replay` recounts, `against` compares.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use compact_str::CompactString;

use super::against::Against;
use super::reading::{self, Wanted};
use super::refit::{Refits, refit};
use super::{Misuse, Outcome, comparison, load_config, printed, refuse_shared_files};
use crate::calendar::{Calendar, Day};
use crate::cli;
use crate::config::Purpose;
use crate::history::{Order, Tally};
use crate::pipeline::Pipeline;
use crate::plan::{Plan, read_model};
use crate::replay::{Comparison, Replay, Signal, Windows, score};

/// Recounts a history.
///
/// # Errors
/// Bad usage or configuration, a file that cannot be read or written, a bad row under `--strict`.
pub fn execute(arguments: &cli::Replay) -> Result<Outcome> {
    let files = [
        ("--scores", arguments.scores.as_deref()),
        ("--signals", arguments.signals.as_deref()),
        ("--input", Some(arguments.history.input.as_path())),
        ("--against", arguments.against.as_deref()),
        ("--model", arguments.model.as_deref()),
        ("--config", arguments.layers.config.as_deref()),
    ];
    refuse_shared_files(&files, 2)?;
    let config =
        load_config(arguments.layers.config.as_deref(), &arguments.layers.sets, Purpose::Offline)?;
    let mut plan = Plan::new(&config, None)?;
    if let Some(path) = &arguments.model {
        plan.model = Some(read_model(path, config.processing.currency, None)?);
    }
    let mut pipeline = plan.pipeline();
    let until = arguments.until.map(Day::from_date);
    let wanted = Wanted {
        path: &arguments.history.input,
        mapping: &arguments.history.map,
        until,
        order: match arguments.order {
            cli::Order::Time => Order::Time,
            cli::Order::File => Order::File,
        },
        is_strict: arguments.strict,
    };
    let (rows, history) = reading::read_file(&wanted, &plan.rules)?;
    let against = arguments.against.as_deref().map(Against::read).transpose()?;
    let replay: Replay = rows.into_iter().map(|row| row.event).collect();
    let calendar = plan.rules.calendar.clone();
    let last = replay.stream_ms().map(|stream_ms| calendar.day(stream_ms));
    let end_ms = until.or(last).map_or(0, |day| calendar.end_ms(day));
    if let Some(against) = against {
        return compare(replay, &mut pipeline, against, end_ms);
    }
    let comparison = match arguments.compare {
        Some(date) => Some(windows(&replay, Day::from_date(date), &calendar, end_ms)?),
        None => None,
    };
    let refits = refit(&replay, arguments, &plan, (&config, calendar.day(end_ms)))?;
    write(replay, (&mut pipeline, refits), arguments, end_ms, comparison, &history)
}

/// The days to compare around `date`.
fn windows(replay: &Replay, date: Day, calendar: &Calendar, end_ms: i64) -> Result<Comparison> {
    let Some(first_ms) = replay.first_ms() else {
        return Err(Misuse("`--compare` needs a history, and no row has been read".into()).into());
    };
    let windows = Windows::around(date, calendar.day(first_ms), calendar.day(end_ms));
    Ok(Comparison::new(windows.map_err(Misuse)?))
}

/// What came of the events.
#[derive(Default)]
struct Played {
    events: u64,
    duplicates: u64,
    customers: u64,
    signals: BTreeMap<&'static str, u64>,
}

fn write(
    replay: Replay,
    (pipeline, mut refits): (&mut Pipeline, Refits),
    arguments: &cli::Replay,
    end_ms: i64,
    mut comparison: Option<Comparison>,
    file: &Tally,
) -> Result<Outcome> {
    let mut played = Played { events: replay.n_events(), ..Played::default() };
    let mut scores = arguments.scores.as_deref().map(Lines::create).transpose()?;
    let mut signals: Vec<(CompactString, Signal)> = Vec::new();
    // All are played before the first is scored: each borrows the pipeline.
    let mut recounted: Vec<_> = replay
        .play_with(pipeline, &mut refits.successors, comparison.as_mut(), |_| end_ms)
        .collect();
    let today = pipeline.rules().calendar.day(end_ms);
    let last = refits.successors.iter_mut().rfind(|successor| successor.from <= today);
    let pipeline = last.map_or(pipeline, |successor| &mut successor.pipeline);
    for one in &mut recounted {
        played.customers += 1;
        played.duplicates += one.n_duplicates;
        for signal in one.signals.drain(..) {
            *played.signals.entry(signal.kind).or_default() += 1;
            signals.push((one.id.clone(), signal));
        }
        if let Some(scores) = &mut scores {
            scores.write(&score(pipeline, one, end_ms))?;
        }
    }
    if let Some(scores) = scores {
        scores.finish()?;
    }
    if let Some(path) = &arguments.signals {
        // Stable: signals of one customer and instant stay in the order in which they were raised.
        signals.sort_by(|(a_id, a), (b_id, b)| (a.raised_at_ms, a_id).cmp(&(b.raised_at_ms, b_id)));
        let mut lines = Lines::create(path)?;
        signals.iter().try_for_each(|(_, signal)| lines.write(&signal.json))?;
        lines.finish()?;
    }
    let out = &mut stdout().lock();
    let summary = summarise(out, &played, file);
    let said = summary.and_then(|()| refits.said.iter().try_for_each(|it| writeln!(out, "{it}")));
    let summary = said.and_then(|()| match &comparison {
        Some(comparison) => comparison::print(out, comparison, pipeline),
        None => Ok(()),
    });
    printed(summary, Outcome::Done)
}

fn summarise(out: &mut impl Write, played: &Played, file: &Tally) -> io::Result<()> {
    reading::summarise(out, file)?;
    writeln!(out, "{:>10} events", played.events)?;
    if played.duplicates > 0 {
        writeln!(out, "{:>10}   duplicates", played.duplicates)?;
    }
    writeln!(out, "{:>10} customers", played.customers)?;
    writeln!(out, "{:>10} signals", played.signals.values().sum::<u64>())?;
    for (kind, count) in &played.signals {
        writeln!(out, "{count:>10}   {kind}")?;
    }
    Ok(())
}

fn compare(
    replay: Replay,
    pipeline: &mut Pipeline,
    mut against: Against,
    end_ms: i64,
) -> Result<Outcome> {
    let until = against.as_of();
    let models = against.other_models(pipeline.model_label());
    let mut recounted: Vec<_> =
        replay.play(pipeline, |id| until.get(id).copied().unwrap_or(end_ms)).collect();
    for one in &mut recounted {
        let as_of_ms = until.get(&*one.id).copied().unwrap_or(end_ms);
        let id = one.id.clone();
        against.compare(&id, &score(pipeline, one, as_of_ms))?;
    }
    let outcome = if against.is_equal() { Outcome::Done } else { Outcome::Failed };
    let out = &mut stdout().lock();
    let told = models.map_or(Ok(()), |line| writeln!(out, "{line}"));
    printed(told.and_then(|()| against.report(out)), outcome)
}

/// A file of JSON lines.
struct Lines {
    name: String,
    file: BufWriter<File>,
}

impl Lines {
    fn create(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("failed to create `{name}`"))?;
        Ok(Self { name, file: BufWriter::new(file) })
    }

    fn write(&mut self, json: &[u8]) -> Result<()> {
        let written = self.file.write_all(json).and_then(|()| self.file.write_all(b"\n"));
        written.with_context(|| format!("failed to write `{}`", self.name))
    }

    fn finish(mut self) -> Result<()> {
        self.file.flush().with_context(|| format!("failed to write `{}`", self.name))
    }
}

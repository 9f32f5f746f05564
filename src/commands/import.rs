//! `lifetide import`: a history from a file into the input topic, in order of time, each row once
//! however often the command is stopped or killed and started again. How far it has come is kept in
//! Kafka alone. Which rows are events is judged by `history`; how they are sent, by `mover`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Seek, Write, stderr, stdout};

use anyhow::{Context, Error, Result, bail};

use super::reading::{self, Source};
use super::{Outcome, load_config, now_ms, partitioner, printed, progress, until_signalled};
use crate::calendar::{Calendar, Day, rfc3339};
use crate::cli;
use crate::config::{Config, Purpose};
use crate::event::Intake;
use crate::history::{Hashing, Options, Order, Row, Tally};
use crate::kafka::custom::Newest;
use crate::kafka::mover::{Addressed, Bookmark, Mover};
use crate::kafka::placement::Partitioner;
use crate::kafka::topics;
use crate::lifecycle::Shutdown;
use crate::plan;

/// How much of the fingerprint is in the id of a row that names none: with it the id just fits the
/// room that a customer's state has for short ones.
const ROW_MARK_DIGITS: usize = 7;

/// Imports a history.
///
/// # Errors
/// Bad usage or configuration, a file that cannot be read, a bad row under `--strict`, or what the
/// brokers answer.
pub fn execute(arguments: &cli::Import) -> Result<Outcome> {
    let layers = &arguments.layers;
    let config = load_config(Some(&layers.config), &layers.sets, Purpose::Cluster)?;
    topics::partitions(&config.kafka, &config.kafka.input_topic).map_err(Error::msg)?;
    let history = History::read(arguments, &config)?;
    until_signalled(|shutdown| history.send(&config, shutdown))
}

/// What is to be in the topic.
struct History {
    rows: Vec<Row>,
    tally: Tally,
    /// Names the import: the same file, read in the same way, gives it again.
    fingerprint: String,
    calendar: Calendar,
    /// By what the processor judges an event.
    intake: Intake,
    /// Where its rows belong, if somebody said so.
    partitioner: Option<Partitioner>,
}

impl History {
    fn read(arguments: &cli::Import, config: &Config) -> Result<Self> {
        let name = &arguments.input.display().to_string();
        let mut file =
            File::open(&arguments.input).with_context(|| format!("failed to open `{name}`"))?;
        let n_bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
        let rules = plan::rules(config, Some(skew_ms))?;
        let mut options = Options {
            mapping: arguments.map.clone(),
            calendar: rules.calendar.clone(),
            intake: rules.intake.clone(),
            recorded_at_ms: Some(now_ms()),
            row_id_suffix: String::new(),
            until: arguments.until.map(Day::from_date),
        };
        // The ids of rows hang on all of the file, so it is read twice.
        let bar = progress(n_bytes, "hashing {bar:40} {bytes}/{total_bytes} {eta}");
        let mut hashing = Hashing::new(bar.wrap_read(&file));
        io::copy(&mut hashing, &mut io::sink())
            .with_context(|| format!("failed to read `{name}`"))?;
        let content = hashing.digest();
        bar.finish_and_clear();
        file.rewind().with_context(|| format!("`{name}` must be a file, it is read twice"))?;
        let fingerprint = options.fingerprint(content);
        options.row_id_suffix = format!("-{fingerprint:.ROW_MARK_DIGITS$}");
        let mut input = Hashing::new(file);
        let source = Source { input: &mut input, name, n_bytes, is_strict: arguments.strict };
        let (rows, tally) = reading::read(source, options, Order::Time)?;
        if input.digest() != content {
            bail!("`{name}` was changed while it was read; import it when it is complete");
        }
        let partitioner = arguments.partitioner.map(partitioner);
        let (calendar, intake) = (rules.calendar, rules.intake);
        Ok(Self { rows, tally, fingerprint, calendar, intake, partitioner })
    }

    /// Sends what is not in the topic yet, and prints the summary.
    fn send(&self, config: &Config, shutdown: &Shutdown) -> Result<Outcome> {
        let kafka = &config.kafka;
        // First, so that no earlier run can commit any more when the bookmark is read.
        let mut mover = Mover::connect(config, "import").map_err(Error::msg)?;
        let group = format!("{}.import.{}", kafka.group_id, self.fingerprint);
        let bookmark = Bookmark::new(kafka, group, &kafka.input_topic).map_err(Error::msg)?;
        let n_before = usize::try_from(bookmark.n_done().map_err(Error::msg)?)?;
        let n_rows = self.rows.len();
        let Some(first) = self.rows.get(n_before) else {
            return printed(self.summarise(n_before, n_before), Outcome::Done);
        };
        let newest = Newest::read(kafka, &kafka.input_topic, &self.intake).map_err(Error::msg)?;
        self.warn_of_signals(config);
        self.warn_of_lateness(config, first.event.occurred_at_ms, newest.occurred_at_ms);
        let partitioner = match self.partitioner {
            Some(told) => told,
            None => newest.partitioner().map_err(Error::msg)?,
        };
        let n_partitions = topics::partitions(kafka, &kafka.input_topic).map_err(Error::msg)?;
        let bar = progress(n_rows as u64, "importing {bar:40} {pos}/{len} {per_sec} {eta}");
        let mut n_done = n_before;
        for row in self.rows.iter().skip(n_before) {
            if shutdown.is_requested() {
                break;
            }
            let payload = row.event.encode();
            let key = row.event.customer_id.as_bytes();
            let record = Addressed {
                topic: &kafka.input_topic,
                partition: Some(partitioner.place(key, n_partitions)),
                key: Some(key),
                value: Some(&payload),
                headers: &[],
            };
            mover.send(record).map_err(|error| unfinished(&error))?;
            n_done += 1;
            if mover.is_due() {
                mover
                    .commit(Some((&bookmark, n_done as u64)))
                    .map_err(|error| unfinished(&error))?;
                bar.set_position(n_done as u64);
            }
        }
        mover.commit(Some((&bookmark, n_done as u64))).map_err(|error| unfinished(&error))?;
        bar.finish_and_clear();
        let outcome = if n_done < n_rows { Outcome::Failed } else { Outcome::Done };
        printed(self.summarise(n_before, n_done), outcome)
    }

    /// Says, before anything is sent, that somebody may be mailed about years ago.
    fn warn_of_signals(&self, config: &Config) {
        let newest_ms = self.rows.last().map_or(i64::MIN, |row| row.event.occurred_at_ms);
        let found = match config.churn.signals_from_ms {
            None => "is not set".to_owned(),
            Some(from_ms) if from_ms <= newest_ms => {
                let (from, newest) = (rfc3339(from_ms), rfc3339(newest_ms));
                format!("is `{from}`, and the newest row is of `{newest}`")
            }
            Some(_) => return,
        };
        let now = rfc3339(now_ms());
        let line = format!(
            "warning: `churn.signals_from` {found}: the processor will raise signals about the \
             past; set it to `{now}` before it reads these events"
        );
        writeln!(stderr(), "{line}").ok();
    }

    /// Says, before anything is sent, that the history comes after what it should have come before:
    /// by more than the processor puts right.
    fn warn_of_lateness(&self, config: &Config, first_ms: i64, newest_ms: Option<i64>) {
        let lateness_days = config.processing.lateness_days;
        let day = |at_ms: i64| self.calendar.day(at_ms);
        let is_late = |newest_ms: &i64| day(*newest_ms).plus(-lateness_days) > day(first_ms);
        let Some(newest_ms) = newest_ms.filter(is_late) else { return };
        let topic = &config.kafka.input_topic;
        let (newest, first) = (rfc3339(newest_ms), rfc3339(first_ms));
        let line = format!(
            "warning: `{topic}` has an event of `{newest}`, and the first row to send is of \
             `{first}`: older rows are late: they are counted, but silence and declines are judged \
             as of the later time; import into a group and topics of their own, or begin again \
             with the history first"
        );
        writeln!(stderr(), "{line}").ok();
    }

    fn summarise(&self, n_before: usize, n_done: usize) -> io::Result<()> {
        let mut out = stdout().lock();
        reading::summarise(&mut out, &self.tally)?;
        let n_events = self.rows.len();
        writeln!(out, "{n_events:>10} events{}", self.period())?;
        if n_before > 0 {
            writeln!(out, "{:>10}   in the topic before", n_before.min(n_events))?;
        }
        writeln!(out, "{:>10}   sent", n_done - n_before)?;
        if n_done < n_events {
            let n_left = n_events - n_done;
            writeln!(out, "{n_left:>10}   left: stopped; the same command goes on there")?;
        }
        let customers: BTreeSet<&str> =
            self.rows.iter().map(|row| row.event.customer_id.as_str()).collect();
        writeln!(out, "{:>10} customers", customers.len())
    }

    fn period(&self) -> String {
        let day = |row: &Row| self.calendar.day(row.event.occurred_at_ms);
        match (self.rows.first(), self.rows.last()) {
            (Some(first), Some(last)) => format!(", {} to {}", day(first), day(last)),
            _ => String::new(),
        }
    }
}

fn unfinished(error: &str) -> Error {
    Error::msg(format!("{error}; the same command goes on where the last commit ended"))
}

//! `lifetide redrive`: dead letters into the input topic again, each exactly once. What was sent is
//! noted by receipts in the dead-letter topic itself, in the transaction that sends it. Which
//! letters may go is judged in `letters`. Without `--send` it only reads.

mod letters;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write, stdout};
use std::ops::ControlFlow;

use anyhow::{Error, Result};

use super::{Outcome, load_config, now_ms, printed, progress, until_signalled};
use crate::cli;
use crate::config::{Config, Kafka, Purpose};
use crate::event::Intake;
use crate::kafka::mover::{Addressed, Mover};
use crate::kafka::scan::{Lying, Scan};
use crate::kafka::topics;
use crate::lifecycle::Shutdown;
use crate::plan;
use crate::record::changelog::Key;
use crate::record::dead_letter::DeadLetter;
use crate::record::erased::{self, ErasedHash};
use crate::record::redriven::{self, Offsets};
use letters::{Known, Letter, Place, Verdict};
use tally::Tally;

/// Records between two movements of a bar.
const PROGRESS_RECORDS: u64 = 1000;

/// Counts dead letters, and sends them again if told to.
///
/// # Errors
/// Bad usage or configuration, a topic that cannot be read or written.
pub fn execute(arguments: &cli::Redrive) -> Result<Outcome> {
    let layers = &arguments.layers;
    let config = load_config(Some(&layers.config), &layers.sets, Purpose::Cluster)?;
    let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
    let intake = plan::rules(&config, Some(skew_ms))?.intake;
    let run = |shutdown: &Shutdown| {
        redrive(arguments, &config, intake, shutdown).map_err(|error| {
            Error::msg(format!("{error}; the same command sends what was not sent"))
        })
    };
    // Where nothing is written, a signal may end the process where it stands.
    if arguments.send { until_signalled(run) } else { run(&Shutdown::new()) }
}

fn redrive(
    arguments: &cli::Redrive,
    config: &Config,
    intake: Intake,
    shutdown: &Shutdown,
) -> Result<Outcome, String> {
    let kafka = &config.kafka;
    // First, so that no earlier run can send any more when the receipts are read.
    let mover = arguments.send.then(|| Mover::connect(config, "redrive")).transpose()?;
    let scan = Scan::open(kafka, &kafka.dlq_topic)?;
    let known = Known {
        arguments,
        input_topic: &kafka.input_topic,
        n_partitions: topics::partitions(kafka, &kafka.input_topic)?,
        intake,
        now_ms: now_ms(),
        sent: read_receipts(&scan, shutdown)?,
        erased: read_erased(kafka, shutdown)?,
        met: BTreeSet::new(),
    };
    let mut run = Run {
        kafka,
        known,
        mover,
        tally: Tally::default(),
        unnoted: BTreeMap::new(),
        n_open: 0,
        n_sent: 0,
    };
    let is_complete = read(&scan, "dead letters", shutdown, |lying| run.take(lying))?;
    run.commit()?;
    let outcome = if is_complete { Outcome::Done } else { Outcome::Failed };
    printed(run.print(is_complete), outcome).map_err(|error| error.to_string())
}

/// Gives each record of a topic to `take`, with a bar; returns whether all were read.
fn read(
    scan: &Scan,
    what: &str,
    shutdown: &Shutdown,
    mut take: impl FnMut(Lying<'_>) -> Result<(), String>,
) -> Result<bool, String> {
    let template = format!("reading {what} {{bar:40}} {{pos}}/{{len}} {{eta}}");
    let bar = progress(scan.n_records_max(), &template);
    let mut n_read = 0;
    let is_complete = scan.read(shutdown, |lying| {
        n_read += 1;
        if n_read % PROGRESS_RECORDS == 0 {
            bar.set_position(n_read);
        }
        take(lying).map(ControlFlow::Continue)
    })?;
    bar.finish_and_clear();
    Ok(is_complete)
}

/// What earlier runs have sent, by partition of the dead-letter topic.
fn read_receipts(scan: &Scan, shutdown: &Shutdown) -> Result<BTreeMap<i32, Offsets>, String> {
    let mut sent: BTreeMap<i32, Offsets> = BTreeMap::new();
    read(scan, "receipts", shutdown, |lying| {
        let Some(receipt) = Offsets::read_receipt(&lying.headers) else { return Ok(()) };
        let receipt = receipt.map_err(|error| {
            let (partition, offset) = (lying.partition, lying.offset);
            format!("the receipt at offset `{offset}` of partition `{partition}`: {error}")
        })?;
        sent.entry(lying.partition).or_default().extend(&receipt);
        Ok(())
    })?;
    Ok(sent)
}

/// The erased customers that the processor remembers.
fn read_erased(kafka: &Kafka, shutdown: &Shutdown) -> Result<BTreeMap<ErasedHash, i64>, String> {
    let scan = Scan::open(kafka, &kafka.changelog_topic)?;
    // Of each partition by itself: what one forgets, another may have to remember.
    let mut by_partition: BTreeMap<i32, BTreeMap<ErasedHash, i64>> = BTreeMap::new();
    read(&scan, "erasures", shutdown, |lying| {
        let key = Key::read(lying.key.unwrap_or_default()).map_err(|error| error.to_string())?;
        if let Key::Erased(hash) = key {
            let erasures = by_partition.entry(lying.partition).or_default();
            match lying.payload {
                Some(value) => drop(erasures.insert(hash, erased::decode(value)?)),
                None => drop(erasures.remove(&hash)),
            }
        }
        Ok(())
    })?;
    Ok(newest(by_partition.into_values()))
}

/// Each erasure as late as any partition remembers it.
fn newest(
    partitions: impl Iterator<Item = BTreeMap<ErasedHash, i64>>,
) -> BTreeMap<ErasedHash, i64> {
    let mut erasures: BTreeMap<ErasedHash, i64> = BTreeMap::new();
    for (hash, at_ms) in partitions.flatten() {
        let known = erasures.entry(hash).or_insert(at_ms);
        *known = at_ms.max(*known);
    }
    erasures
}

/// One run over the dead letters.
struct Run<'a> {
    kafka: &'a Kafka,
    known: Known<'a>,
    /// Absent in a dry run.
    mover: Option<Mover>,
    tally: Tally,
    /// What the open transaction sends, by partition of the dead-letter topic.
    unnoted: BTreeMap<i32, Offsets>,
    n_open: u64,
    n_sent: u64,
}

impl Run<'_> {
    fn take(&mut self, lying: Lying<'_>) -> Result<(), String> {
        // Also where nothing matches for long: a transaction must not grow old.
        if self.mover.as_ref().is_some_and(Mover::is_due) {
            self.commit()?;
        }
        if Offsets::read_receipt(&lying.headers).is_some() {
            return Ok(());
        }
        let Lying { partition, offset, timestamp_ms, key, payload, headers } = lying;
        let key = key.map(<[u8]>::to_vec);
        let payload = payload.map(<[u8]>::to_vec);
        let record = DeadLetter { key, payload, headers };
        let Ok(origin) = record.read() else {
            self.tally.n_foreign += 1;
            return Ok(());
        };
        let letter = Letter { partition, offset, timestamp_ms, record, origin };
        let verdict = self.known.judge(&letter);
        self.tally.take(&letter, verdict);
        if verdict == Verdict::Sendable { self.send(letter) } else { Ok(()) }
    }

    fn send(&mut self, letter: Letter) -> Result<(), String> {
        let Some(mover) = &mut self.mover else { return Ok(()) };
        let to = match self.known.place(&letter) {
            Place::At(partition) => Some(partition),
            Place::ByKey | Place::Unknown => None,
        };
        let Letter { partition, offset, record, origin, .. } = letter;
        let headers = redriven::headers(origin.headers, &self.kafka.dlq_topic, partition, offset);
        mover.send(Addressed {
            topic: &self.kafka.input_topic,
            partition: to,
            key: record.key.as_deref(),
            value: record.payload.as_deref(),
            headers: &headers,
        })?;
        self.unnoted.entry(partition).or_default().insert(offset);
        self.n_open += 1;
        Ok(())
    }

    /// Commits what is open, with its receipts.
    fn commit(&mut self) -> Result<(), String> {
        let Some(mover) = &mut self.mover else { return Ok(()) };
        for (partition, offsets) in std::mem::take(&mut self.unnoted) {
            mover.send(Addressed {
                topic: &self.kafka.dlq_topic,
                partition: Some(partition),
                key: None,
                value: None,
                headers: &offsets.receipt(),
            })?;
        }
        mover.commit(None)?;
        self.n_sent += std::mem::take(&mut self.n_open);
        Ok(())
    }

    fn print(&self, is_complete: bool) -> io::Result<()> {
        let mut out = stdout().lock();
        self.tally.print(&mut out, &self.kafka.dlq_topic)?;
        if self.mover.is_none() {
            return writeln!(out, "nothing was sent; `--send` sends what can be sent");
        }
        writeln!(out, "{:>10} sent to `{}`", self.n_sent, self.kafka.input_topic)?;
        if !is_complete {
            writeln!(out, "stopped before the end; the same command sends the rest")?;
        }
        Ok(())
    }
}

//! The course of a demo: plays the shop's records into the input topic at the pace of the story,
//! waits until they are processed, and prints the verdict. It starts no processor and stops none.

use std::io::{Write, stderr, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use super::audience::Audience;
use crate::calendar::{Calendar, Day};
use crate::commands::pace::{self, BEAT, Played};
use crate::commands::progress;
use crate::config::Kafka;
use crate::demo::outputs::Outputs;
use crate::demo::shop::{Record, Settings, Shop};
use crate::demo::verdict::{Totals, Verdict};
use crate::kafka::feed::Feed;
use crate::lifecycle::Shutdown;
use crate::metrics::Metrics;

/// How long the processor may take for what is left, at the end of the story or interrupted: the
/// latter below the grace after which the process ends without waiting.
const DRAIN_MAX: Duration = Duration::from_mins(2);
const DRAIN_INTERRUPTED_MAX: Duration = Duration::from_secs(10);

/// A demo about to be played.
#[derive(Debug)]
pub(super) struct Show {
    pub(super) shop: Shop,
    pub(super) settings: Settings,
    pub(super) kafka: Kafka,
    /// How long the story takes.
    pub(super) story: Duration,
    /// Whether the processor and its page stay up after the summary.
    pub(super) stays_open: bool,
    pub(super) metrics: Arc<Metrics>,
    /// Somebody wants the demo to end.
    pub(super) interrupt: Shutdown,
    /// The processor has been stopped, or has failed.
    pub(super) processor: Shutdown,
}

impl Show {
    /// Plays, waits, prints the summary on standard output, and stays if asked to.
    ///
    /// # Errors
    /// A part has failed or is too slow.
    pub(super) fn run(self) -> Result<()> {
        let audience = Audience::admit(&self.kafka)?;
        let bar = self.progress();
        let played = self.play(&audience, &bar)?;
        let n_processed = self.drain(played.n_records, &bar);
        bar.finish_and_clear();
        if self.processor.is_requested() {
            bail!("the processor has stopped before the end of the story");
        }
        let outputs = audience.leave()?;
        let text = self.verdict(&played, &outputs).table();
        stdout().write_all(text.as_bytes()).context("the summary cannot be printed")?;
        if n_processed < played.n_records {
            let n_sent = played.n_records;
            bail!(
                "only `{n_processed}` of `{n_sent}` records were processed in time; the summary \
                   is of those"
            );
        }
        if self.stays_open && !self.interrupt.is_requested() {
            writeln!(stderr(), "\nThe story is over. The page stays up until Ctrl-C.").ok();
            while !self.interrupt.wait(Duration::from_secs(1)) && !self.processor.is_requested() {}
        }
        Ok(())
    }

    /// Sends the records, and says on the bar how far the story is.
    fn play(&self, audience: &Audience, bar: &ProgressBar) -> Result<Played> {
        let feed = Feed::new(&self.kafka).map_err(anyhow::Error::msg)?;
        let goes_on = |played: &Played| {
            let (day, n_signals, n_records) =
                (day(played.now_ms), audience.n_signals(), played.n_records);
            bar.set_position(n_records);
            bar.set_message(format!("{day}  {n_records} events  {n_signals} signals"));
            !self.interrupt.is_requested() && !self.processor.is_requested()
        };
        let stamp = |record: &Record| record.timestamp_ms;
        pace::play((&self.shop, &self.settings), &feed, self.story, stamp, goes_on)
    }

    /// Waits until the processor has committed everything; returns how much it has.
    fn drain(&self, n_records: u64, bar: &ProgressBar) -> u64 {
        let began = Instant::now();
        loop {
            let n_processed = self.metrics.n_inputs();
            let is_interrupted = self.interrupt.is_requested();
            let max = if is_interrupted { DRAIN_INTERRUPTED_MAX } else { DRAIN_MAX };
            if n_processed >= n_records || began.elapsed() > max {
                return n_processed;
            }
            bar.set_message(format!("{} events to process", n_records - n_processed));
            if self.processor.wait(BEAT) {
                return n_processed;
            }
        }
    }

    fn verdict(&self, played: &Played, outputs: &Outputs) -> Verdict {
        let totals = Totals {
            n_events: played.n_records,
            n_rejected: outputs.n_rejected,
            n_customers: outputs.n_customers(),
            net_minor: outputs.net_minor(),
            books_minor: played.books_minor,
            currency: self.settings.currency,
        };
        Verdict::new(self.shop.truth(), &outputs.signals, totals, day(played.now_ms))
    }

    /// A bar on a terminal, nothing in a pipe.
    fn progress(&self) -> ProgressBar {
        let n_records = u64::try_from(self.shop.n_records()).unwrap_or(u64::MAX);
        progress(n_records, "{bar:30} {percent:>3} %  {msg}")
    }
}

fn day(at_ms: i64) -> Day {
    Calendar::utc().day(at_ms)
}

//! `lifetide simulate`: runs seeds of `sim`, and says what they saw or which one found a fault.

use std::io::{Write, stdout};

use anyhow::Result;

use super::{Outcome, load_config, printed, progress};
use crate::cli::Simulate;
use crate::config::Purpose;
use crate::plan::Plan;
use crate::sim::{SETTINGS, Seen, run};

/// Runs the seeds, up to the first that finds a fault.
///
/// # Errors
/// Standard output cannot be written.
pub fn execute(arguments: &Simulate) -> Result<Outcome> {
    let sets = SETTINGS.map(str::to_owned);
    let plan = Plan::new(&load_config(None, &sets, Purpose::Offline)?, None)?;
    let Simulate { seed: first, runs } = *arguments;
    let bar = progress(runs, "simulating {bar:40} {pos}/{len} {eta}");
    let mut total = Seen::default();
    for seed in first..first.saturating_add(runs) {
        match run(seed, &plan, None) {
            Ok(seen) => total.add(seen),
            Err(fault) => {
                bar.finish_and_clear();
                let text = format!(
                    "seed {seed}: {fault}\nthe same again: lifetide simulate --seed {seed}"
                );
                return printed(writeln!(stdout(), "{text}"), Outcome::Failed);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let Seen { kills, zombies, undelivered, rebalances, records, signals } = total;
    let text = format!(
        "{runs} runs from seed {first}: {records} records and {signals} signals, nothing lost, \
         nothing twice\n{kills} kills between two calls, {zombies} members that did not answer, \
         {undelivered} records not delivered, {rebalances} rebalances"
    );
    printed(writeln!(stdout(), "{text}"), Outcome::Done)
}

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
    printed(writeln!(stdout(), "{}", told(runs, first, total)), Outcome::Done)
}

fn told(runs: u64, first: u64, total: Seen) -> String {
    let Seen { records, signals, kills, pauses, twins, rebalances, .. } = total;
    let Seen { restores_given_up, budgets_spent, undelivered, unanswered, .. } = total;
    let Seen { late_acknowledgements, outages, cleanings, .. } = total;
    format!(
        "{runs} runs from seed {first}: {records} records and {signals} signals, nothing lost, \
         nothing twice\n{kills} kills between two calls, {pauses} processes that did not move and \
         came back, {twins} started twice\n{rebalances} rebalances, {restores_given_up} restores \
         given up, {budgets_spent} revokes past their budget\n{late_acknowledgements} transactions \
         aborted for late acknowledgements, {undelivered} records not delivered, {unanswered} \
         commits without an answer\n{outages} outages of the broker, {cleanings} cleanings of a \
         changelog"
    )
}

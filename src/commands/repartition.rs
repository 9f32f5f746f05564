//! `lifetide repartition`: brings the state to a larger partition count of the input. Prints what
//! would be done, or what was; `kafka::repartition` does it.

use std::io::{self, Write, stdout};

use anyhow::{Result, anyhow};
use jiff::Timestamp;

use super::{Outcome, load_config, partitioner, printed, progress};
use crate::cli;
use crate::config::Purpose;
use crate::engine::rebuild::OnLoss;
use crate::kafka::repartition::{Repartition, Summary};
use crate::kafka::topics;
use crate::plan::Plan;

/// Says what a repartition would do, or does it.
///
/// # Errors
/// The configuration is wrong, the brokers do not answer, or it cannot be done; with the remedy.
pub fn execute(arguments: &cli::Repartition) -> Result<Outcome> {
    let layers = &arguments.layers;
    let config = load_config(Some(&layers.config), &layers.sets, Purpose::Cluster)?;
    let plan = Plan::new(&config, None)?;
    let kafka = &config.kafka;
    let n_partitions = topics::partitions(kafka, &kafka.input_topic).map_err(anyhow::Error::msg)?;
    let ground = config.ground(n_partitions);
    let on_loss = if arguments.accept_loss { OnLoss::Accept } else { OnLoss::Refuse };
    let bar = progress(0, "{msg} {pos} records {elapsed}");
    let tell = |doing: &'static str, n_records: u64| {
        bar.set_message(doing);
        bar.inc(n_records);
    };
    let told = arguments.partitioner.map(partitioner);
    let job = Repartition::open(kafka, plan.pipeline(), ground, on_loss, told, &tell);
    let Some(job) = job.map_err(|fault| anyhow!(fault))? else {
        let line = format!(
            "nothing to do: the state was made under the input's `{n_partitions}` partitions"
        );
        return printed(writeln!(stdout(), "{line}"), Outcome::Done);
    };
    let summary = if arguments.write { job.write() } else { job.plan() };
    bar.finish_and_clear();
    let summary = summary.map_err(|fault| anyhow!(fault))?;
    printed(print(&summary, arguments.write, &mut stdout().lock()), Outcome::Done)
}

fn print(summary: &Summary, is_written: bool, out: &mut impl Write) -> io::Result<()> {
    let Summary { n_before, n_after, partitioner, .. } = summary;
    writeln!(out, "from {n_before} to {n_after} partitions, keys placed by {partitioner}")?;
    writeln!(out, "{:>10} customers", summary.n_customers)?;
    writeln!(out, "{:>10}   move to another partition", summary.n_moved)?;
    writeln!(out, "{:>10} erasures remembered, now in every partition", summary.n_erased)?;
    writeln!(out, "{:>10} unread events", summary.n_unread)?;
    writeln!(out, "{:>10}   lie where the old count has put them", summary.n_misplaced)?;
    writeln!(out, "{:>10}   are sent again, to keep each customer's order", summary.n_resent)?;
    for loss in &summary.losses {
        writeln!(out, "given up: {loss}")?;
    }
    let newest = summary.misplaced_newest_ms.map(Timestamp::from_millisecond);
    if let Some(Ok(at)) = newest {
        writeln!(
            out,
            "newest event placed by the old count: {at}; no producer may do so any more"
        )?;
    }
    let end = if is_written {
        "done; start the group again"
    } else {
        "nothing is changed; `--write` does it, with every `lifetide run` of the group stopped"
    };
    writeln!(out, "{end}")
}

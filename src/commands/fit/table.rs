//! What `lifetide fit` prints: what was read, how likely each model is, the parameters with their
//! standard errors, and what to mind. Called by `fit`.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};

use crate::calendar::Day;
use crate::cli;
use crate::event::Reason;
use crate::fit::{Fitted, LIKELIHOOD_RATIO_MIN, Maximum, Name};

/// What was read.
pub(super) struct Known {
    /// `rows` or `records`, and how many.
    pub(super) read: (&'static str, u64),
    pub(super) n_bad: BTreeMap<Reason, u64>,
    pub(super) n_after_until: u64,
    pub(super) n_events: u64,
    pub(super) n_duplicates: u64,
    /// The day at whose end the customers were looked at.
    pub(super) as_of: Day,
}

pub(super) fn print(known: &Known, fitted: &Fitted, arguments: &cli::Fit) -> io::Result<()> {
    let mut out = stdout().lock();
    print_known(&mut out, known, fitted)?;
    writeln!(out)?;
    writeln!(out, "{:<12}{:>18}", "model", "log-likelihood")?;
    for (name, maximum) in &fitted.tried {
        print_likelihood(&mut out, name.as_str(), maximum)?;
    }
    print_likelihood(&mut out, "nbd", &fitted.nbd)?;
    writeln!(out)?;
    writeln!(out, "{}/{}: {}", fitted.file.name, fitted.file.version, why(fitted, arguments))?;
    print_parameters(&mut out, &fitted.tried[0].1)?;
    if let Some(spend) = &fitted.spend {
        let currency = fitted.file.currency.as_deref().unwrap_or("no currency");
        let log_likelihood = spend.log_likelihood;
        writeln!(out, "spend in {currency}: log-likelihood {log_likelihood:.4}")?;
        print_parameters(&mut out, spend)?;
    }
    let ratio = fitted.likelihood_ratio;
    let is_identifiable = ratio >= LIKELIHOOD_RATIO_MIN;
    let (is, tell) = if is_identifiable { ("yes", "tells") } else { ("no", "does not tell") };
    writeln!(
        out,
        "identifiable: {is}; the history {tell} leaving from rare buying (likelihood ratio against \
         nbd {ratio:.2}, needed {LIKELIHOOD_RATIO_MIN:.2})"
    )?;
    print_season(&mut out, fitted)?;
    for warning in &fitted.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    match &arguments.output {
        Some(path) => writeln!(out, "written to {}", path.display()),
        None => writeln!(out, "nothing was written; `--output FILE` writes the model file"),
    }
}

fn print_known(out: &mut impl Write, known: &Known, fitted: &Fitted) -> io::Result<()> {
    let (what, n_read) = known.read;
    writeln!(out, "{n_read:>10} {what}")?;
    for (reason, count) in &known.n_bad {
        writeln!(out, "{count:>10}   skipped: {reason}")?;
    }
    if known.n_after_until > 0 {
        writeln!(out, "{:>10}   after --until", known.n_after_until)?;
    }
    writeln!(out, "{:>10} events", known.n_events)?;
    if known.n_duplicates > 0 {
        writeln!(out, "{:>10}   duplicates", known.n_duplicates)?;
    }
    let n_customers =
        fitted.file.evidence.as_ref().and_then(|evidence| evidence.customers).unwrap_or_default();
    writeln!(out, "{n_customers:>10} customers at the end of {}", known.as_of)
}

fn print_likelihood(out: &mut impl Write, name: &str, maximum: &Maximum) -> io::Result<()> {
    writeln!(out, "{name:<12}{:>18.4}", maximum.log_likelihood)
}

fn print_season(out: &mut impl Write, fitted: &Fitted) -> io::Result<()> {
    let season = fitted.file.season.as_ref().map(|season| season.index.iter().copied());
    match (season, fitted.no_season) {
        (Some(index), _) => {
            let (least, most) =
                (index.clone().fold(f64::INFINITY, f64::min), index.fold(0.0, f64::max));
            writeln!(out, "season: yes; weeks of the year from {least:.2} to {most:.2} of the mean")
        }
        (None, Some(reason)) => writeln!(out, "season: no; {reason}"),
        (None, None) => Ok(()),
    }
}

/// Log-likelihoods that differ by less say nothing, and print as the same.
const SAME: f64 = 5e-5;

fn why(fitted: &Fitted, arguments: &cli::Fit) -> &'static str {
    if arguments.name.is_some() {
        return "chosen by `--name`";
    }
    let likelihoods: Vec<f64> =
        fitted.tried.iter().take(2).map(|(_, maximum)| maximum.log_likelihood).collect();
    if let [one, other] = likelihoods[..]
        && (one - other).abs() < SAME
    {
        return "chosen, though another is as likely";
    }
    match fitted.tried[0].0 {
        Name::MbgNbd => "chosen, it is likelier than pareto-nbd; bg-nbd is only chosen by `--name`",
        Name::ParetoNbd => "chosen, it is likelier than mbg-nbd; bg-nbd is only chosen by `--name`",
        Name::BgNbd => "chosen",
    }
}

fn print_parameters(out: &mut impl Write, maximum: &Maximum) -> io::Result<()> {
    for estimate in &maximum.estimates {
        write!(out, "{:>10} {:>14.7}", estimate.key, estimate.value)?;
        match estimate.standard_error {
            Some(error) => writeln!(out, "  ± {error:.7}")?,
            None => writeln!(out, "  left open by the data")?,
        }
    }
    Ok(())
}

//! What `lifetide evaluate` prints: what was read, how well each score foretold, and whether the
//! sums came true. Called by `mod`.

use std::io::{self, Write, stdout};

use crate::cli;
use crate::evaluation::{Band, Bias, CONFIDENCE, Quantity, Trial};

use super::report::Report;
use super::words::{difference, figure, group, name, percent, repeat_days, target};

pub(super) fn print(report: &Report, arguments: &cli::Evaluate) -> io::Result<()> {
    let mut out = stdout().lock();
    print_known(&mut out, report)?;
    print_model(&mut out, report)?;
    for trial in &report.evaluation.trials {
        print_trial(&mut out, report, trial)?;
    }
    for quantity in [Quantity::Orders, Quantity::Spend] {
        print_bias(&mut out, report, quantity)?;
    }
    if let Some(calibration) = &report.evaluation.calibration {
        print_bands(&mut out, "purchase days a customer", &calibration.orders)?;
        print_bands(&mut out, "chance of no purchase", &calibration.no_purchase)?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "in brackets: {} intervals by {} rounds of a bootstrap over customers, seed {}",
        percent(CONFIDENCE).replace(".0", ""),
        report.evaluation.rounds,
        report.bootstrap.seed
    )?;
    for warning in &report.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for path in [&arguments.json, &arguments.html].into_iter().flatten() {
        writeln!(out, "written to {}", path.display())?;
    }
    Ok(())
}

fn print_known(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let (history, customers) = (&report.history, &report.customers);
    writeln!(out, "{:>10} rows", history.rows)?;
    for (reason, count) in &history.skipped {
        writeln!(out, "{count:>10}   skipped: {reason}")?;
    }
    for (count, what) in [
        (history.after_until, "  after --until".to_owned()),
        (customers.duplicate_events, "  duplicates".to_owned()),
        (customers.known, format!("customers at the end of {}", report.split)),
        (customers.repeaters, "  bought on more than one day".to_owned()),
        (customers.erased_later, "  erased since: without purchase from then on".to_owned()),
        (customers.first_seen_later, "others came later and are not judged".to_owned()),
        (customers.without_order, "others had no order that stood, and are not judged".to_owned()),
    ] {
        if count > 0 {
            writeln!(out, "{count:>10} {what}")?;
        }
    }
    writeln!(out)
}

fn print_model(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let window = format!("{} days up to {}", report.window_days, report.until);
    let Some(model) = &report.model else {
        return writeln!(out, "no model, judged by the {window}");
    };
    writeln!(out, "{}/{}, judged by the {window}", model.name, model.version)?;
    let is = if model.identifiable { "yes" } else { "no, so P(alive) is not acted on" };
    writeln!(
        out,
        "identifiable: {is} (likelihood ratio against nbd {:.2}, needed {:.2})",
        model.likelihood_ratio, model.likelihood_ratio_needed
    )
}

fn print_trial(out: &mut impl Write, report: &Report, trial: &Trial) -> io::Result<()> {
    writeln!(out)?;
    write!(out, "{}, {}: ", target(trial.target), group(trial.group))?;
    let Some(base_rate) = trial.base_rate else {
        return writeln!(out, "no customer of whom this can be asked");
    };
    let (happened, customers) = (trial.happened, trial.customers);
    writeln!(out, "{happened} of {customers} customers ({})", percent(base_rate))?;
    let precision = format!("first {}", trial.top_customers);
    writeln!(
        out,
        "{:<26}{:<23}{:<26}{:<23}{:>5}",
        "", "AUC", "over the hiatus", precision, "lift"
    )?;
    for scored in &trial.scores {
        let mark = if report.is_acted_on(scored.score) { "" } else { " *" };
        writeln!(
            out,
            "{:<26}{:<23}{:<26}{:<23}{:>5}",
            format!("{}{mark}", name(scored.score)),
            figure(scored.auc),
            difference(scored.auc_over_hiatus),
            figure(scored.precision),
            scored.lift.map_or("-".to_owned(), |lift| format!("{lift:.2}")),
        )?;
    }
    Ok(())
}

fn print_bias(out: &mut impl Write, report: &Report, quantity: Quantity) -> io::Result<()> {
    let mut rows = report.evaluation.bias.iter().filter(|row| row.quantity == quantity).peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let what = match quantity {
        Quantity::Orders => "purchase days".to_owned(),
        Quantity::Spend => format!("spend, {}", report.currency),
    };
    writeln!(out)?;
    writeln!(
        out,
        "{what:<18}{:>9}{:>14}{:>14}{:>10}{:>10}  predicted / actual",
        "customers", "predicted", "actual", "each", "each"
    )?;
    rows.try_for_each(|row| print_sum(out, row))
}

fn print_sum(out: &mut impl Write, row: &Bias) -> io::Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "no history has 2^53 customers")]
    let customers = row.customers as f64;
    writeln!(
        out,
        "{:<18}{:>9}{:>14.1}{:>14.1}{:>10.3}{:>10.3}  {}",
        repeat_days(row.x),
        row.customers,
        row.predicted,
        row.actual,
        row.predicted / customers,
        row.actual / customers,
        figure(row.ratio),
    )
}

fn print_bands(out: &mut impl Write, what: &str, bands: &[Band]) -> io::Result<()> {
    writeln!(out)?;
    writeln!(out, "{what:<26}{:>9}{:>11}{:>9}", "customers", "predicted", "actual")?;
    for band in bands {
        let range = format!("{:.3} to {:.3}", band.predicted_min, band.predicted_max);
        let Band { customers, predicted_mean, actual_mean, .. } = band;
        writeln!(out, "{range:<26}{customers:>9}{predicted_mean:>11.3}{actual_mean:>9.3}")?;
    }
    Ok(())
}

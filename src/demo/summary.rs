//! The verdict as plain text for a terminal or a log: no colours, no box drawing. It judges
//! nothing. Called by `verdict`.

use std::fmt::{self, Write};

use crate::money::format_minor;

use super::verdict::{FalseAlarms, Fared, Leaving, Missed, RECENT_DAYS, Verdict};

/// The whole summary, ending in a line feed.
pub(super) fn table(verdict: &Verdict) -> String {
    let mut out = String::new();
    write(&mut out, verdict).expect("memory takes any text");
    out
}

fn write(out: &mut String, verdict: &Verdict) -> fmt::Result {
    totals(out, verdict)?;
    writeln!(out)?;
    leaving(out, &verdict.leaving)?;
    writeln!(out)?;
    planted(out, &verdict.fared)?;
    writeln!(out)?;
    false_alarms(out, &verdict.false_alarms)
}

fn totals(out: &mut String, verdict: &Verdict) -> fmt::Result {
    let totals = &verdict.totals;
    let money =
        |minor| format!("{} {}", format_minor(minor, totals.currency.decimals()), totals.currency);
    writeln!(out, "the shop on {}", verdict.as_of)?;
    writeln!(out, "  events     {:>14}  of which {} refused", totals.n_events, totals.n_rejected)?;
    writeln!(out, "  customers  {:>14}", totals.n_customers)?;
    write!(out, "  revenue    {:>14}  ", money(totals.net_minor))?;
    if totals.net_minor == totals.books_minor {
        writeln!(out, "equal to the shop's own books")
    } else {
        writeln!(out, "but the shop's own books say {}", money(totals.books_minor))
    }
}

fn leaving(out: &mut String, leaving: &[Leaving]) -> fmt::Result {
    if leaving.is_empty() {
        return writeln!(out, "nobody is leaving");
    }
    writeln!(out, "who is leaving, by value at risk")?;
    for Leaving { signal, planted } in leaving {
        let at_risk = signal.value_at_risk.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let reason = signal.driver.map_or(signal.kind.as_str(), |driver| driver.as_str());
        writeln!(
            out,
            "  {:<10} {:>10}  since {}  {:<9}  (in truth: {})",
            signal.customer_id,
            at_risk,
            signal.raised_on,
            reason,
            planted.map_or("loyal", |change| change.as_str()),
        )?;
        writeln!(out, "             {}", signal.sentence)?;
    }
    Ok(())
}

fn planted(out: &mut String, fared: &[Fared]) -> fmt::Result {
    writeln!(
        out,
        "{:<15} {:>7} {:>7} {:>6} {:>7} {:>12} {:>13}  named",
        "change", "planted", "begun", "found", "missed", "median days", "reason right",
    )?;
    for row in fared {
        let n_found = row.found_days.len();
        let median = row.median_days().map_or("-".to_owned(), |days| format!("{days:.1}"));
        let right = format!("{} of {n_found}", row.n_reason_right);
        let named: Vec<String> =
            row.named.iter().map(|(reason, n_named)| format!("{reason} {n_named}")).collect();
        let line = format!(
            "{:<15} {:>7} {:>7} {:>6} {:>7} {:>12} {:>13}  {}",
            row.kind.as_str(),
            row.n_planted,
            n_found + row.n_missed(),
            n_found,
            row.n_missed(),
            median,
            right,
            named.join(", "),
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    for row in fared.iter().filter(|row| row.n_missed() > 0) {
        writeln!(out, "missed, of `{}`:", row.kind.as_str())?;
        for reason in Missed::ALL {
            if let Some(figures) = row.missed.get(&reason) {
                writeln!(out, "  {:>3} {}", figures.len(), why(reason, figures))?;
            }
        }
    }
    Ok(())
}

/// The reason with the range of the figures that show it.
fn why(reason: Missed, figures: &[f64]) -> String {
    let [low, high] = [figures.first(), figures.last()].map(|it| it.copied().unwrap_or_default());
    let range = if format!("{low:.0}") == format!("{high:.0}") {
        format!("{low:.0}")
    } else {
        format!("{low:.0} to {high:.0}")
    };
    match reason {
        Missed::TooRare => {
            format!("bought too rarely: {range} purchase days to compare with; nobody can know")
        }
        Missed::AlreadyUp => {
            format!("were under alarm already, {range} days before the change")
        }
        Missed::TooRecent => {
            format!("changed {range} days before the end; under {RECENT_DAYS} days is too recent")
        }
        Missed::UnderThreshold => {
            format!("still under the threshold: {range} orders touched by the change so far")
        }
    }
}

fn false_alarms(out: &mut String, alarms: &FalseAlarms) -> fmt::Result {
    let FalseAlarms { n_loyal, n_declines, n_lapses, customer_years } = *alarms;
    writeln!(
        out,
        "false alarms about {n_loyal} loyal customers in {customer_years:.0} judged years"
    )?;
    for (what, n_alarms) in [("declines", n_declines), ("lapses", n_lapses)] {
        let n = f64::from(u32::try_from(n_alarms).unwrap_or(u32::MAX));
        let rate = if customer_years > 0.0 {
            format!("{:.2}", n / customer_years)
        } else {
            "-".to_owned()
        };
        writeln!(out, "  {what:<9} {n_alarms:>5}  {rate} a customer-year")?;
    }
    Ok(())
}

//! Tables and terms of the report for people. Called by `page`.

use std::fmt::{self, Write};

use crate::evaluation::{
    AGE_DAYS_MIN, Band, Bias, CONFIDENCE, Quantity, RECENT_DAYS, Score, Target, Trial,
};

use super::report::{Report, lead};
use super::words::{
    difference, figure, group, grouped, meaning, name, percent, repeat_days, target,
};

/// Appends to a page.
pub(super) fn put(text: &mut String, more: fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes all text");
}

/// Text that may stand anywhere in the page.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The interval below its figure.
fn below(figure: &str) -> String {
    figure.replacen(' ', "<br>", 1)
}

#[expect(clippy::cast_precision_loss, reason = "no history has 2^53 customers")]
pub(super) fn count(n: u64) -> String {
    grouped(n as f64)
}

/// All scores of a trial; open where it is the first to be looked at.
pub(super) fn table(report: &Report, trial: &Trial, is_open: bool) -> String {
    let title = format!("{}, {}", target(trial.target), group(trial.group));
    let title = escaped(&title);
    let mut text = format!(
        "<details{}><summary>All figures: {title}</summary>\
         <div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\
         <caption>{} of {} customers{}</caption><thead><tr><th scope=\"col\">first come those \
         with</th><th scope=\"col\">AUC</th><th scope=\"col\">over longest away</th>\
         <th scope=\"col\">of the first {}</th><th scope=\"col\">times blind</th></tr></thead>\
         <tbody>",
        if is_open { " open" } else { "" },
        count(trial.happened),
        count(trial.customers),
        trial.base_rate.map_or(String::new(), |rate| format!(" ({})", percent(rate))),
        count(trial.top_customers),
    );
    let lead = lead(trial).map(|scored| scored.score);
    for scored in &trial.scores {
        let class = if Some(scored.score) == lead { " class=\"lead\"" } else { "" };
        let mark = if report.is_acted_on(scored.score) { "" } else { " (not acted on)" };
        put(
            &mut text,
            format_args!(
                "<tr{class}><th scope=\"row\">{}{mark}<br><span class=\"soft\">{}</span></th>\
             <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                name(scored.score),
                meaning(scored.score),
                below(&figure(scored.auc)),
                below(&difference(scored.auc_over_hiatus)),
                below(&figure(scored.precision)),
                scored.lift.map_or("-".to_owned(), |lift| format!("{lift:.2}")),
            ),
        );
    }
    text.push_str("</tbody></table></div></details>");
    text
}

/// The sums by repeat days, and the points of both pictures.
pub(super) fn bias(report: &Report) -> String {
    let mut text = "<details><summary>All figures: predicted and actual</summary>".to_owned();
    for quantity in [Quantity::Orders, Quantity::Spend] {
        let rows: Vec<&Bias> =
            report.evaluation.bias.iter().filter(|row| row.quantity == quantity).collect();
        if rows.is_empty() {
            continue;
        }
        let what = match quantity {
            Quantity::Orders => "purchase days".to_owned(),
            Quantity::Spend => format!("spend in {}", escaped(&report.currency)),
        };
        text.push_str(&head(
            &format!("Sums of {what}, by purchase days after the first (x)"),
            ["x", "customers", "predicted", "actual", "predicted ÷ actual"],
        ));
        for row in rows {
            put(
                &mut text,
                format_args!(
                    "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.1}</td><td>{:.1}</td>\
                 <td>{}</td></tr>",
                    escaped(&repeat_days(row.x)),
                    count(row.customers),
                    row.predicted,
                    row.actual,
                    below(&figure(row.ratio)),
                ),
            );
        }
        text.push_str("</tbody></table></div>");
    }
    if let Some(calibration) = &report.evaluation.calibration {
        text.push_str(&bands("Purchase days a customer", &calibration.orders));
        text.push_str(&bands("Chance of no purchase", &calibration.no_purchase));
    }
    text.push_str("</details>");
    text
}

fn bands(title: &str, bands: &[Band]) -> String {
    let mut text =
        head(title, ["predicted from", "to", "customers", "predicted, mean", "actual, mean"]);
    for band in bands {
        put(
            &mut text,
            format_args!(
                "<tr><th scope=\"row\">{:.3}</th><td>{:.3}</td><td>{}</td><td>{:.3}</td>\
             <td>{:.3}</td></tr>",
                band.predicted_min,
                band.predicted_max,
                count(band.customers),
                band.predicted_mean,
                band.actual_mean,
            ),
        );
    }
    text.push_str("</tbody></table></div>");
    text
}

fn head(title: &str, columns: [&str; 5]) -> String {
    let columns = columns.map(|column| format!("<th scope=\"col\">{column}</th>")).concat();
    format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\
         <caption>{title}</caption><thead><tr>{columns}</tr></thead><tbody>"
    )
}

/// What exactly was counted.
pub(super) fn exact(report: &Report) -> String {
    let mut text = "<h2>Exact terms</h2><details><summary>How everything was counted</summary><ul>\
         <li>A <em>purchase day</em> is a day with at least one order that stands. What came is \
         purchase days after the split and what they brought after refunds, as known at the end of \
         the window; a refund of an order from before the split takes nothing off, and did not \
         change what was known.</li>"
        .to_owned();
    let own_gap = meaning(Score::OwnGap);
    put(
        &mut text,
        format_args!(
            "<li><em>{}</em>: net spend in the window below half of the net spend up to the split \
         per \
         day of age, the first purchase included, times the days of the window; asked of who was a \
         customer for at least {AGE_DAYS_MIN} days and had paid something.</li>\
         <li><em>AUC</em>: the share of pairs in the right order, a tie counts half. The first \
         tenth is rounded up; of customers who tie at its end the expected share counts.</li>\
         <li><em>{}</em> ({own_gap}): silence over the 90 % quantile of the customer’s gaps \
         between purchase days; who has no gap yet is measured by everybody’s. <em>{}</em> looks \
         at {RECENT_DAYS} days.</li>\
         <li>In brackets: {} intervals, by {} rounds of a bootstrap over customers, seed {}.</li>",
            target(Target::SpendHalved),
            name(Score::OwnGap),
            name(Score::RecentSpend),
            percent(CONFIDENCE),
            report.evaluation.rounds,
            report.bootstrap.seed,
        ),
    );
    if let Some(model) = &report.model {
        let parameters = model.parameters.iter().map(|(key, value)| format!("{key} {value:.6}"));
        put(
            &mut text,
            format_args!(
                "<li>Model <code>{}/{}</code>: {}; likelihood ratio against NBD {:.2}, needed \
             {:.2}.</li>",
                escaped(&model.name),
                escaped(&model.version),
                parameters.collect::<Vec<_>>().join(", "),
                model.likelihood_ratio,
                model.likelihood_ratio_needed,
            ),
        );
    }
    put(
        &mut text,
        format_args!(
            "<li>{} rows were read, {} of them skipped.</li></ul></details>",
            count(report.history.rows),
            count(report.history.skipped.values().sum()),
        ),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_can_be_markup() {
        let escaped = escaped("<b a='1' b=\"2\">&amp;</b>");
        assert_eq!(escaped, "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;amp;&lt;/b&gt;");
    }
}

//! The report for people, `--html`: one page that needs nothing else, in plain words first and in
//! figures below. What comes from outside is escaped. Called by `mod`; `pieces` writes the tables.

use crate::evaluation::{Calibration, Figure, Group, Quantity, Score, Scored, Target, Trial};

use super::pieces::{bias, count, escaped, exact, put, table};
use super::plot::{self, Labels};
use super::report::{Report, lead, scored};
use super::style::SHEET;
use super::words::{grouped, meaning, percent};

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Lifetide: predictions of {split} against what came</title>\
         <style>{SHEET}</style></head><body><main>\
         <h1>Could it be foreseen who would stop buying?</h1>\
         <p class=\"soft\">Predictions of {split}, compared with the {days} days up to {until}</p>",
        split = report.split,
        until = report.until,
        days = report.window_days,
    );
    page.push_str(&asked(report));
    for warning in &report.warnings {
        put(&mut page, format_args!("<p class=\"warn\">To mind: {}.</p>", escaped(warning)));
    }
    page.push_str(&leaving(report));
    page.push_str(&falling(report));
    page.push_str(&amounts(report));
    page.push_str(&unknown(report));
    page.push_str(&exact(report));
    page.push_str("</main></body></html>\n");
    page
}

fn asked(report: &Report) -> String {
    let customers = &report.customers;
    let mut text = format!(
        "<h2>What was asked</h2><p>The order history was cut off at the end of {}. From what lay \
         before, {} customers, of whom {} had bought on more than one day, ",
        report.split,
        count(customers.known),
        count(customers.repeaters),
    );
    match &report.model {
        Some(model) => put(
            &mut text,
            format_args!(
                "a model (<code>{}</code>) learnt how often people buy and when they stay away for \
             good, and every customer was judged by it.",
                escaped(&model.name)
            ),
        ),
        None => text.push_str(
            "no model could be learnt, so every customer was judged by simple rules alone.",
        ),
    }
    text.push_str(
        " Nothing that happened later was looked at. Then the judgement was compared with what \
         these customers really did.</p>",
    );
    if report.model.as_ref().is_some_and(|model| !model.identifiable) {
        text.push_str(
            "<p class=\"warn\">This history does not tell customers who left from customers who \
             buy rarely. The chance of still being a customer, P(alive), is shown below but nobody \
             should act on it, and Lifetide does not; expected orders remain.</p>",
        );
    }
    text
}

/// Whom it named first, how many of them it happened to, and how a blind draw and the simplest rule
/// would have done.
fn answer(trial: &Trial, happened: &str) -> String {
    let (Some(lead), Some(base_rate)) = (lead(trial), trial.base_rate) else {
        return "<p>There is no customer of whom this can be asked.</p>".to_owned();
    };
    let top = count(trial.top_customers);
    let hits = |share: f64| {
        #[expect(clippy::cast_precision_loss, reason = "no history has 2^53 customers")]
        let hits = share * trial.top_customers as f64;
        format!("<strong>{}</strong> ({})", grouped(hits.round()), percent(share))
    };
    let precision = |scored: &Scored| scored.precision.map_or(0.0, |it| it.value);
    let mut text = format!(
        "<div class=\"answer\"><p>Of the {top} customers whom it named first, {} {happened}.</p>\
         <p>Of {top} drawn blindly it would be {}.</p>",
        hits(precision(lead)),
        hits(base_rate),
    );
    if let Some(rule) = scored(trial, Score::Hiatus) {
        put(
            &mut text,
            format_args!(
                "<p>Of the {top} who had been away longest, the simplest rule there is, it was \
             {}.</p>",
                hits(precision(rule)),
            ),
        );
    }
    text.push_str("</div>");
    text.push_str(&compared(lead));
    text
}

/// Whether the score orders all customers better than the simplest rule, as far as can be told.
fn compared(lead: &Scored) -> String {
    let Some(Figure { low: Some(low), high: Some(high), .. }) = lead.auc_over_hiatus else {
        return String::new();
    };
    let than = "than the rule “longest away first”";
    let verdict = if low > 0.0 {
        format!("it does so better {than}, by more than chance explains")
    } else if high < 0.0 {
        format!("it does so worse {than}, by more than chance explains: use the rule")
    } else {
        "chance alone could explain its distance to the rule “longest away first”: this \
         history does not tell which of the two is better"
            .to_owned()
    };
    format!(
        "<p>“It” is the order by <em>{}</em>. Over all customers, not only those named first, \
         {verdict}.</p>",
        meaning(lead.score)
    )
}

fn leaving(report: &Report) -> String {
    let mut text = "<h2>Who stops buying</h2>".to_owned();
    let Some(trial) = report.trial(Target::NoPurchase, Group::All) else { return text };
    text.push_str(&answer(trial, "did not buy again"));
    if trial.scores.iter().any(|scored| scored.auc.is_some()) {
        put(
            &mut text,
            format_args!(
                "<figure class=\"wide\" tabindex=\"0\">{}<figcaption>Take one customer who bought \
                 again and one who did not: how \
             often does the score put the right one first? 1 is always, 0.5 is drawing blindly. A \
             bar is how far chance alone may move the point. Blue: by silence and model; orange: \
             simple rules.</figcaption></figure>",
                plot::aucs(trial)
            ),
        );
    } else {
        text.push_str("<p>All of them did the same, so there is no order to be right about.</p>");
    }
    text.push_str(&table(report, trial, true));
    let Some(trial) = report.trial(Target::NoPurchase, Group::Repeaters) else { return text };
    text.push_str("<h2>Who stops buying, of those who had come back before</h2>");
    text.push_str(&answer(trial, "did not buy again"));
    text.push_str(&table(report, trial, false));
    text
}

fn falling(report: &Report) -> String {
    let mut text = "<h2>Whose spend falls by half</h2>".to_owned();
    let customers = &report.customers;
    let Some(trial) = report.trial(Target::SpendHalved, Group::Repeaters) else { return text };
    text.push_str(
        "<p>A harder question: who would spend less than half of what they used to, per day? It is \
         asked of customers who had come back before. Many do, for people often buy most while \
         they are new; so look at how much better it is than drawing blindly.</p>",
    );
    text.push_str(&answer(trial, "spent less than half"));
    text.push_str(&table(report, trial, false));
    if customers.too_young + customers.without_spend > 0 {
        put(
            &mut text,
            format_args!(
                "<p class=\"soft\">Left out of this question, of all customers: {} who were \
             customers \
             for less than four weeks, and {} who had never paid anything.</p>",
                count(customers.too_young),
                count(customers.without_spend),
            ),
        );
    }
    if let Some(trial) = report.trial(Target::SpendHalved, Group::All) {
        text.push_str(&table(report, trial, false));
    }
    text
}

fn amounts(report: &Report) -> String {
    let Some(calibration) = &report.evaluation.calibration else { return String::new() };
    let mut text = "<h2>How much they would buy</h2>".to_owned();
    let sums = |quantity| {
        let mut rows = report.evaluation.bias.iter();
        rows.find(|row| row.quantity == quantity && row.x.is_none())
    };
    for (quantity, what) in [
        (Quantity::Orders, "days with a purchase".to_owned()),
        (Quantity::Spend, escaped(&report.currency)),
    ] {
        let Some(row) = sums(quantity) else { continue };
        let (foreseen, came) = (grouped(row.predicted), grouped(row.actual));
        put(
            &mut text,
            format_args!(
                "<p>Foreseen: <strong>{foreseen}</strong> {what}. What came: \
             <strong>{came}</strong>.",
            ),
        );
        if let Some(Figure { low: Some(low), high: Some(high), .. }) = row.ratio {
            text.push_str(match () {
                () if high < 1.0 => " That is too low, by more than chance explains.",
                () if low > 1.0 => " That is too high, by more than chance explains.",
                () => " Chance alone could explain the difference.",
            });
        }
        text.push_str("</p>");
    }
    text.push_str(&pictures(calibration));
    text.push_str(&bias(report));
    text
}

fn pictures(calibration: &Calibration) -> String {
    let mut text = "<div class=\"pair\">".to_owned();
    for (labels, bands) in [
        (
            Labels {
                id: "orders",
                title: "Purchase days: predicted and actual",
                description:
                    "Each point is about a tenth of the customers. On the dashed line the \
                              prediction came true. The figures are in the table below."
                        .to_owned(),
                across: "predicted purchase days a customer",
                up: "actual purchase days a customer",
            },
            &calibration.orders,
        ),
        (
            Labels {
                id: "none",
                title: "No purchase: predicted chance and actual share",
                description:
                    "Each point is about a tenth of the customers. On the dashed line the \
                              chance came true. The figures are in the table below."
                        .to_owned(),
                across: "predicted chance of no purchase",
                up: "actual share without a purchase",
            },
            &calibration.no_purchase,
        ),
    ] {
        put(
            &mut text,
            format_args!(
                "<figure>{}<figcaption>{}. {}</figcaption></figure>",
                plot::bands(&labels, bands),
                labels.title,
                "Each point is about a tenth of the customers; on the dashed line prediction and \
             reality agree, above it more came than foreseen."
            ),
        );
    }
    text.push_str("</div>");
    text
}

fn unknown(report: &Report) -> String {
    let later = report.customers.first_seen_later;
    let later = if later == 0 {
        String::new()
    } else {
        format!(
            "<li>{} customers who first came after the split: nothing was known of them.</li>",
            count(later)
        )
    };
    format!(
        "<h2>What cannot be known from this</h2><ul>\
         <li>What one customer will do. A chance of 90 % is wrong for one in ten.</li>\
         <li>Why they leave, and whether a letter or a discount would keep them: naming someone \
         who leaves is not winning them back. Only a trial with a group left alone tells that.</li>\
         <li>Whether another half year would look the same. This is one cut through one history; \
         the ranges say how far chance among customers may move a figure, not what a season, a \
         campaign or a change in the shop does.</li>\
         <li>Anything that is not in the orders: visits, complaints, prices elsewhere.</li>{later}\
         </ul>"
    )
}

//! Pictures of the report, as SVG: predicted against actual, and AUC with its intervals. Colours
//! are the page's, so that both work in light and dark. Called by `page`.

use crate::evaluation::{Band, Trial};

use super::pieces::put;
use super::words;

/// The size of a square picture and the margins of its axes, in the picture's own units.
const SIDE: f64 = 360.0;
const LEFT: f64 = 58.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 18.0;

/// About so many steps on an axis.
const STEPS: f64 = 5.0;

/// The most decades between a step and 1.
const DECADES_MAX: u32 = 40;

/// What a picture of bands says of itself.
pub(super) struct Labels {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) description: String,
    pub(super) across: &'static str,
    pub(super) up: &'static str,
}

/// Predicted against actual: on the line they agree.
pub(super) fn bands(labels: &Labels, bands: &[Band]) -> String {
    let greatest = |it: &Band| it.predicted_mean.max(it.actual_mean);
    let end = bands.iter().map(greatest).fold(0.0, f64::max).max(1e-9);
    let step = step(end);
    let end = (end / step).ceil() * step;
    let across = |value: f64| LEFT + (SIDE - LEFT - RIGHT) * value / end;
    let up = |value: f64| SIDE - BOTTOM - (SIDE - BOTTOM - TOP) * value / end;
    let mut svg = opened(labels.id, labels.title, &labels.description, SIDE);
    let mut tick = 0.0;
    while tick <= end + step / 2.0 {
        let (x, y, text) = (across(tick), up(tick), short(tick, step));
        put(
            &mut svg,
            format_args!(
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{y0:.1}\"/>\
                 <line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{x1:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{text}</text>\
                 <text x=\"{beside:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{text}</text>",
                y0 = SIDE - BOTTOM,
                x1 = SIDE - RIGHT,
                below = SIDE - BOTTOM + 17.0,
                beside = LEFT - 7.0,
                middle = y + 4.0,
            ),
        );
        tick += step;
    }
    put(
        &mut svg,
        format_args!(
            "<line class=\"agree\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\
             <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" transform=\"translate(14 {:.1}) rotate(-90)\" \
             text-anchor=\"middle\">{}</text>",
            across(0.0),
            up(0.0),
            across(end),
            up(end),
            f64::midpoint(LEFT, SIDE - RIGHT),
            SIDE - 10.0,
            labels.across,
            f64::midpoint(TOP, SIDE - BOTTOM),
            labels.up,
        ),
    );
    for band in bands {
        put(
            &mut svg,
            format_args!(
                "<circle class=\"mark\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"><title>{} customers: \
                 predicted {:.3}, actual {:.3}</title></circle>",
                across(band.predicted_mean),
                up(band.actual_mean),
                band.customers,
                band.predicted_mean,
                band.actual_mean,
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The width of the picture of AUCs, of its names, and the height of a row.
const WIDTH: f64 = 640.0;
const NAMES: f64 = 190.0;
const ROW: f64 = 26.0;

/// The AUC of each score with its interval, around the line of drawing blindly.
pub(super) fn aucs(trial: &Trial) -> String {
    let rows: Vec<_> =
        trial.scores.iter().filter_map(|it| it.auc.map(|auc| (it.score, auc))).collect();
    let ends = rows.iter().flat_map(|(_, auc)| [auc.low, auc.high, Some(auc.value)]).flatten();
    let (low, high) = ends.fold((0.5_f64, 0.5_f64), |(low, high), it| (low.min(it), high.max(it)));
    let (low, high) = ((low * 10.0).floor() / 10.0, (high * 10.0).ceil() / 10.0);
    let span = (high - low).max(0.1);
    let across = |value: f64| NAMES + (WIDTH - NAMES - 24.0) * (value - low) / span;
    let bottom = TOP + ROW * f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    let description = rows
        .iter()
        .map(|(score, auc)| format!("{}: {}", words::name(*score), words::figure(Some(*auc))));
    let description = description.collect::<Vec<_>>().join("; ");
    let title = "How often each score puts the right one of two customers first";
    let mut svg = opened("aucs", title, &description, bottom + 44.0);
    svg = svg.replacen(&format!("viewBox=\"0 0 {SIDE} "), &format!("viewBox=\"0 0 {WIDTH} "), 1);
    let mut tick = low;
    while tick <= high + 0.05 {
        let class = if (tick - 0.5).abs() < 0.01 { "agree" } else { "grid" };
        put(
            &mut svg,
            format_args!(
                "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" \
                 y2=\"{bottom:.1}\"/><text x=\"{x:.1}\" y=\"{below:.1}\" \
                 text-anchor=\"middle\">{tick:.1}</text>",
                x = across(tick),
                below = bottom + 17.0,
            ),
        );
        tick += 0.1;
    }
    let mut middle = TOP + ROW / 2.0;
    for (score, auc) in rows {
        let class = if score.is_rule() { "rule" } else { "mark" };
        let (from, to) = (auc.low.unwrap_or(auc.value), auc.high.unwrap_or(auc.value));
        put(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <line class=\"span {class}\" x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" \
                 y2=\"{middle:.1}\"/><circle class=\"{class}\" cx=\"{:.1}\" cy=\"{middle:.1}\" \
                 r=\"5\"/>",
                NAMES - 14.0,
                middle + 4.0,
                words::name(score),
                across(from),
                across(to),
                across(auc.value),
            ),
        );
        middle += ROW;
    }
    put(
        &mut svg,
        format_args!(
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">AUC; 0.5 is \
             drawing blindly</text></svg>",
            f64::midpoint(NAMES, WIDTH - 24.0),
            bottom + 36.0,
        ),
    );
    svg
}

fn opened(id: &str, title: &str, description: &str, height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {SIDE} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>"
    )
}

/// A round step of which about [`STEPS`] reach `end`, which is positive.
fn step(end: f64) -> f64 {
    let rough = end / STEPS;
    let mut power = 1.0;
    for _ in 0..DECADES_MAX {
        if power > rough {
            power /= 10.0;
        } else if power * 10.0 <= rough {
            power *= 10.0;
        }
    }
    let times = rough / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| times <= *round);
    round.unwrap_or(10.0) * power
}

/// As many decimals as the step has.
fn short(value: f64, step: f64) -> String {
    let decimals =
        if step >= 1.0 { 0 } else { 1 + usize::from(step < 0.1) + usize::from(step < 0.01) };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_a_few_round_steps_whatever_its_scale() {
        for exponent in -9..30 {
            for times in [1.0, 1.7, 3.3, 9.9] {
                let end = times * 10.0_f64.powi(exponent);
                let n_steps = (end / step(end)).ceil();
                assert!((2.0..=5.0).contains(&n_steps), "{end}: {n_steps}");
                let digit = format!("{:.3e}", step(end));
                let is_round = ["1.000", "2.000", "5.000"].iter().any(|it| digit.starts_with(it));
                assert!(is_round, "{digit}");
            }
        }
    }
}

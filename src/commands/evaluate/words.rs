//! What the scores, targets and groups are called, and how numbers are written. Used by `table`,
//! `page` and `plot`.

use crate::evaluation::{Figure, Group, Score, Target};

/// A score's name in a table.
pub(super) const fn name(score: Score) -> &'static str {
    match score {
        Score::ExpectedOrders => "expected orders",
        Score::NoPurchaseChance => "P(no purchase)",
        Score::HalvingChance => "P(spend halved)",
        Score::ExpectedSpend => "expected spend",
        Score::ExpectedSpendRatio => "expected spend / own rate",
        Score::PAlive => "P(alive)",
        Score::SilenceTail => "silence tail",
        Score::Hiatus => "rule: hiatus",
        Score::OwnGap => "rule: own gap",
        Score::RecentSpend => "rule: recent spend",
    }
}

/// Whom a score puts first, in plain words.
pub(super) const fn meaning(score: Score) -> &'static str {
    match score {
        Score::ExpectedOrders => "fewest purchase days expected by the model",
        Score::NoPurchaseChance => "greatest chance of no purchase, says the model",
        Score::HalvingChance => "greatest chance of less than half the usual spend, says the model",
        Score::ExpectedSpend => "least spend expected by the model",
        Score::ExpectedSpendRatio => {
            "least spend expected by the model, for what they usually spend"
        }
        Score::PAlive => "least chance of still being a customer, says the model",
        Score::SilenceTail => "longest silence for how often they buy, were they still customers",
        Score::Hiatus => "longest since their last purchase",
        Score::OwnGap => "longest since their last purchase, for their own usual gaps",
        Score::RecentSpend => "least spent in the last eight weeks, for what they usually spend",
    }
}

pub(super) const fn target(target: Target) -> &'static str {
    match target {
        Target::NoPurchase => "no purchase",
        Target::SpendHalved => "spend below half of own rate",
    }
}

pub(super) const fn group(group: Group) -> &'static str {
    match group {
        Group::All => "all",
        Group::Repeaters => "bought again before (x >= 1)",
    }
}

/// The customers with so many repeat days; the last group is open.
pub(super) fn repeat_days(x: Option<u32>) -> String {
    match x {
        None => "all".to_owned(),
        Some(7) => "x >= 7".to_owned(),
        Some(x) => format!("x = {x}"),
    }
}

/// A figure with its interval, as in `0.773 [0.752, 0.793]`.
pub(super) fn figure(figure: Option<Figure>) -> String {
    let Some(Figure { value, low, high }) = figure else { return "-".to_owned() };
    match low.zip(high) {
        Some((low, high)) => format!("{value:.3} [{low:.3}, {high:.3}]"),
        None => format!("{value:.3}"),
    }
}

/// The same with its sign, for a difference.
pub(super) fn difference(figure: Option<Figure>) -> String {
    let Some(Figure { value, low, high }) = figure else { return "-".to_owned() };
    match low.zip(high) {
        Some((low, high)) => format!("{value:+.3} [{low:+.3}, {high:+.3}]"),
        None => format!("{value:+.3}"),
    }
}

/// A share in hundredths, as in `71.0 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A whole number with its thousands apart, as in `1 882`.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("−{text}") } else { text }
}

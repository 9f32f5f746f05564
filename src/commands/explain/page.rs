//! An explanation on a terminal: aligned, in sections, each figure with its pieces. Computes
//! nothing. Called by `explain`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::calendar::rfc3339;
use crate::explanation::{Channel, Document, Explanation, Pieces, PurchaseToday, Shift};
use crate::record::wire::{Date, Estimate};

/// A label and what stands beside it.
type Row = (String, String);

pub(super) fn print(out: &mut impl Write, document: &Document<'_>) -> io::Result<()> {
    let (score, why) = (&document.score, &document.explanation);
    let (lifecycle, tier) = (&score.segment.lifecycle, &score.segment.value);
    let as_of = rfc3339(score.as_of.0);
    writeln!(out, "customer {} as of {as_of}", score.customer_id)?;
    writeln!(out, "{lifecycle}, value tier {tier}, model {}", score.model)?;
    writeln!(out)?;
    for sentence in &why.sentences {
        writeln!(out, "  {sentence}")?;
    }
    section(out, "inputs", &inputs(why))?;
    section(out, "figures", &figures(&why.pieces))?;
    section(out, "lapse and decline", &evidence(why))?;
    let ahead = why.ahead.iter().map(|change| {
        let signal = change.signal.map(|signal| format!(" (signal {signal})"));
        (change.on.0.to_string(), format!("{}{}", change.says, signal.unwrap_or_default()))
    });
    section(out, "without a purchase", &ahead.collect::<Vec<_>>())?;
    if let Some(purchase) = &why.purchase_today {
        let title = format!("with a purchase today of {}, their average", purchase.value);
        section(out, &title, &purchased(purchase))?;
    }
    Ok(())
}

fn section(out: &mut impl Write, title: &str, rows: &[Row]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    rows.iter().try_for_each(|(label, text)| writeln!(out, "  {label:width$}  {text}"))
}

fn inputs(why: &Explanation) -> Vec<Row> {
    let inputs = &why.inputs;
    let parameters = |of: &BTreeMap<&str, f64>| {
        let all: Vec<String> = of.iter().map(|(name, value)| format!("{name} {value}")).collect();
        (!all.is_empty()).then(|| all.join(", "))
    };
    let rows = [
        ("purchase days after the first, x", why.x.map(|x| x.to_string())),
        ("days from the first to the last, t_x", why.t_x_days.map(|days| days.to_string())),
        ("days from the first to today, T", why.t_days.map(|days| days.to_string())),
        ("first and last purchase day", {
            let days = inputs.first_order_on.zip(inputs.last_order_on);
            days.map(|(first, last)| format!("{}, {}", first.0, last.0))
        }),
        ("usual days between them", inputs.usual_gap_days.map(number)),
        ("days silent", inputs.days_silent.map(|days| days.to_string())),
        ("mean of the repeat days", inputs.mean_repeat_value.map(number)),
        ("purchase model", parameters(&inputs.parameters)),
        ("spend model", parameters(&inputs.spend)),
        ("tells leaving from rare buying", {
            inputs.identifiable.map(|yes| if yes { "yes" } else { "no" }.to_owned())
        }),
    ];
    let left_out = inputs.left_out.iter().map(|left_out| {
        ("left out".to_owned(), format!("{}: {}", left_out.figures.join(", "), left_out.why))
    });
    known(rows).chain(left_out).collect()
}

fn figures(pieces: &Pieces) -> Vec<Row> {
    let p_alive = pieces.p_alive.map(|it| match it.log_odds_of_death {
        Some(d) => format!("{} = 1 ÷ (1 + e^{})", number(it.value), number(d)),
        None => number(it.value),
    });
    let tail = pieces
        .silence_tail
        .map(|it| format!("{} = {} ^ {}", number(it.value), number(it.base), number(it.exponent)));
    let orders = pieces.expected_orders.map(|it| {
        let (alive, p_alive) = (number(it.if_alive), number(it.p_alive));
        format!("{} = {alive} if alive × {p_alive} in {} days", number(it.value), it.days)
    });
    let value = pieces.expected_order_value.map(|it| {
        let weight = it.own_weight.value();
        let own = it.own_mean.map(|own| format!(" + {weight:.4} × {} of their own", number(own)));
        let (rest, mean) = (1.0 - weight, number(it.population_mean));
        let own = own.unwrap_or_default();
        format!("{} = {rest:.4} × {mean} of the population{own}", number(it.value))
    });
    let predicted = pieces.predicted.map(|it| {
        format!(
            "{} = {} alive × {} discounted orders × {} in {} months at {} % a month",
            number(it.value),
            number(it.p_alive),
            number(it.discounted_orders_if_alive),
            number(it.expected_order_value),
            it.months,
            100.0 * it.discount_monthly
        )
    });
    let historic = &pieces.historic;
    let (gross, refunded) = (historic.gross, historic.refunded);
    let historic = format!("{} = {gross} gross − {refunded} refunded", historic.value);
    let total = pieces.total.map(|it| {
        format!("{} = {} + {} predicted", number(it.value), it.historic, number(it.predicted))
    });
    let formula = pieces.formula.map(|it| {
        let (average, monthly) = (number(it.average_order_value), number(it.orders_per_month));
        let months = it.retention_months;
        format!("{} = {average} × {monthly} orders a month × {months} months", number(it.value))
    });
    let simple = pieces.simple.map(|it| {
        let (value, average) = (number(it.value), number(it.average_order_value));
        format!("{value} = {average} × {} orders", it.orders)
    });
    known([
        ("p_alive", p_alive),
        ("silence_tail", tail),
        ("expected_orders", orders),
        ("expected_order_value", value),
        ("predicted", predicted),
        ("historic", Some(historic)),
        ("total", total),
        ("formula", formula),
        ("simple", simple),
    ])
    .collect()
}

fn evidence(why: &Explanation) -> Vec<Row> {
    let lapse = why.lapse.map(|lapse| {
        let on = lapse.lapses_on.map_or_else(|| "never".to_owned(), |on| format!("on {}", on.0));
        let (now, at) = (number(lapse.now), number(lapse.at));
        let alarm = lapse
            .alarm
            .map(|alarm| format!("; alarm of {}, a later purchase clears it", alarm.raised_on.0));
        format!("{} is {now}, lapsed at {at}: {on}{}", lapse.line, alarm.unwrap_or_default())
    });
    let decline = why.decline;
    let needed = decline.map_or(0, |decline| decline.baseline_purchase_days_needed);
    let of = |channel: Channel, usual: Option<String>| {
        let n_days = channel.baseline_purchase_days;
        let usual = usual.map_or_else(String::new, |usual| format!(", usual {usual}"));
        let evidence = match channel.threshold {
            Some(threshold) => {
                format!("evidence {} of {}", number(channel.evidence), number(threshold))
            }
            None => format!("no baseline: {n_days} of {needed} purchase days"),
        };
        let alarm = channel.alarm.zip(channel.clears_below).map(|(alarm, below)| {
            let raised_on = alarm.raised_on.0;
            format!(
                "; alarm of {raised_on}, a purchase that brings it under {} clears it",
                number(below)
            )
        });
        format!("{evidence}{usual}{}", alarm.unwrap_or_default())
    };
    let weekly = |usual| format!("{} purchase days a week", number(usual));
    let orders = decline
        .map(|decline| of(decline.orders, decline.orders.usual_purchase_days_per_week.map(weekly)));
    let basket = decline.map(|decline| of(decline.basket, decline.basket.usual_basket.map(number)));
    let season = decline.and_then(|decline| decline.season_weight.map(number));
    known([("lapse", lapse), ("orders", orders), ("basket", basket), ("season", season)]).collect()
}

fn purchased(purchase: &PurchaseToday) -> Vec<Row> {
    let estimate = |shift: Shift<Estimate>| {
        (shift.before.is_some() || shift.after.is_some())
            .then(|| between(shift.before.map(number), shift.after.map(number)))
    };
    let lifecycle = &purchase.lifecycle;
    let lapses_on = purchase.lapses_on;
    let day = |on: Option<Date>| on.map(|on| on.0.to_string());
    known([
        ("lifecycle", Some(between(lifecycle.before.clone(), lifecycle.after.clone()))),
        ("p_alive", estimate(purchase.p_alive)),
        ("expected_orders", estimate(purchase.expected_orders)),
        ("predicted", estimate(purchase.predicted)),
        ("lapses_on", Some(between(day(lapses_on.before), day(lapses_on.after)))),
        ("signals", (!purchase.signals.is_empty()).then(|| purchase.signals.join(", "))),
    ])
    .collect()
}

fn between(before: Option<String>, after: Option<String>) -> String {
    let text = |figure: Option<String>| figure.unwrap_or_else(|| "–".to_owned());
    format!("{} → {}", text(before), text(after))
}

fn known<'a>(
    rows: impl IntoIterator<Item = (&'a str, Option<String>)>,
) -> impl Iterator<Item = Row> {
    rows.into_iter().filter_map(|(label, text)| Some((label.to_owned(), text?)))
}

/// Four digits that count are enough for reading; the JSON has all.
fn number(figure: Estimate) -> String {
    let figure = figure.value();
    if figure.abs() >= 1000.0 {
        return format!("{figure:.0}");
    }
    let digits = format!("{figure:.3e}");
    digits.parse().map_or(digits, |rounded: f64| rounded.to_string())
}

//! Prints what `replay --compare` found: a table of both windows, and one sentence on what moved.
//! Computes nothing but differences. Called by `replay`.

use std::io::{self, Write};

use crate::money::{Currency, format_minor};
use crate::pipeline::Pipeline;
use crate::population::Effect;
use crate::replay::{Comparison, Side};

/// Prints what was found under the pipeline's rules and model.
pub(super) fn print(
    out: &mut impl Write,
    comparison: &Comparison,
    pipeline: &Pipeline,
) -> io::Result<()> {
    let currency = pipeline.rules().intake.currency;
    let has_prediction =
        pipeline.model().is_some_and(|model| model.population_mean_value().is_some());
    let Comparison { windows, sides, clv_minor, n_active } = comparison;
    let [from, date, end] = windows.edges;
    let table = &mut Table { out, currency };
    writeln!(table.out)?;
    table.row("", [&*format!("from {from}"), &*format!("from {date}")].map(ToOwned::to_owned))?;
    table.row("to", [date.plus(-1), end.plus(-1)].map(|day| day.to_string()))?;
    if has_prediction {
        table.money("population CLV at the start", [clv_minor[0], clv_minor[1]])?;
        for effect in Effect::ALL {
            let changes = [0, 1].map(|i| sides[i].change(effect));
            if changes.iter().any(|change| (change.up_minor, change.down_minor) != (0, 0)) {
                let net_minor = changes.map(|change| change.net_minor());
                table.change(&format!("  {}", effect.as_str()), net_minor)?;
            }
        }
        table.change("  all of it", [0, 1].map(|i| sides[i].net_minor()))?;
        table.money("population CLV at the end", [clv_minor[1], clv_minor[2]])?;
    } else {
        writeln!(table.out, "no CLV: without a model with `[spend]` nothing is predicted")?;
    }
    table.count("active customers at the start", [n_active[0], n_active[1]])?;
    let both = |count: fn(&Side) -> i64| [0, 1].map(|i| count(&sides[i]));
    table.count("  new", both(|side| side.n_new))?;
    table.count("  lost", both(|side| -side.n_lost))?;
    table.count("  recovered", both(|side| side.n_recovered))?;
    table.count("  erased", both(|side| -side.n_erased))?;
    table.count("orders", both(|side| side.n_orders))?;
    let rates = [0, 1].map(|i| sides[i].orders_per_customer_week());
    let rate = |rate: Option<f64>| rate.map_or_else(none, |rate| format!("{rate:.4}"));
    table.row("orders per active customer-week", rates.map(rate))?;
    let values = [0, 1].map(|i| sides[i].order_value_minor());
    let value = |value: Option<f64>| value.map_or_else(none, |minor| table.major(minor));
    table.row("mean order value", values.map(value))?;
    writeln!(table.out, "\n{}", sentence(comparison, currency))
}

fn none() -> String {
    "none".to_owned()
}

struct Table<'a, W> {
    out: &'a mut W,
    currency: Currency,
}

impl<W: Write> Table<'_, W> {
    fn row(&mut self, name: &str, cells: [String; 2]) -> io::Result<()> {
        let [before, after] = cells;
        writeln!(self.out, "{name:<32}{before:>18}{after:>18}")
    }

    fn money(&mut self, name: &str, minor: [i128; 2]) -> io::Result<()> {
        let decimals = self.currency.decimals();
        self.row(name, minor.map(|minor| format_minor(minor, decimals).into_string()))
    }

    fn change(&mut self, name: &str, minor: [i128; 2]) -> io::Result<()> {
        self.row(name, minor.map(|minor| signed(minor, self.currency)))
    }

    fn count(&mut self, name: &str, counts: [i64; 2]) -> io::Result<()> {
        self.row(name, counts.map(|count| count.to_string()))
    }

    fn major(&self, minor: f64) -> String {
        let decimals = self.currency.decimals() as usize;
        format!("{:.decimals$}", minor / self.currency.minor_per_major())
    }
}

fn signed(minor: i128, currency: Currency) -> String {
    let sign = if minor > 0 { "+" } else { "" };
    format!("{sign}{}", format_minor(minor, currency.decimals()))
}

/// What moved, in one sentence.
fn sentence(comparison: &Comparison, currency: Currency) -> String {
    let Comparison { windows, sides, .. } = comparison;
    let [before, after] = sides;
    let orders = change(before.orders_per_customer_week(), after.orders_per_customer_week());
    let baskets = change(before.order_value_minor(), after.order_value_minor());
    let more = |change: Option<f64>, [more, less, same]: [&str; 3]| match change {
        None => "cannot be compared".to_owned(),
        Some(percent) if percent >= 0.05 => format!("{percent:.1} % {more}"),
        Some(percent) if percent <= -0.05 => format!("{:.1} % {less}", -percent),
        Some(_) => same.to_owned(),
    };
    let (date, n_days) = (windows.edges[1], windows.n_days());
    let orders = more(orders, ["more often", "less often", "as often"]);
    let baskets = more(baskets, ["more", "less", "the same"]);
    let said = format!(
        "in the {n_days} days from {date}, against as many before: orders of active customers \
         {orders}, an order worth {baskets}"
    );
    let moved = |effect: &Effect| {
        (after.change(*effect).net_minor() - before.change(*effect).net_minor()).unsigned_abs()
    };
    // The first of equals, so that the sentence is the same every time.
    let most = Effect::ALL.into_iter().rev().max_by_key(moved).filter(|it| moved(it) > 0);
    most.map_or_else(
        || said.clone(),
        |effect| {
            let [was, is] = [before, after].map(|side| side.change(effect).net_minor());
            format!(
                "{said}; of what moves population CLV, {} changed most: {} after {}",
                effect.as_str(),
                signed(is, currency),
                signed(was, currency)
            )
        },
    )
}

/// The change in per cent.
fn change(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    let (before, after) = before.filter(|before| *before > 0.0).zip(after)?;
    Some((after / before - 1.0) * 100.0)
}

//! A raised signal, its identity, and the money at stake. Writes no record: `record` gives it its
//! JSON form. Called by `judge` and `record`.

use xxhash_rust::xxh3::xxh3_128;

use crate::customer::{Driver, SignalKind};

use super::evidence::Evidence;
use super::lifecycle::Lifecycle;
use super::reading::Reading;
use super::settings::{Rules, Severity};
use super::trend::Trend;

/// A signal as judged; customer, clock and envelope are the caller's.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// What happened.
    pub kind: SignalKind,
    /// The event's time, or the later of the timer's due time and stream time.
    pub raised_at_ms: i64,
    /// The lifecycle before, as last published; for `high_value_reached` the tier's name.
    pub from: String,
    /// The lifecycle after; for `high_value_reached` the tier's name.
    pub to: String,
    /// What fell; `None` where nothing did.
    pub driver: Option<Driver>,
    /// By the customer's value tier.
    pub severity: Severity,
    /// What may be lost, in major units; `None` where nothing is at risk or nothing is known.
    pub value_at_risk: Option<f64>,
    /// Why.
    pub evidence: Evidence,
}

/// What a customer is worth, as far as the caller knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worth {
    /// The discounted value over the horizon of this customer if alive, in major units: expected
    /// order value × discounted orders given alive. `None` without a model or its spend part.
    pub predicted_alive: Option<f64>,
    /// Gross ÷ completed orders, in major units; `None` without an order.
    pub average_order_value: Option<f64>,
    /// Completed orders ÷ max(1, age in months); `None` without an order.
    pub orders_per_month: Option<f64>,
    /// The horizon of predictions, in months.
    pub horizon_months: u32,
}

/// Whether a signal of this kind says that something may be lost.
pub(super) const fn is_of_loss(kind: SignalKind) -> bool {
    matches!(kind, SignalKind::SpendDecline | SignalKind::Lapse | SignalKind::UsageDecline)
}

/// The money at stake, in major units.
///
/// - A lapse: what is predicted of a living customer × the chance that they are gone. That is
///   1 − P(alive) where P(alive) draws the lapse line, else 1 − `silence_tail`: without a model,
///   with one that cannot tell death from silence, or that never lets a one-time buyer die,
///   P(alive) says nothing.
/// - A decline: what is predicted × the share that has gone of what fell: of the orders, of the
///   basket, or of the spending where both did. What rose meanwhile is not set off: it need not
///   last, and would let a decline look free.
/// - A decline of use: what is predicted × the share of use that has gone. Use shrinks before
///   spending does, so that no spending may have gone yet: it is what goes if spending follows.
/// - Without a prediction, average order value × orders a month × the horizon takes its place.
pub(super) fn value_at_risk(
    (kind, driver): (SignalKind, Option<Driver>),
    worth: &Worth,
    reading: &Reading,
    trend: &Trend,
    rules: &Rules,
) -> Option<f64> {
    let simple = || {
        let value = worth.average_order_value? * worth.orders_per_month?;
        Some(value * f64::from(worth.horizon_months))
    };
    let predicted = || {
        let p_alive = reading.p_alive.unwrap_or(1.0);
        worth.predicted_alive.map(|alive| alive * p_alive).or_else(simple)
    };
    let at_risk = match kind {
        SignalKind::Lapse => {
            let by_model = reading.history.lapses_by_p_alive(rules);
            let p_here = reading.p_alive.filter(|_| by_model).unwrap_or(reading.silence_tail);
            worth.predicted_alive.or_else(simple)? * (1.0 - p_here)
        }
        SignalKind::SpendDecline => {
            let left = match driver {
                Some(Driver::Basket) => trend.basket_ratio,
                Some(Driver::Frequency | Driver::Silence) => trend.orders_ratio,
                Some(Driver::Both) | None => trend.spend_ratio,
            };
            predicted()? * (1.0 - left?.min(1.0))
        }
        SignalKind::UsageDecline => {
            let fall = reading.usage.and_then(|usage| usage.fall)?;
            predicted()? * (1.0 - fall.recent_thousandths / fall.usual_thousandths)
        }
        SignalKind::Recovered | SignalKind::HighValueReached => return None,
    };
    at_risk.is_finite().then_some(at_risk)
}

/// The money at stake with a customer as read, whether or not a signal says so: of who declines
/// what a decline puts at risk, of everybody else what a lapse on that day would.
pub fn at_stake(worth: &Worth, reading: &Reading, trend: &Trend, rules: &Rules) -> Option<f64> {
    let of = |kind, driver| value_at_risk((kind, driver), worth, reading, trend, rules);
    let is_declining = reading.lifecycle == Lifecycle::Declining;
    let decline = is_declining.then(|| of(SignalKind::SpendDecline, trend.driver)).flatten();
    decline.or_else(|| of(SignalKind::Lapse, None))
}

/// The identity of a signal in 32 hexadecimal digits: equal for the same customer, kind and time,
/// so that a repeated delivery can be told from a second signal.
pub fn signal_id(customer_id: &str, kind: SignalKind, raised_at_ms: i64) -> String {
    let mut bytes = Vec::with_capacity(customer_id.len() + 32);
    bytes.extend_from_slice(&raised_at_ms.to_le_bytes());
    bytes.extend_from_slice(kind.as_str().as_bytes());
    // No kind contains a zero byte, so that no two customers and kinds give the same bytes.
    bytes.push(0);
    bytes.extend_from_slice(customer_id.as_bytes());
    format!("{:032x}", xxh3_128(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::{Run, Shop, model};

    fn worth(predicted_alive: Option<f64>) -> Worth {
        Worth {
            predicted_alive,
            average_order_value: Some(40.0),
            orders_per_month: Some(2.0),
            horizon_months: 12,
        }
    }

    /// The signals of a customer who bought weekly and stopped, with the reading at each.
    fn stopped(shop: Shop, worth: Worth, kind: SignalKind) -> (f64, f64, f64) {
        let mut run = Run::new(shop);
        run.worth = worth;
        run.orders((0..20).map(|week| week * 7), 4000);
        run.silent_until(400);
        let raised = run.raised.iter().find(|raised| raised.kind == kind).unwrap();
        let figure = |name| raised.evidence.figures.iter().find(|(n, _)| *n == name);
        let p_alive = figure("p_alive").map_or(f64::NAN, |(_, figure)| *figure);
        let silence_tail = figure("silence_tail").unwrap().1;
        (raised.value_at_risk.unwrap(), p_alive, silence_tail)
    }

    #[test]
    fn a_lapse_puts_at_risk_what_a_living_customer_would_bring() {
        let lapse = |model, worth| stopped(Shop::new(model), worth, SignalKind::Lapse);
        let (value, _, silence_tail) = lapse(None, worth(None));
        assert_eq!(value.to_bits(), (960.0 * (1.0 - silence_tail)).to_bits());
        let (value, p_alive, _) = lapse(Some(model("bg-nbd", true)), worth(Some(500.0)));
        assert_eq!(value.to_bits(), (500.0 * (1.0 - p_alive)).to_bits());
        assert!((0.4..=0.5).contains(&p_alive));
        let (value, _, silence_tail) = lapse(Some(model("bg-nbd", false)), worth(Some(500.0)));
        assert_eq!(value.to_bits(), (500.0 * (1.0 - silence_tail)).to_bits());
    }

    #[test]
    fn a_decline_puts_at_risk_the_share_of_the_spending_that_has_gone() {
        let decline = |model, worth| stopped(Shop::new(model), worth, SignalKind::SpendDecline);
        assert_eq!(decline(None, worth(None)).0.to_bits(), 960f64.to_bits());
        let (value, p_alive, _) = decline(Some(model("mbg-nbd", true)), worth(Some(500.0)));
        assert_eq!(value.to_bits(), (500.0 * p_alive).to_bits());
    }

    /// Most of the use has gone, and none of the spending yet.
    #[test]
    fn a_decline_of_use_puts_at_risk_the_share_of_the_use_that_has_gone() {
        let mut run = Run::new(Shop::new(Some(model("mbg-nbd", true))));
        run.worth = worth(Some(500.0));
        for week in 0..30 {
            run.order(week * 7, 4000);
            run.used(week * 7 + 2, if week < 20 { 12 } else { 3 });
        }
        let raised = &run.raised[0];
        assert_eq!((raised.kind, raised.driver), (SignalKind::UsageDecline, None));
        let figure = |name| raised.evidence.figures.iter().find(|(n, _)| *n == name).unwrap().1;
        let left = figure("usage_weekly_recent") / figure("usage_weekly_usual");
        let expect = 500.0 * figure("p_alive") * (1.0 - left);
        assert!(left < 0.5 && (raised.value_at_risk.unwrap() - expect).abs() < 1e-9);
    }

    /// Baskets fall to a quarter while orders come twice as often.
    #[test]
    fn smaller_baskets_put_money_at_risk_also_where_orders_rise() {
        let mut run = Run::new(Shop::new(None));
        run.worth = worth(None);
        run.orders((0..40).map(|n| n * 14), 4000);
        run.orders((0..40).map(|n| 560 + n * 3), 1000);
        let first = run.raised.iter().find(|r| r.kind == SignalKind::SpendDecline).unwrap();
        assert_eq!(first.driver, Some(Driver::Basket));
        let figure =
            |name| first.evidence.figures.iter().find(|(n, _)| *n == name).map(|(_, f)| *f);
        let ratio = figure("basket_last_56_days").unwrap() / figure("basket_usual").unwrap();
        assert!((first.value_at_risk.unwrap() - 960.0 * (1.0 - ratio)).abs() < 1e-9);
        assert!(ratio < 0.9);
    }

    #[test]
    fn the_id_tells_customer_kind_and_time_apart() {
        let id = signal_id("c-1", SignalKind::Lapse, 1000);
        assert_eq!(id, "d3afae44a71206d2ab1022dd771beae4");
        assert_ne!(id, signal_id("c-2", SignalKind::Lapse, 1000));
        assert_ne!(id, signal_id("c-1", SignalKind::SpendDecline, 1000));
        assert_ne!(id, signal_id("c-1", SignalKind::Lapse, 1001));
    }
}

//! A reading: everything that one customer's state says on one day, computed once and then used by
//! the judgement, the score and the timer. Changes nothing. Called by `judge`, and by `pipeline`
//! for scores and for the timers of restored customers.

use crate::calendar::Day;
use crate::clv::Purchases;
use crate::customer::{Customer, Latches};

use super::channels::{Channels, Frozen, channels};
use super::deadlines::{Deadlines, History, LapseLine, deadlines, drifts_on};
use super::lifecycle::{Lifecycle, Standing};
use super::settings::Rules;
use super::trend::Trend;
use super::usage::{UsageChannel, usage_channel, usage_crosses_on};

/// What a customer with a standing order looks like on one day.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The day of observation.
    pub today: Day,
    /// The last purchase day.
    pub last: Day,
    /// The purchases so far.
    pub purchases: Purchases,
    /// The chance that a living customer is silent this long.
    pub silence_tail: f64,
    /// The chance that the customer is alive; `None` without a model.
    pub p_alive: Option<f64>,
    /// The days on which silence alone changes the lifecycle.
    pub deadlines: Deadlines,
    /// Where the customer stands.
    pub lifecycle: Lifecycle,
    /// The evidence of a decline.
    pub channels: Channels,
    /// The evidence that use falls; `None` while such an alarm stands, or where use was never seen.
    pub usage: Option<UsageChannel>,
    /// The first day on which it is an alarm if there is no more use; `None` while one stands.
    pub usage_crosses_on: Option<Day>,
    pub(super) history: History,
}

/// Reads a customer on a day; `None` without a standing order.
pub fn read(customer: &Customer, today: Day, rules: &Rules) -> Option<Reading> {
    let ledger = &customer.ledger;
    let history = History::of(ledger)?;
    let purchases = ledger.purchases(today)?;
    let deadlines = deadlines(&history, rules);
    let latches = &customer.path.latches;
    let usage = &customer.counters.usage;
    let (usage, usage_crosses_on) = match latches.usage {
        Some(_) => (None, None),
        None => (
            usage_channel(usage, today, &rules.usage_thresholds),
            usage_crosses_on(usage, today, &rules.usage_thresholds),
        ),
    };
    Some(Reading {
        today,
        last: history.last,
        purchases,
        silence_tail: rules.prior().silence_tail(&purchases),
        p_alive: rules.model.as_ref().map(|model| model.p_alive(&purchases)),
        deadlines,
        lifecycle: Standing::of(customer).lifecycle_on(today, &deadlines),
        channels: channels(ledger, today, frozen(latches), &rules.parameters)?,
        usage,
        usage_crosses_on,
        history,
    })
}

/// The one timer of a customer who was last judged on `today`: the first later day on which silence
/// alone changes the answer. A pure function of state and rules; `today` is the day of
/// `path.as_of_ms`.
pub fn due_day(customer: &Customer, today: Day, rules: &Rules) -> Option<Day> {
    read(customer, today, rules)?.due_day(&customer.path.latches, rules)
}

impl Reading {
    /// The one timer, as [`due_day`], from what has been read.
    pub fn due_day(&self, latches: &Latches, rules: &Rules) -> Option<Day> {
        let tomorrow = self.today.plus(1);
        let later = |day: Option<Day>| day.filter(|on| *on >= tomorrow);
        // A line that a new model or configuration has moved behind today still has to be judged.
        let owed = |day: Option<Day>, is_judged: bool| {
            if is_judged { later(day) } else { day.map(|on| on.max(tomorrow)) }
        };
        let crosses_on = self.channels.orders.crosses_on.filter(|_| latches.orders.is_none());
        let drifts_on = self.p_alive.and_then(|p_alive| drifts_on(&self.history, p_alive, rules));
        [
            later(self.deadlines.at_risk_on),
            owed(self.deadlines.lapses_on, latches.lapse.is_some()),
            owed(crosses_on, false),
            owed(self.usage_crosses_on, false),
            later(drifts_on),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The trend, as published.
    pub fn trend(&self, customer: &Customer) -> Trend {
        let n_baseline_days = self.channels.n_baseline_days;
        Trend::of(&customer.ledger, &customer.path.latches, self.today, n_baseline_days)
    }

    /// Whole days without a purchase.
    pub fn days_silent(&self) -> i32 {
        self.today.days_since(self.last).max(0)
    }

    /// What draws the customer's lapse line.
    pub fn lapse_line(&self, rules: &Rules) -> LapseLine {
        self.history.lapse_line(rules)
    }

    /// Whether a living customer would rarely be silent so long.
    pub(super) fn is_at_risk(&self) -> bool {
        self.deadlines.at_risk_on.is_some_and(|on| self.today >= on)
    }

    /// Whether the lapse line is crossed.
    pub(super) fn is_lapsed(&self) -> bool {
        self.deadlines.lapses_on.is_some_and(|on| self.today >= on)
    }
}

/// The baselines that the standing alarms freeze.
fn frozen(latches: &Latches) -> Frozen {
    Frozen {
        orders: latches.orders.as_ref().map(|latch| latch.baseline_on),
        basket: latches.basket.as_ref().map(|latch| latch.baseline_on),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::{Random, Run, Shop, day, model};

    /// The state is judged on every day of a silence: nothing that is published may change on a day
    /// that is no timer's, and P(alive) no further than it is allowed to drift.
    #[test]
    fn in_silence_nothing_changes_but_on_the_days_of_the_timer() {
        let mut random = Random(3);
        for case in 0..60 {
            let name = ["none", "bg-nbd", "mbg-nbd"][case % 3];
            let mut run = Run::new(Shop::new((name != "none").then(|| model(name, true))));
            let mut last = 0;
            for _ in 0..=random.below(30) {
                last += 1 + random.below(25);
                run.order(last, 4000);
            }
            let mut seen = read(&run.customer, day(last), &run.shop.rules()).unwrap();
            for today in last + 1..last + 500 {
                let is_due = run.due == Some(day(today));
                run.silent_until(today);
                let now = read(&run.customer, day(today), &run.shop.rules()).unwrap();
                let p_fallen = seen.p_alive.unwrap_or(0.0) - now.p_alive.unwrap_or(0.0);
                if is_due {
                    seen = now;
                } else {
                    assert_eq!(now.lifecycle, seen.lifecycle, "{name} {case} {today}");
                    assert!(p_fallen < 0.1 || seen.p_alive < Some(0.11), "{name} {case} {today}");
                }
            }
        }
    }

    #[test]
    fn a_line_that_new_rules_move_into_the_past_is_judged_on_the_next_day() {
        let mut run = Run::new(Shop::new(None));
        run.orders((0..20).map(|week| week * 7), 4000);
        run.silent_until(160);
        assert_eq!((run.customer.path.as_of_ms, run.due), (155 * 86_400_000, Some(day(172))));
        run.shop.settings.lapse_silence_tail = 0.2;
        assert_eq!(due_day(&run.customer, day(155), &run.shop.rules()), Some(day(156)));
    }
}

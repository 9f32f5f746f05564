//! What an event or a timer raises and clears: the only part of a judgement that depends on what
//! was raised before. Writes no record. Called by `pipeline` after each accepted event and for each
//! timer that falls due.

use crate::calendar::Day;
use crate::customer::{Customer, Driver, SignalKind};

use super::evidence::Evidence;
use super::latching::Turn;
use super::lifecycle::Standing;
use super::reading::{Reading, read};
use super::settings::Rules;
use super::signal::{Raised, Worth, is_of_loss, value_at_risk};

/// Why a customer is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A completed order was applied.
    Purchase {
        /// When it occurred.
        at_ms: i64,
    },
    /// Any other event was applied.
    Other {
        /// When it occurred.
        at_ms: i64,
    },
    /// The customer's timer fell due.
    Timer {
        /// The first instant of the day on which it is due.
        due_ms: i64,
    },
}

/// What a judgement found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The signals to publish, in the order of [`SignalKind::ALL`].
    pub raised: Vec<Raised>,
    /// The customer after the judgement; `None` without a standing order.
    pub reading: Option<Reading>,
    /// The customer's next timer.
    pub due: Option<Day>,
}

/// Judges a customer after an event was applied or a timer fell due: raises and clears the latches
/// in `customer.path`, notes the signals given, and sets `path.as_of_ms` to the time of judgement.
///
/// `before` is [`Standing::of`] the customer before the event was applied (for a timer: just before
/// the call). `stream_ms` is the partition's stream time, this event included. `worth` is asked at
/// most once, and only when a signal needs a value at risk.
pub fn judge(
    customer: &mut Customer,
    before: &Standing,
    occasion: Occasion,
    stream_ms: i64,
    rules: &Rules,
    worth: impl FnOnce(&Customer, &Reading) -> Worth,
) -> Verdict {
    let (now_ms, event_ms) = match occasion {
        Occasion::Purchase { at_ms } | Occasion::Other { at_ms } => (stream_ms, at_ms),
        Occasion::Timer { due_ms } => (due_ms.max(stream_ms), due_ms.max(stream_ms)),
    };
    let today = rules.calendar.day(now_ms);
    customer.path.as_of_ms = now_ms;
    let Some(seen) = read(customer, today, rules) else {
        return Verdict { raised: Vec::new(), reading: None, due: None };
    };
    let latches_before = customer.path.latches;
    let usage = &customer.counters.usage;
    let turn = Turn::take(&mut customer.path.latches, usage, &seen, occasion);
    if turn.is_recovery {
        customer.path.recovered_on = Some(seen.last);
    }
    let reading = if customer.path.latches == latches_before {
        seen
    } else {
        read(customer, today, rules).unwrap_or(seen)
    };

    let mut dated = Vec::new();
    if let Some(decline) = turn.decline {
        let at_ms = if decline.is_of_silence { now_ms } else { event_ms };
        dated.push((SignalKind::SpendDecline, at_ms, Some(decline.driver)));
    }
    if turn.lapse {
        dated.push((SignalKind::Lapse, now_ms, Some(Driver::Silence)));
    }
    if turn.usage_decline {
        dated.push((SignalKind::UsageDecline, now_ms, None));
    }
    if turn.is_recovery {
        dated.push((SignalKind::Recovered, event_ms, None));
    }
    if reaches_high_value(customer, occasion, rules) {
        dated.push((SignalKind::HighValueReached, event_ms, None));
    }
    dated.retain(|(kind, at_ms, _)| is_given(customer, *kind, *at_ms, rules));
    let raised = if dated.is_empty() {
        Vec::new()
    } else {
        let mut report = Report { customer, before, seen: &seen, reading: &reading, rules };
        report.raise(&dated, worth)
    };
    let due = reading.due_day(&customer.path.latches, rules);
    Verdict { raised, reading: Some(reading), due }
}

/// Whether the customer's net revenue has come into the top tier for the first time.
fn reaches_high_value(customer: &mut Customer, occasion: Occasion, rules: &Rules) -> bool {
    let net_minor = customer.totals.net_revenue_minor();
    let is_reached = !customer.path.high_value_reached
        && !matches!(occasion, Occasion::Timer { .. })
        && rules.tiers.is_top(rules.tiers.of(net_minor));
    customer.path.high_value_reached |= is_reached;
    is_reached
}

/// Whether a signal is published, neither dated before the first one wanted nor too soon after the
/// last of its kind. What is not published leaves no trace in the cooldown.
fn is_given(customer: &mut Customer, kind: SignalKind, at_ms: i64, rules: &Rules) -> bool {
    if rules.settings.signals_from_ms.is_some_and(|from_ms| at_ms < from_ms) {
        return false;
    }
    let day = rules.calendar.day(at_ms);
    let last_signal = &mut customer.path.last_signal;
    let cooldown_days = rules.settings.cooldown_days;
    if last_signal.get(kind).is_some_and(|last_on| day.days_since(last_on) < cooldown_days) {
        return false;
    }
    last_signal.set(kind, day);
    true
}

/// What the signals of one judgement have in common.
struct Report<'a> {
    customer: &'a Customer,
    before: &'a Standing,
    /// As judged, under the latches that stood before.
    seen: &'a Reading,
    /// After the judgement.
    reading: &'a Reading,
    rules: &'a Rules,
}

impl Report<'_> {
    fn raise(
        &mut self,
        dated: &[(SignalKind, i64, Option<Driver>)],
        worth: impl FnOnce(&Customer, &Reading) -> Worth,
    ) -> Vec<Raised> {
        let tiers = &self.rules.tiers;
        let tier = tiers.of(self.customer.totals.net_revenue_minor());
        let trend = self.reading.trend(self.customer);
        let needs_worth = dated.iter().any(|(kind, ..)| is_of_loss(*kind));
        let worth = needs_worth.then(|| worth(self.customer, self.reading));
        let raise = |(kind, raised_at_ms, driver): &(SignalKind, i64, Option<Driver>)| {
            let (from, to) = if *kind == SignalKind::HighValueReached {
                (tiers.name(tiers.of(self.before.net_minor)), tiers.name(tier))
            } else {
                (self.before.lifecycle(self.rules).as_str(), self.reading.lifecycle.as_str())
            };
            Raised {
                kind: *kind,
                raised_at_ms: *raised_at_ms,
                from: from.to_owned(),
                to: to.to_owned(),
                driver: *driver,
                severity: tiers.severity(tier),
                value_at_risk: worth.as_ref().and_then(|worth| {
                    value_at_risk((*kind, *driver), worth, self.seen, &trend, self.rules)
                }),
                evidence: Evidence::of(*kind, *driver, self.customer, self.seen, self.rules),
            }
        };
        dated.iter().map(raise).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::{DAY_MS, Run, Shop, day, model, noon_ms};

    /// 20 orders of 40.00, one a week: without a model at risk 22, lapsed 39 and the orders channel
    /// at its threshold 87 days after the last.
    fn weekly(shop: Shop) -> Run {
        let mut run = Run::new(shop);
        run.orders((0..20).map(|week| week * 7), 4000);
        run
    }

    fn shop() -> Shop {
        let mut shop = Shop::new(None);
        shop.settings.cooldown_days = 0;
        shop
    }

    #[test]
    fn silence_lapses_then_crosses_and_a_return_recovers_both() {
        let mut run = weekly(shop());
        run.silent_until(300);
        let stopped =
            ["172+0h lapse silence at_risk>lapsed", "220+0h spend_decline silence lapsed>lapsed"];
        assert_eq!(run.log(), stopped);
        run.orders((300..370).step_by(7), 4000);
        assert_eq!(run.log()[2..], ["328+12h recovered - declining>recovered"]);
        assert_eq!(run.customer.path.recovered_on, Some(day(328)));
    }

    #[test]
    fn smaller_baskets_are_signalled_when_bought() {
        let mut run = weekly(shop());
        run.orders((140..210).step_by(7), 1000);
        let log = run.log();
        assert_eq!(log, ["161+12h spend_decline basket active>declining"]);
        run.orders((210..300).step_by(7), 4000);
        assert_eq!(run.log()[1..], ["245+12h recovered - declining>recovered"]);
    }

    #[test]
    fn rarer_orders_are_signalled_by_a_timer_with_frequency_as_driver() {
        let mut run = weekly(shop());
        run.orders((157..400).step_by(24), 4000);
        assert_eq!(run.log(), ["323+0h spend_decline frequency active>declining"]);
    }

    #[test]
    fn the_driver_is_both_where_the_other_channel_stands_above_half() {
        let mut run = weekly(shop());
        run.orders((163..400).step_by(24), 1000);
        let of_basket_then_of_orders = [
            "235+12h spend_decline both active>declining",
            "306+0h spend_decline both declining>declining",
        ];
        assert_eq!(run.log(), of_basket_then_of_orders);
        let mut run = weekly(shop());
        run.orders([140, 147, 154], 1000);
        run.silent_until(300);
        let last = run.log().pop();
        assert_eq!(last.as_deref(), Some("235+0h spend_decline both lapsed>lapsed"));
    }

    #[test]
    fn the_cooldown_drops_signals_but_not_the_state() {
        let mut shop = shop();
        shop.settings.cooldown_days = 1000;
        let mut run = weekly(shop);
        run.silent_until(300);
        run.order(300, 4000);
        run.silent_until(600);
        assert!(run.customer.path.latches.lapse.is_some_and(|latch| latch.raised_on > day(300)));
        let n_lapses = run.raised.iter().filter(|r| r.kind == SignalKind::Lapse).count();
        assert_eq!(n_lapses, 1);
    }

    #[test]
    fn what_is_dated_before_signals_from_only_moves_the_state() {
        let mut shop = shop();
        shop.settings.cooldown_days = 1000;
        shop.settings.signals_from_ms = Some(172 * DAY_MS + 1);
        let mut run = weekly(shop);
        run.silent_until(172);
        assert!(run.customer.path.latches.lapse.is_some());
        assert_eq!(run.customer.path.last_signal.get(SignalKind::Lapse), None);
        run.silent_until(300);
        assert_eq!(run.log(), ["220+0h spend_decline silence lapsed>lapsed"]);
    }

    #[test]
    fn a_deadline_that_an_event_moves_into_the_past_fires_at_once_in_stream_time() {
        let mut run = weekly(shop());
        let n_order = run.order(170, 4000);
        run.cancel(180, n_order);
        assert_eq!(run.log(), ["180+12h lapse silence active>lapsed"]);
        assert_eq!(run.due, Some(day(220)));
    }

    #[test]
    fn a_late_basket_is_dated_by_its_event_and_a_late_order_clears_nothing_by_its_day() {
        let mut run = weekly(shop());
        run.orders([140, 147, 154, 161], 1000);
        assert_eq!(run.log(), ["161+12h spend_decline basket active>declining"]);
        let mut late = weekly(shop());
        late.orders([140, 147, 161], 1000);
        late.order(154, 1000);
        assert_eq!(late.log(), ["154+12h spend_decline basket active>declining"]);
        late.order(155, 900_000);
        assert!(late.customer.path.latches.basket.is_some(), "161 is no later than the alarm");
    }

    #[test]
    fn an_event_that_is_no_purchase_judges_no_basket() {
        let mut run = weekly(shop());
        run.orders([140, 147, 154], 1000);
        let n_order = run.order(161, 900_000);
        run.order(168, 1000);
        run.cancel(169, n_order);
        assert_eq!(run.raised.len(), 0);
        run.order(170, 1000);
        assert_eq!(run.log(), ["170+12h spend_decline basket active>declining"]);
    }

    #[test]
    fn high_value_is_reached_once() {
        let mut run = Run::new(shop());
        run.order(0, 600_000);
        let n_order = run.order(1, 500_000);
        assert_eq!(run.log(), ["1+12h high_value_reached - silver>gold"]);
        run.cancel(2, n_order);
        run.order(3, 500_000);
        assert_eq!(run.raised.len(), 1);
        let mut before = shop();
        before.settings.signals_from_ms = Some(noon_ms(2));
        let mut run = Run::new(before);
        run.orders([0, 1, 2, 3], 600_000);
        assert_eq!(run.raised.len(), 0);
        assert!(run.customer.path.high_value_reached);
    }

    #[test]
    fn who_returns_on_the_day_of_the_alarm_can_lapse_anew() {
        let mut run = weekly(shop());
        run.order(172, 4000);
        run.silent_until(300);
        let lapses: Vec<String> =
            run.log().into_iter().filter(|line| line.contains("lapse silence")).collect();
        assert_eq!(lapses.len(), 2, "{lapses:?}");
        assert!(run.customer.path.latches.lapse.is_some_and(|latch| latch.raised_on > day(172)));
    }

    /// Use stops after 14 weeks and comes back in the thirtieth; orders go on meanwhile.
    #[test]
    fn use_that_stops_is_signalled_by_a_timer_once_until_it_is_back() {
        let mut run = Run::new(shop());
        for week in 0..60 {
            run.order(week * 7, 4000);
            if !(14..30).contains(&week) {
                run.used(week * 7 + 1, 12);
            }
        }
        assert_eq!(run.log(), ["112+0h usage_decline - active>active"]);
        assert_eq!(run.customer.path.latches.usage, None);
        assert_eq!(run.customer.path.recovered_on, None, "that is of spending");
        run.orders((420..630).step_by(7), 4000);
        assert_eq!(run.log()[1..], ["434+0h usage_decline - active>active"]);
    }

    #[test]
    fn a_decline_of_use_keeps_to_the_cooldown_and_to_the_first_signal_wanted() {
        let with = |cooldown_days, signals_from_ms| {
            let mut shop = shop();
            shop.settings.cooldown_days = cooldown_days;
            shop.settings.signals_from_ms = signals_from_ms;
            let mut run = Run::new(shop);
            for week in 0..50 {
                run.order(week * 7, 4000);
                if !(14..20).contains(&week) && week < 40 {
                    run.used(week * 7 + 1, 12);
                }
            }
            assert!(run.customer.path.latches.usage.is_some());
            run.log().len()
        };
        assert_eq!((with(0, None), with(1000, None)), (2, 1));
        assert_eq!((with(0, Some(112 * DAY_MS)), with(0, Some(112 * DAY_MS + 1))), (2, 1));
    }

    #[test]
    fn a_customer_without_a_standing_order_has_no_timer_and_no_signal() {
        let mut run = Run::new(shop());
        let n_order = run.order(0, 4000);
        assert_eq!(run.due, Some(day(122)));
        run.cancel(5, n_order);
        assert_eq!((run.due, run.raised.len()), (None, 0));
    }

    /// The same timers must come out after a restart, where only the state is known.
    #[test]
    fn the_timer_is_a_function_of_the_state() {
        for kind in [None, Some("bg-nbd"), Some("mbg-nbd")] {
            let mut run = Run::new(Shop::new(kind.map(|name| model(name, true))));
            for n in 0..60 {
                run.order(n * (3 + n / 10), 4000 - i64::from(n) * 50);
                run.silent_until(n * (3 + n / 10) + 2);
                let rules = run.shop.rules();
                let today = rules.calendar.day(run.customer.path.as_of_ms);
                assert_eq!(crate::churn::due_day(&run.customer, today, &rules), run.due);
            }
        }
    }
}

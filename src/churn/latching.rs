//! Alarms that stand: which of them an occasion clears, and which it raises. Dates and publishes
//! nothing. Called by `judge`.

use crate::customer::{Driver, Latch, Latches, Usage};

use super::channels::Channel;
use super::judge::Occasion;
use super::reading::Reading;
use super::usage::turn_usage;

/// What one judgement does to the latches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The lapse line was crossed.
    pub(super) lapse: bool,
    /// A channel came to its threshold.
    pub(super) decline: Option<Decline>,
    /// Use came to its threshold.
    pub(super) usage_decline: bool,
    /// A latch cleared and none is left.
    pub(super) is_recovery: bool,
}

/// A new alarm of one channel or of both at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decline {
    /// What fell.
    pub(super) driver: Driver,
    /// The orders channel is in it, which crosses by the passing of time.
    pub(super) is_of_silence: bool,
}

impl Turn {
    /// Clears and raises latches by what was seen under those that stood before.
    pub(super) fn take(
        latches: &mut Latches,
        usage: &Usage,
        seen: &Reading,
        occasion: Occasion,
    ) -> Self {
        let is_purchase = matches!(occasion, Occasion::Purchase { .. });
        let has_cleared = is_purchase && clear(latches, seen);
        let decline = raise_decline(latches, seen, occasion);
        let lapse = raise_lapse(latches, seen);
        let stands =
            latches.lapse.is_some() || latches.orders.is_some() || latches.basket.is_some();
        let usage_decline = turn_usage(&mut latches.usage, usage, seen.today, seen.usage.as_ref());
        Self { lapse, decline, usage_decline, is_recovery: has_cleared && !stands }
    }
}

/// Clears what a purchase day after the alarm has disproved; whether anything was.
fn clear(latches: &mut Latches, seen: &Reading) -> bool {
    let before = *latches;
    let is_later = |latch: &mut Latch| seen.last > latch.raised_on;
    if seen.channels.orders.is_under_half() {
        latches.orders.take_if(is_later);
    }
    if seen.channels.basket.is_under_half() {
        latches.basket.take_if(is_later);
    }
    if !seen.is_lapsed() {
        latches.lapse.take_if(is_later);
    }
    *latches != before
}

fn raise_decline(latches: &mut Latches, seen: &Reading, occasion: Occasion) -> Option<Decline> {
    let (orders, basket) = (&seen.channels.orders, &seen.channels.basket);
    let is_of_silence = latches.orders.is_none() && orders.is_crossed();
    // A basket is judged when it is bought, or when a timer looks at the customer anyway.
    let is_of_basket = latches.basket.is_none()
        && basket.is_crossed()
        && !matches!(occasion, Occasion::Other { .. });
    let driver = if is_of_silence {
        orders_driver(seen)
    } else if is_of_basket {
        if orders.is_above_half() { Driver::Both } else { Driver::Basket }
    } else {
        return None;
    };
    if is_of_silence {
        latches.orders = Some(latch(orders, driver, seen));
    }
    if is_of_basket {
        latches.basket = Some(latch(basket, driver, seen));
    }
    Some(Decline { driver, is_of_silence })
}

fn orders_driver(seen: &Reading) -> Driver {
    if seen.channels.basket.is_above_half() {
        Driver::Both
    } else if seen.is_at_risk() {
        Driver::Silence
    } else {
        Driver::Frequency
    }
}

fn latch(channel: &Channel, driver: Driver, seen: &Reading) -> Latch {
    Latch {
        raised_on: seen.today,
        baseline_on: channel.baseline_on,
        since: channel.since.unwrap_or(seen.last),
        driver,
    }
}

fn raise_lapse(latches: &mut Latches, seen: &Reading) -> bool {
    // Who came back on the very day of the alarm did not clear it, and can lapse anew.
    let is_new = latches.lapse.is_none_or(|latch| latch.raised_on == seen.last);
    let is_raised = is_new && seen.is_lapsed();
    if is_raised {
        latches.lapse = Some(Latch {
            raised_on: seen.today,
            baseline_on: seen.last,
            since: seen.last,
            driver: Driver::Silence,
        });
    }
    is_raised
}

//! The lapse line and the channels of decline, as they were read. Called by `explanation`.

use super::document::{Alarm, Channel, Decline, Lapse};
use crate::churn::{self, BASELINE_DAYS_MIN, BASELINE_LAG_DAYS, LapseLine, Reading};
use crate::customer::{Customer, Latch};
use crate::pipeline::Pipeline;
use crate::record::wire::{Date, Estimate};

pub(super) fn lapse(pipeline: &Pipeline, customer: &Customer, reading: &Reading) -> Option<Lapse> {
    let judging = pipeline.judging();
    let settings = &judging.settings;
    let line = reading.lapse_line(judging);
    let (now, at) = match line {
        LapseLine::PAlive => (reading.p_alive.unwrap_or(1.0), settings.lapse_p_alive),
        LapseLine::SilenceTail => (reading.silence_tail, settings.lapse_silence_tail),
        LapseLine::DaysSingle => {
            (f64::from(reading.days_silent()), f64::from(settings.lapse_days_single))
        }
    };
    Some(Lapse {
        line: line.as_str(),
        now: Estimate::of(now)?,
        at: Estimate::of(at)?,
        not_before: Date(reading.last.plus(settings.lapse_days_min)),
        lapses_on: reading.deadlines.lapses_on.map(Date),
        at_risk_silence_tail: settings.at_risk_silence_tail,
        at_risk_on: reading.deadlines.at_risk_on.map(Date),
        alarm: customer.path.latches.lapse.as_ref().map(alarm),
    })
}

pub(super) fn decline(
    pipeline: &Pipeline,
    customer: &Customer,
    reading: &Reading,
) -> Option<Decline> {
    let season = pipeline.model().and_then(|model| model.season());
    let weight = season.map(|season| season.weight(reading.today));
    let (channels, latches) = (&reading.channels, &customer.path.latches);
    let minor_per_major = pipeline.rules().intake.currency.minor_per_major();
    let usual_basket = channels.basket_mean_minor.map(|minor| minor / minor_per_major);
    Some(Decline {
        baseline_purchase_days: channels.n_baseline_days,
        baseline_purchase_days_needed: BASELINE_DAYS_MIN,
        season_weight: weight.and_then(Estimate::of),
        orders: Channel {
            usual_purchase_days_per_week: channels.rate_weekly.and_then(Estimate::of),
            ..channel(&channels.orders, customer, latches.orders.as_ref())?
        },
        basket: Channel {
            usual_basket: usual_basket.and_then(Estimate::of),
            ..channel(&channels.basket, customer, latches.basket.as_ref())?
        },
    })
}

fn channel(seen: &churn::Channel, customer: &Customer, latch: Option<&Latch>) -> Option<Channel> {
    let baseline_until = seen.baseline_on.plus(-BASELINE_LAG_DAYS);
    Some(Channel {
        evidence: Estimate::of(seen.value)?,
        threshold: Estimate::of(seen.threshold),
        clears_below: Estimate::of(seen.clears_below()),
        baseline_on: Date(seen.baseline_on),
        baseline_purchase_days: customer.ledger.n_days_until(baseline_until),
        usual_purchase_days_per_week: None,
        usual_basket: None,
        since: seen.since.map(Date),
        alarm: latch.map(alarm),
    })
}

fn alarm(latch: &Latch) -> Alarm {
    Alarm {
        raised_on: Date(latch.raised_on),
        since: Date(latch.since),
        driver: latch.driver.as_str(),
    }
}

//! The usage channel: which weeks it compares, when it crosses, and what clears its alarm.

use super::*;
use crate::churn::testing::{Random, day};

const WEEK: i32 = 7;

fn thresholds() -> UsageThresholds {
    UsageThresholds::new(0.25)
}

/// Use of these units in the weeks from week 100 on, on their third day.
fn used(weeks: impl IntoIterator<Item = u64>) -> Usage {
    let mut usage = Usage::default();
    for (week, units) in (100..).zip(weeks) {
        if units > 0 {
            usage.record(day(week * WEEK + 2), units * 1000);
        }
    }
    usage
}

/// The channel on the first day after so many weeks.
fn after(usage: &Usage, n_weeks: i32) -> UsageChannel {
    usage_channel(usage, day((100 + n_weeks) * WEEK), &thresholds()).unwrap()
}

fn steady(n_weeks: usize) -> Vec<u64> {
    (0..n_weeks).map(|week| [12, 10, 13, 11][week % 4]).collect()
}

#[test]
fn a_week_counts_from_the_midnight_after_it() {
    let usage = used(steady(12));
    let crosses_on = usage_crosses_on(&usage, day(112 * WEEK), &thresholds()).unwrap();
    let first = (112 * WEEK..130 * WEEK)
        .find(|today| usage_channel(&usage, day(*today), &thresholds()).unwrap().is_crossed());
    assert_eq!(first, Some(crosses_on.0));
    assert_eq!((crosses_on.0 % WEEK, crosses_on.0 / WEEK), (0, 114), "after two whole weeks");
    let running = used(steady(12).into_iter().chain([11, 11]));
    assert_eq!(after(&running, 13).fall, None);
    assert_eq!(after(&used(steady(13)), 13).fall, None, "a week that begins has no use yet");
}

/// A beginner whose use grows from nothing has not fallen; nor do weeks before the first one make
/// the usual use of a beginner small, so that who stops is seen to.
#[test]
fn weeks_before_the_first_with_use_are_no_zeros() {
    let usage = used([9, 12, 10, 13, 11, 12, 10, 11, 0, 0, 0]);
    let fall = after(&usage, 11).fall.unwrap();
    assert_eq!((fall.n_usual, fall.n_recent), (7, 3));
    assert!((fall.usual_thousandths - 79_000.0 / 7.0).abs() < 1e-6, "{fall:?}");
    assert!(after(&usage, 11).is_crossed());
}

#[test]
fn too_few_weeks_to_compare_with_give_no_verdict() {
    for (weeks, is_judged) in [
        (vec![9, 9, 9, 9, 9, 9, 0, 0], false),
        (vec![9, 9, 9, 9, 9, 9, 9, 0, 0], true),
        (vec![9, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0], false),
        (vec![9, 0, 0, 9, 0, 0, 9, 0, 0, 9, 0, 0, 0, 0], true),
    ] {
        let n_weeks = i32::try_from(weeks.len()).unwrap();
        let channel = after(&used(weeks.clone()), n_weeks);
        assert_eq!(channel.threshold.is_finite(), is_judged, "{weeks:?}");
        assert!(is_judged || !channel.is_crossed(), "{weeks:?}");
    }
    assert_eq!(usage_channel(&used([9]), day(130 * WEEK), &thresholds()), None);
    assert_eq!(usage_channel(&Usage::default(), day(130 * WEEK), &thresholds()), None);
}

#[test]
fn who_uses_monthly_raises_no_alarm_between_two_months() {
    let mut usage = Usage::default();
    let mut latch = None;
    for week in 100..204 {
        if week % 4 == 0 {
            usage.record(day(week * WEEK), 5000);
        }
        let today = day((week + 1) * WEEK);
        let channel = usage_channel(&usage, today, &thresholds());
        assert!(!turn_usage(&mut latch, &usage, today, channel.as_ref()), "{week}");
    }
    assert!(after(&usage, 104).threshold.is_finite());
}

#[test]
fn the_same_fall_is_less_sure_where_weeks_differ_and_as_sure_in_other_units() {
    let fall = |scale: u64, weeks: [u64; 8]| {
        let last = [4, 4, 4, 4];
        let all = [10].into_iter().chain(weeks).chain(last).map(|units| units * scale);
        after(&used(all), 13).fall.unwrap()
    };
    let (even, uneven) = ([10, 11, 9, 10, 10, 9, 11, 10], [1, 19, 2, 18, 20, 0, 19, 1]);
    assert!(fall(1, even).evidence > 2.0 * fall(1, uneven).evidence);
    assert!((fall(1, even).evidence - fall(1000, even).evidence).abs() < 1e-9);
}

/// Every silence from every day of random habits: the day of the timer is the first on which the
/// channel crosses.
#[test]
fn silence_crosses_on_the_day_that_was_foretold() {
    let mut random = Random(5);
    let mut n_crossed = 0;
    for _ in 0..300 {
        let often = 1 + random.below(4);
        let n_weeks = 8 + random.below(20);
        let weeks: Vec<u64> = (0..n_weeks)
            .map(|_| {
                u64::from(random.below(often) == 0) * u64::from(random.below(20).unsigned_abs())
            })
            .collect();
        let usage = used(weeks);
        let Some(latest) = usage.latest_week() else { continue };
        let today = latest * WEEK + random.below(40);
        let is_crossed = |today| {
            usage_channel(&usage, day(today), &thresholds())
                .is_some_and(|channel| channel.is_crossed())
        };
        let first = (today..today + 40 * WEEK).find(|today| is_crossed(*today));
        let foretold = usage_crosses_on(&usage, day(today), &thresholds());
        assert_eq!(first, foretold.map(|on| on.0.max(today)));
        n_crossed += usize::from(foretold.is_some());
    }
    assert!(n_crossed > 100, "{n_crossed}");
}

/// A latch raised in week 120 after use of 12 a week, judged at the end of each week after it.
fn cleared_after(weeks: &[u64]) -> Option<usize> {
    let mut latch = Some(UsageLatch { raised_on: day(120 * WEEK), usual_thousandths: 12_000 });
    let mut usage = used(steady(16));
    for ((week, units), n_weeks) in (120..).zip(weeks).zip(1..) {
        if *units > 0 {
            usage.record(day(week * WEEK + 1), units * 1000);
        }
        turn_usage(&mut latch, &usage, day((week + 1) * WEEK), None);
        if latch.is_none() {
            return Some(n_weeks);
        }
    }
    None
}

#[test]
fn an_alarm_clears_when_use_is_back_and_never_with_time_alone() {
    assert_eq!(cleared_after(&[0; 60]), None);
    assert_eq!(cleared_after(&[6; 60]), None, "half is the new habit, and less than the old");
    assert_eq!(cleared_after(&[12; 10]), Some(4));
    assert_eq!(cleared_after(&[9; 10]), Some(4));
    assert_eq!(cleared_after(&[0, 0, 12, 12, 12, 12]), Some(5), "36 of 48 are three quarters");
}

#[test]
fn what_clears_an_alarm_raises_none_at_once() {
    let usage = used(steady(8).into_iter().chain([0, 0, 0, 0, 0, 12, 12, 9, 3]));
    let today = day(117 * WEEK);
    let mut latch = Some(UsageLatch { raised_on: day(113 * WEEK), usual_thousandths: 12_000 });
    let crossed = UsageChannel {
        fall: Some(Fall {
            n_usual: 7,
            n_recent: 9,
            usual_thousandths: 12e3,
            recent_thousandths: 4e3,
            evidence: 9.0,
        }),
        threshold: 5.0,
        share_used: 0.5,
    };
    assert!(!turn_usage(&mut latch, &usage, today, Some(&crossed)));
    assert_eq!(latch, None);
    assert!(turn_usage(&mut latch, &usage, today, Some(&crossed)));
    assert_eq!(latch.map(|latch| latch.usual_thousandths), Some(12_000));
}

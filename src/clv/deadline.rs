//! Deadlines in silence: the first whole day on which a condition holds, judged by the condition
//! itself, so that a deadline and the formula behind it never disagree. Solves nothing by itself:
//! the models hand in where to look. Called by `rate_prior`, `bg_nbd` and `pareto_nbd`.

use super::{DAYS_PER_WEEK, weeks};

/// The longest age that a deadline may have, in days: 100 years. What comes later is never.
pub const AGE_DAYS_MAX: u32 = 36_525;

/// The smallest age in whole days, not before `t_x_days` and not above [`AGE_DAYS_MAX`], at which
/// `holds` is true; `None` when there is none. `holds` must stay true once it is.
///
/// `silence_weeks` is where to look first, in weeks after `t_x_days`: from there the search doubles
/// its step and then halves it, so that a bad start costs about 30 evaluations and a good one two.
pub(super) fn first_day(
    t_x_days: u32,
    silence_weeks: f64,
    holds: impl Fn(u32) -> bool,
) -> Option<u32> {
    if t_x_days > AGE_DAYS_MAX {
        return None;
    }
    let start = start_day(t_x_days, silence_weeks);
    let (mut before, mut after) = (start, start);
    let mut step = 1;
    if holds(start) {
        loop {
            if after == t_x_days {
                return Some(after);
            }
            before = after.saturating_sub(step).max(t_x_days);
            if !holds(before) {
                break;
            }
            after = before;
            step *= 2;
        }
    } else {
        loop {
            if before == AGE_DAYS_MAX {
                return None;
            }
            after = before.saturating_add(step).min(AGE_DAYS_MAX);
            if holds(after) {
                break;
            }
            before = after;
            step *= 2;
        }
    }
    while after - before > 1 {
        let middle = before.midpoint(after);
        if holds(middle) {
            after = middle;
        } else {
            before = middle;
        }
    }
    Some(after)
}

/// The first whole day at or after the start, held between `t_x_days` and [`AGE_DAYS_MAX`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is whole and held between 0 and `AGE_DAYS_MAX`"
)]
fn start_day(t_x_days: u32, silence_weeks: f64) -> u32 {
    let room_weeks = weeks(AGE_DAYS_MAX - t_x_days);
    // `max` and `min` also turn a NaN into a bound.
    let silence_days = silence_weeks.max(0.0).min(room_weeks) * DAYS_PER_WEEK;
    t_x_days + (silence_days.ceil() as u32).min(AGE_DAYS_MAX - t_x_days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_is_found_from_any_start() {
        for first in [0, 1, 6, 7, 8, 500, AGE_DAYS_MAX - 1, AGE_DAYS_MAX] {
            for t_x_days in [0, 1, 7, 499, AGE_DAYS_MAX] {
                for start_weeks in [0.0, 1.0, 71.4, 5e3, f64::INFINITY, f64::NAN, -3.0] {
                    let found = first_day(t_x_days, start_weeks, |day| day >= first);
                    assert_eq!(found, Some(first.max(t_x_days)), "{first} {t_x_days}");
                }
            }
        }
    }

    #[test]
    fn a_day_above_a_hundred_years_is_never() {
        assert_eq!(first_day(0, 10.0, |_| false), None);
        assert_eq!(first_day(AGE_DAYS_MAX + 1, 0.0, |_| true), None);
        assert_eq!(first_day(5, 0.0, |day| day > AGE_DAYS_MAX), None);
    }
}

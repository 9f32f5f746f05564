//! When a model is fitted. It asks nobody and takes the time as an argument. Asked by `modeller`.
//!
//! A model is due so many days after the one before by the clock on the wall, and out of turn where
//! the stream has gone on much further than that: while a history is read, years pass in minutes.

use std::time::Duration;

use crate::calendar::Day;

/// A fit that could not be made is tried again when there are so many times as many customers, …
const GROWTH: f64 = 1.25;
/// … or after so long.
const TRY_AGAIN: Duration = Duration::from_hours(1);
/// One that was published is followed by another out of turn at so many times as many, …
const GROWTH_OUT_OF_TURN: f64 = 2.0;
/// … or after so long where the stream has gone on by what lies between two turns.
const TRY_OUT_OF_TURN: Duration = Duration::from_mins(10);
const DAY_MS: i64 = 86_400_000;

/// What there is to fit to: of partition 0, which stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stock {
    pub(super) n_customers: i64,
    /// The day of the newest event.
    pub(super) day: Option<Day>,
}

/// The models before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    /// When the newest was published, in milliseconds since 1970.
    pub(super) published_ms: Option<i64>,
    /// The last day of what any of them was fitted to, of all partitions.
    pub(super) day: Option<Day>,
    /// The last attempt of this process, with the day that is known to have been looked at, and how
    /// long ago it ended.
    pub(super) tried: Option<(Stock, Duration)>,
    /// Whether one of them is gone on with whatever comes.
    pub(super) is_pinned: bool,
}

/// Whether it is time for a fit, at `now_ms` since 1970.
pub(super) fn is_due(every_days: u32, past: &Past, stock: Stock, now_ms: i64) -> bool {
    if every_days == 0 || stock.n_customers == 0 {
        return false;
    }
    let has_grown = |by: f64| {
        #[expect(clippy::cast_precision_loss, reason = "a partition has fewer than 2^53")]
        past.tried
            .is_some_and(|(before, _)| stock.n_customers as f64 > before.n_customers as f64 * by)
    };
    let has_waited = |pause| past.tried.is_none_or(|(_, ago)| ago > pause);
    // Days of one partition are compared where they are known: another may be far ahead.
    let reached = past.tried.and_then(|(before, _)| before.day).or(past.day);
    let has_gone_on = reached
        .zip(stock.day)
        .is_some_and(|(reached, day)| i64::from(day.days_since(reached)) > i64::from(every_days));
    let is_behind = has_gone_on && has_waited(TRY_OUT_OF_TURN);
    let until_ms = past.published_ms.map(|at_ms| at_ms + i64::from(every_days) * DAY_MS);
    if until_ms.is_none_or(|until_ms| now_ms >= until_ms) {
        return has_grown(GROWTH) || has_waited(TRY_AGAIN) || is_behind;
    }
    !past.is_pinned && (has_grown(GROWTH_OUT_OF_TURN) || is_behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000 * DAY_MS;

    const PAST: Past = Past { published_ms: None, day: None, tried: None, is_pinned: false };

    const fn stock(n_customers: i64, day: i32) -> Stock {
        Stock { n_customers, day: Some(Day(day)) }
    }

    fn ago(stock: Stock, minutes: u64) -> (Stock, Duration) {
        (stock, Duration::from_mins(minutes))
    }

    #[test]
    fn the_first_comes_at_once_and_is_tried_again_with_more_customers_or_after_an_hour() {
        let due = |tried, stock| is_due(7, &Past { tried, ..PAST }, stock, NOW_MS);
        assert!(due(None, stock(1, 0)));
        assert!(!due(None, stock(0, 0)));
        assert!(!due(Some(ago(stock(100, 0), 60)), stock(125, 7)));
        // Events go on, and nobody new comes.
        assert!(!due(Some(ago(stock(100, 0), 10)), stock(100, 8)));
        assert!(due(Some(ago(stock(100, 0), 11)), stock(100, 8)));
        assert!(due(Some(ago(stock(100, 0), 0)), stock(126, 0)));
        assert!(due(Some(ago(stock(100, 0), 61)), stock(100, 0)));
        assert!(!is_due(0, &PAST, stock(1, 0), NOW_MS));
    }

    #[test]
    fn the_next_comes_in_turn_or_with_twice_as_many_customers() {
        let due = |ago_ms, tried, stock: Stock| {
            let published_ms = Some(NOW_MS - ago_ms);
            is_due(7, &Past { published_ms, day: Some(Day(0)), tried, ..PAST }, stock, NOW_MS)
        };
        assert!(!due(7 * DAY_MS - 1, None, stock(100, 7)));
        assert!(due(7 * DAY_MS, None, stock(100, 7)));
        assert!(!due(7 * DAY_MS, Some(ago(stock(100, 7), 60)), stock(100, 7)), "just tried");
        assert!(!due(0, Some(ago(stock(100, 0), 0)), stock(200, 0)));
        assert!(due(0, Some(ago(stock(100, 0), 0)), stock(201, 0)));
    }

    #[test]
    fn it_comes_out_of_turn_where_the_stream_has_gone_on_but_not_again_and_again() {
        let due = |day, tried, stock: Stock| {
            is_due(7, &Past { published_ms: Some(NOW_MS), day, tried, ..PAST }, stock, NOW_MS)
        };
        // After a start nothing was tried.
        assert!(!due(Some(Day(100)), None, stock(100, 107)));
        assert!(due(Some(Day(100)), None, stock(100, 108)));
        assert!(!due(Some(Day(100)), None, Stock { n_customers: 100, day: None }));
        assert!(!due(None, None, stock(100, 108)), "nobody knows to what it was fitted");
        let fitted = |minutes| Some(ago(stock(100, 100), minutes));
        assert!(!due(Some(Day(100)), fitted(10), stock(100, 900)));
        assert!(due(Some(Day(100)), fitted(11), stock(100, 900)));
        // One that published nothing has seen the later days too.
        assert!(!due(Some(Day(50)), fitted(11), stock(100, 107)));
        assert!(due(Some(Day(50)), fitted(11), stock(100, 108)));
        // Another partition was far ahead.
        assert!(due(Some(Day(500)), fitted(11), stock(100, 108)));
        // One that failed has seen nothing.
        let failed = Some(ago(Stock { n_customers: 100, day: None }, 11));
        assert!(due(Some(Day(100)), failed, stock(100, 108)));
        assert!(!due(Some(Day(100)), failed, stock(100, 107)));
        let past = Past {
            published_ms: Some(NOW_MS),
            day: Some(Day(100)),
            tried: fitted(11),
            is_pinned: true,
        };
        assert!(!is_due(7, &past, stock(900, 900), NOW_MS), "it would not be gone on with");
    }
}

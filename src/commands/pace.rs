//! Plays a simulated shop's records into the input topic, its two years spread over the time that
//! the play takes. Starts no processor. Called by `demo` and `load`.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::demo::shop::{Record, Settings, Shop};
use crate::kafka::feed::Feed;

/// How finely the story is paced.
pub(super) const BEAT: Duration = Duration::from_millis(20);
/// How long the broker may take to acknowledge the last records.
const FLUSH_MAX: Duration = Duration::from_secs(10);

/// What was sent so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Played {
    pub(super) n_records: u64,
    pub(super) books_minor: i128,
    /// The story's time.
    pub(super) now_ms: i64,
}

/// Sends every record at its time, stamped as `stamp` says, until `goes_on` does not.
///
/// # Errors
/// The broker does not take them.
pub(super) fn play(
    (shop, settings): (&Shop, &Settings),
    feed: &Feed,
    story: Duration,
    stamp: impl Fn(&Record) -> i64,
    mut goes_on: impl FnMut(&Played) -> bool,
) -> Result<Played> {
    let mut played = Played { n_records: 0, books_minor: 0, now_ms: settings.start_ms() };
    let began = Instant::now();
    let mut records = shop.records().peekable();
    while records.peek().is_some() && goes_on(&played) {
        played.now_ms = story_ms(settings, story, began.elapsed());
        while let Some(record) = records.next_if(|record| record.timestamp_ms <= played.now_ms) {
            feed.send(&record.key, &record.payload, stamp(&record)).map_err(anyhow::Error::msg)?;
            played.n_records += 1;
            played.books_minor += i128::from(record.books_minor);
        }
        feed.wait(BEAT);
    }
    feed.flush(FLUSH_MAX).map_err(anyhow::Error::msg)?;
    Ok(played)
}

/// The story's time after so long a play.
fn story_ms(settings: &Settings, story: Duration, elapsed: Duration) -> i64 {
    let (start_ms, end_ms) = (settings.start_ms(), settings.end_ms);
    let story_us = i128::try_from(story.as_micros()).unwrap_or(i128::MAX).max(1);
    let elapsed_us = i128::try_from(elapsed.as_micros()).unwrap_or(i128::MAX).min(story_us);
    let passed_ms = i128::from(end_ms - start_ms) * elapsed_us / story_us;
    i64::try_from(passed_ms).map_or(end_ms, |passed_ms| start_ms + passed_ms)
}

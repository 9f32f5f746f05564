//! The usage channel: evidence that a customer uses less than they did, by whole weeks. One
//! function of the weekly buckets and the day; only a standing alarm adds something, the use that
//! it was measured against. Raises no signal. Called by `reading` and `latching`, and by
//! `calibration`, which prices it.
//!
//! The weeks that are over are parted into the usual ones and the most recent ones, in every way
//! that leaves enough of both, and the part counts that tells most: the likelihood ratio of two
//! means against one, of counts as overdispersed as the usual weeks are (Wedderburn 1974), which
//! charges for a usual mean that rests on few weeks. The spread rests on few weeks too, so that a
//! ratio E on ν of them counts as ν/2 · ln(1 + 2E/ν), the ratio of a normal mean whose variance is
//! not known. Unused weeks only add to it, so that the week in which silence alone is an alarm is
//! found by halving.
//!
//! The oldest kept week with use is where a customer is first seen to use: nothing is known of the
//! weeks before it, so they are no zeros, and the week itself is there because it had use, so that
//! it counts for no mean.

use crate::calendar::Day;
use crate::customer::{Usage, UsageLatch};

use super::thresholds::UsageThresholds;

/// The fewest weeks that are called recent, and the last ones, which must all be low: one week
/// without use is a holiday.
const RECENT_WEEKS_MIN: usize = 2;

/// The fewest usual weeks, and how many of them must have had use.
const USUAL_WEEKS_MIN: usize = 6;
const USED_WEEKS_MIN: usize = 3;

/// A silence that is no alarm after as many unused weeks is none later.
const SILENT_WEEKS_MAX: u8 = 16;

/// The most weeks that are ever compared.
const WEEKS_MAX: usize = Usage::WEEKS - 1 + SILENT_WEEKS_MAX as usize;

/// What a fall leaves at most of the usual use: less than a quarter is no fall, however sure. Four
/// weeks of as much are a return.
const LEFT_MAX: f64 = 0.75;
const RETURN_WEEKS: u8 = 4;

/// The squared coefficient of variation of weekly use that is taken for granted, and the weeks that
/// it weighs as many as: some users look steadier than they are.
const SPREAD: f64 = 0.25;
const SPREAD_WEEKS: f64 = 2.0;

/// A fall of use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fall {
    /// Usual weeks.
    pub n_usual: u32,
    /// Weeks after them.
    pub n_recent: u32,
    /// Thousandths of a unit in a usual week.
    pub usual_thousandths: f64,
    /// Thousandths of a unit in a recent week.
    pub recent_thousandths: f64,
    /// How sure it is.
    pub evidence: f64,
}

/// The usage channel on one day, where no alarm of it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageChannel {
    /// The surest fall; `None` where nothing has fallen, or nothing can be said.
    pub fall: Option<Fall>,
    /// Where it is an alarm; infinite while there are too few weeks to compare with.
    pub threshold: f64,
    /// The share of the kept weeks in which there was use.
    pub share_used: f64,
}

impl UsageChannel {
    /// Whether the evidence is an alarm.
    pub fn is_crossed(&self) -> bool {
        self.fall.is_some_and(|fall| fall.evidence >= self.threshold)
    }
}

/// The channel on `today`; `None` where use was never seen in two weeks.
pub fn usage_channel(
    usage: &Usage,
    today: Day,
    thresholds: &UsageThresholds,
) -> Option<UsageChannel> {
    let weeks = Weeks::of(usage)?;
    let over = weeks.over_by(Usage::week_of(today) - 1);
    let share_used = weeks.share_used();
    let threshold = if can_tell(over) { thresholds.at(share_used) } else { f64::INFINITY };
    Some(UsageChannel { fall: fall(over), threshold, share_used })
}

/// The first day, from the beginning of this week on, on which the evidence is an alarm if there is
/// no more use.
pub(super) fn usage_crosses_on(
    usage: &Usage,
    today: Day,
    thresholds: &UsageThresholds,
) -> Option<Day> {
    let weeks = Weeks::of(usage)?;
    let threshold = thresholds.at(weeks.share_used());
    let is_crossed_by =
        |week| fall(weeks.over_by(week)).is_some_and(|fall| fall.evidence >= threshold);
    let week = Usage::week_of(today) - 1;
    let crosses_in = if is_crossed_by(week) {
        Some(week)
    } else {
        first_week((week + 1).max(weeks.latest), weeks.last(), is_crossed_by)
    };
    crosses_in.map(|week| Usage::first_day(week + 1))
}

/// Clears an alarm that use has disproved, else raises one where the channel has crossed; whether
/// it did. What clears raises nothing. The channel is `None` while an alarm stands.
pub fn turn_usage(
    latch: &mut Option<UsageLatch>,
    usage: &Usage,
    today: Day,
    channel: Option<&UsageChannel>,
) -> bool {
    if latch.take_if(|latch| has_returned(latch, usage, today)).is_some() || latch.is_some() {
        return false;
    }
    let fall = channel.filter(|channel| channel.is_crossed()).and_then(|channel| channel.fall);
    *latch = fall.map(|fall| UsageLatch {
        raised_on: today,
        usual_thousandths: whole_thousandths(fall.usual_thousandths),
    });
    latch.is_some()
}

/// Whether the last four weeks have all begun since the alarm and had as much use as is no fall.
fn has_returned(latch: &UsageLatch, usage: &Usage, today: Day) -> bool {
    let end = Usage::week_of(today);
    let weeks = end - i32::from(RETURN_WEEKS)..end;
    let used = weeks.clone().map(|week| as_f64(usage.in_week(week))).sum::<f64>();
    let needed = LEFT_MAX * as_f64(latch.usual_thousandths) * f64::from(RETURN_WEEKS);
    Usage::first_day(weeks.start) >= latch.raised_on && used >= needed
}

/// The weeks after the first one with use, up to the latest with a record of it, and then those in
/// which there might be none.
struct Weeks {
    first: i32,
    latest: i32,
    thousandths: [f64; WEEKS_MAX],
}

impl Weeks {
    fn of(usage: &Usage) -> Option<Self> {
        let latest = usage.latest_week()?;
        let kept = i32::try_from(Usage::WEEKS).unwrap_or(i32::MAX);
        let first = (latest - kept + 1..latest).find(|week| usage.in_week(*week) > 0)? + 1;
        let mut thousandths = [0.0; WEEKS_MAX];
        for (week, thousandths) in (first..=latest).zip(&mut thousandths) {
            *thousandths = as_f64(usage.in_week(week));
        }
        Some(Self { first, latest, thousandths })
    }

    /// The last week that is looked at.
    fn last(&self) -> i32 {
        self.latest + i32::from(SILENT_WEEKS_MAX)
    }

    /// What is over when this week is.
    fn over_by(&self, week: i32) -> &[f64] {
        let n_weeks = usize::try_from(week.min(self.last()) - self.first + 1).unwrap_or(0);
        &self.thousandths[..n_weeks]
    }

    fn share_used(&self) -> f64 {
        let kept = self.over_by(self.latest);
        count(n_used(kept)) / count(kept.len())
    }
}

/// The first of these weeks for which something holds that holds from one on or not at all.
fn first_week(from: i32, to: i32, holds: impl Fn(i32) -> bool) -> Option<i32> {
    if from > to || !holds(to) {
        return None;
    }
    let (mut low, mut high) = (from, to);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

/// Whether some part of these weeks can be compared with the rest.
fn can_tell(weeks: &[f64]) -> bool {
    let n_usual = weeks.len().saturating_sub(RECENT_WEEKS_MIN);
    n_usual >= USUAL_WEEKS_MIN && n_used(&weeks[..n_usual]) >= USED_WEEKS_MIN
}

fn n_used(weeks: &[f64]) -> usize {
    weeks.iter().filter(|thousandths| **thousandths > 0.0).count()
}

/// The surest fall among all ways to part these weeks.
fn fall(weeks: &[f64]) -> Option<Fall> {
    let total: f64 = weeks.iter().sum();
    let mut surest: Option<Fall> = None;
    let (mut sum, mut squares, mut n_used) = (0.0, 0.0, 0);
    for (i, thousandths) in weeks.iter().enumerate() {
        let (n_usual, n_recent) = (i + 1, weeks.len() - i - 1);
        sum += thousandths;
        squares += thousandths * thousandths;
        n_used += usize::from(*thousandths > 0.0);
        if n_recent < RECENT_WEEKS_MIN {
            break;
        }
        if n_usual < USUAL_WEEKS_MIN || n_used < USED_WEEKS_MIN {
            continue;
        }
        let (usual, recent) = (sum / count(n_usual), (total - sum).max(0.0) / count(n_recent));
        let is_low = |used: &f64| *used < LEFT_MAX * usual;
        if !is_low(&recent) || !weeks[weeks.len() - RECENT_WEEKS_MIN..].iter().all(is_low) {
            continue;
        }
        let strays = (squares / (usual * usual) - count(n_usual)).max(0.0);
        let weight = count(n_usual) - 1.0 + SPREAD_WEEKS;
        let spread = (strays + SPREAD * SPREAD_WEEKS) / weight;
        let evidence = evidence(count(n_usual), count(n_recent), recent / usual, spread, weight);
        if surest.is_none_or(|surest| evidence > surest.evidence) {
            surest = Some(Fall {
                n_usual: whole(n_usual),
                n_recent: whole(n_recent),
                usual_thousandths: usual,
                recent_thousandths: recent,
                evidence,
            });
        }
    }
    surest
}

/// The evidence of usual and recent weeks of which the latter have this share of the former's use.
fn evidence(n_usual: f64, n_recent: f64, left: f64, spread: f64, weight: f64) -> f64 {
    // Over the usual mean, that of all weeks together.
    let mean = (n_usual + n_recent * left) / (n_usual + n_recent);
    let of_recent = if left > 0.0 { n_recent * left * libm::log(left / mean) } else { 0.0 };
    let ratio = (of_recent - n_usual * libm::log(mean)).max(0.0) / spread;
    weight / 2.0 * libm::log1p(2.0 * ratio / weight)
}

fn count(n: usize) -> f64 {
    f64::from(whole(n))
}

fn whole(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate; use itself stays in integers")]
fn as_f64(thousandths: u64) -> f64 {
    thousandths as f64
}

/// At least one, so that no alarm is measured against nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole_thousandths(thousandths: f64) -> u64 {
    libm::round(thousandths).max(1.0) as u64
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;

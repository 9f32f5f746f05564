//! Days and instants: the only place that turns milliseconds into calendar days and back.
//! The time zone is a value that is passed in; no clock is read here. Called by every pure module.

use std::fmt;

use compact_str::CompactString;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

/// Milliseconds in a day of 24 hours.
const DAY_MS: i64 = 86_400_000;

/// A calendar day of the configured time zone, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// Whole days from `earlier` to this day; negative when this day is before it.
    pub fn days_since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// The day `days` later (earlier when negative), held at the ends of what can be counted.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The calendar date; days beyond the years -9999 to 9999 are held at those ends.
    pub fn date(self) -> Date {
        Offset::UTC.to_datetime(timestamp(i64::from(self.0) * DAY_MS)).date()
    }

    /// The ISO 8601 date, as in `1997-09-30`.
    ///
    /// # Panics
    /// Never: digits are text.
    pub fn text(self) -> CompactString {
        CompactString::from_utf8(date_digits(self.date())).expect("digits are text")
    }

    /// The day of a calendar date.
    pub fn from_date(date: Date) -> Self {
        let days = date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days());
        Self(days)
    }
}

/// The ISO 8601 date, as in `1997-09-30`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

/// The time zone in which days begin and end.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    /// UTC needs no look-up, and is what most run with.
    is_utc: bool,
}

impl Calendar {
    /// Days of UTC.
    pub fn utc() -> Self {
        Self::new(TimeZone::UTC)
    }

    /// Days of the given zone.
    pub fn new(zone: TimeZone) -> Self {
        let is_utc = zone == TimeZone::UTC;
        Self { zone, is_utc }
    }

    /// The zone itself, for reading local date-times.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The day in which the instant lies.
    pub fn day(&self, at_ms: i64) -> Day {
        let offset_ms = if self.is_utc {
            0
        } else {
            i64::from(self.zone.to_offset(timestamp(at_ms)).seconds()) * 1000
        };
        let day = at_ms.saturating_add(offset_ms).div_euclid(DAY_MS);
        Day(i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The first instant of the day (its local midnight, or the end of a gap that swallows it).
    pub fn start_ms(&self, day: Day) -> i64 {
        if self.is_utc {
            return i64::from(day.0) * DAY_MS;
        }
        let midnight = day.date().at(0, 0, 0, 0);
        self.zone
            .to_ambiguous_zoned(midnight)
            .compatible()
            .map_or(i64::from(day.0) * DAY_MS, |zoned| zoned.timestamp().as_millisecond())
    }

    /// The last millisecond of the day.
    pub fn end_ms(&self, day: Day) -> i64 {
        self.start_ms(day.plus(1)) - 1
    }
}

/// The instant as RFC 3339 in UTC with milliseconds, as in `2024-05-01T12:00:00.000Z`.
///
/// # Panics
/// Never: digits are text.
pub fn rfc3339(at_ms: i64) -> CompactString {
    let at = Offset::UTC.to_datetime(timestamp(at_ms));
    let mut text = *b"0000-00-00T00:00:00.000Z";
    text[..10].copy_from_slice(&date_digits(at.date()));
    text[11..13].copy_from_slice(&digits::<2>(at.hour().into()));
    text[14..16].copy_from_slice(&digits::<2>(at.minute().into()));
    text[17..19].copy_from_slice(&digits::<2>(at.second().into()));
    text[20..23].copy_from_slice(&digits::<3>(at.millisecond()));
    CompactString::from_utf8(text).expect("digits are text")
}

/// Years before 0 have no four digits; they are held at its beginning.
fn date_digits(date: Date) -> [u8; 10] {
    let date = date.max(Date::constant(0, 1, 1));
    let mut text = *b"0000-00-00";
    text[..4].copy_from_slice(&digits::<4>(date.year()));
    text[5..7].copy_from_slice(&digits::<2>(date.month().into()));
    text[8..].copy_from_slice(&digits::<2>(date.day().into()));
    text
}

/// The last `N` decimal digits of a number that is not negative.
fn digits<const N: usize>(number: i16) -> [u8; N] {
    let mut rest = number.unsigned_abs();
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10).to_le_bytes()[0];
        rest /= 10;
    }
    digits
}

fn timestamp(at_ms: i64) -> Timestamp {
    let end = if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(at_ms).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_its_local_midnight_also_where_the_clock_changes() {
        for name in ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu"] {
            let calendar = Calendar::new(TimeZone::get(name).unwrap());
            for day in (-400..30_000).map(Day) {
                let start_ms = calendar.start_ms(day);
                assert_eq!(calendar.day(start_ms), day, "{name} {day}");
                assert_eq!(calendar.day(start_ms - 1), day.plus(-1), "{name} {day}");
            }
        }
    }

    #[test]
    fn dates_and_instants_are_written_in_iso_form() {
        assert_eq!(Day(10_134).to_string(), "1997-09-30");
        assert_eq!(Day::from_date(Day(10_134).date()), Day(10_134));
        assert_eq!(rfc3339(1_714_564_800_007), "2024-05-01T12:00:00.007Z");
    }
}

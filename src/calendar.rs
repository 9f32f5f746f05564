//! Days and instants: the only place that turns milliseconds into calendar days and back.
//! The time zone is a value that is passed in; no clock is read here. Called by every pure module.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

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

    /// The calendar date; days beyond the years 1 to 9999 are held at those ends.
    pub fn date(self) -> Date {
        let epoch = Date::constant(1970, 1, 1);
        let end = if self.0 < 0 { Date::MIN } else { Date::MAX };
        epoch.checked_add(self.0.days()).unwrap_or(end)
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
        self.date().fmt(f)
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
pub fn rfc3339(at_ms: i64) -> String {
    format!("{:.3}", timestamp(at_ms))
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

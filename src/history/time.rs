//! The local forms in which histories write instants: bare dates and date-times without offset.
//! All else is left to `event::decode`, which reads RFC 3339. Called by `row`.

use jiff::civil::DateTime;

use crate::calendar::Calendar;

/// Bytes of `2010-12-01`.
const DATE_BYTES: usize = 10;
/// Bytes of `2010-12-01T08:26`.
const MINUTE_BYTES: usize = 16;

/// The instant in epoch milliseconds, rounded down: a bare date is midnight of `calendar`'s zone, a
/// date-time without offset (`T` or a blank between) is local there; `None` for any other text.
/// Where the clock goes back the earlier instant is taken, where it goes forward the time as it
/// would have been before the change (RFC 5545).
pub(super) fn local_ms(text: &str, calendar: &Calendar) -> Option<i64> {
    let (date, time) = text.as_bytes().split_at_checked(DATE_BYTES)?;
    let is_date = date.iter().enumerate().all(|(i, byte)| match i {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let is_time = time.is_empty()
        || text.len() >= MINUTE_BYTES
            && matches!(time[0], b'T' | b't' | b' ')
            && time[1..].iter().all(|byte| byte.is_ascii_digit() || b":.".contains(byte));
    if !is_date || !is_time {
        return None;
    }
    let local: DateTime = text.parse().ok()?;
    let timestamp = calendar.zone().to_ambiguous_zoned(local).compatible().ok()?.timestamp();
    let rest_ms = timestamp.subsec_nanosecond().div_euclid(1_000_000);
    Some(timestamp.as_second() * 1000 + i64::from(rest_ms))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::calendar::rfc3339;

    fn check(zone: &str, text: &str, expect: Option<&str>) {
        let calendar = Calendar::new(TimeZone::get(zone).unwrap());
        let got = local_ms(text, &calendar).map(rfc3339);
        assert_eq!(got.as_deref(), expect, "{text} in {zone}");
    }

    #[test]
    fn dates_and_local_times_lie_in_the_configured_zone() {
        check("UTC", "1997-01-01", Some("1997-01-01T00:00:00.000Z"));
        check("Europe/Berlin", "1997-01-01", Some("1996-12-31T23:00:00.000Z"));
        check("Europe/Berlin", "2010-07-01 08:26:00", Some("2010-07-01T06:26:00.000Z"));
        check("Europe/Berlin", "2010-07-01T08:26", Some("2010-07-01T06:26:00.000Z"));
        check("UTC", "2010-07-01T08:26:30.1239", Some("2010-07-01T08:26:30.123Z"));
        check("UTC", "1969-12-31 23:59:59.9999", Some("1969-12-31T23:59:59.999Z"));
        // A midnight that the clock jumps over, and an hour that comes twice.
        check("America/Sao_Paulo", "2018-11-04", Some("2018-11-04T03:00:00.000Z"));
        check("Europe/Berlin", "2024-10-27 02:30:00", Some("2024-10-27T00:30:00.000Z"));
    }

    #[test]
    fn other_text_is_no_local_time() {
        let cases = [
            "",
            "12",
            "19970101",
            "01/02/1997",
            "1997-02-30",
            "1997-01-01T",
            "1997-01-01T08",
            "1997-01-01 25:00:00",
            "1997-01-01x08:00:00",
            "1997-1-1",
            "soon, soon",
            "1997-01-0é",
            "2010-07-01T08:26:00Z",
            "2010-07-01 08:26:00+02",
            "2010-07-01T08:26:00-05:00",
        ];
        for text in cases {
            check("UTC", text, None);
        }
    }
}

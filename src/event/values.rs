//! The value of each field: what is allowed, and the sentence for what is not.
//! Numbers are read digit by digit; a float never comes near them. Called by `decode`.

use std::borrow::Cow;

use jiff::Timestamp;

use super::Intake;
use super::fields::{Fields, Name, text};
use super::rejection::{Reason, Rejection, shortened};
use crate::money::{Amount, Currency, parse_minor};

/// The longest customer, event and order id in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// The longest channel in bytes.
pub const CHANNEL_BYTES_MAX: usize = 64;
/// The earliest time of an event: 1900-01-01T00:00:00Z.
pub const OCCURRED_AT_MS_MIN: i64 = -2_208_988_800_000;
/// The latest time of an event: 2199-12-31T23:59:59.999Z.
pub const OCCURRED_AT_MS_MAX: i64 = 7_258_118_399_999;
/// The largest quantity of one event: a thousand million units.
pub const QUANTITY_THOUSANDTHS_MAX: u64 = 1_000_000_000_000;

/// The longest text of a number or a time that is looked at, in bytes.
const FIGURE_BYTES_MAX: usize = 64;

/// A string of 1 to `bytes_max` bytes, or none.
pub(super) fn string<'a>(
    fields: &Fields<'a>,
    name: Name,
    bytes_max: usize,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    match text(value) {
        Some(text) if (1..=bytes_max).contains(&text.len()) => Ok(Some(text)),
        _ => {
            let shown = shortened(value);
            Err(name.bad(&format!("`{shown}` is not a string of 1 to {bytes_max} bytes")))
        }
    }
}

/// RFC 3339 with an offset, its fractions of a millisecond cut off towards the past, or integer
/// epoch milliseconds.
pub(super) fn occurred_at_ms(value: &str) -> Result<i64, Rejection> {
    let bad = |what: &str| {
        let remedy = "write `2024-05-01T12:00:00Z` or integer epoch milliseconds";
        Name::OccurredAt.bad(&format!("`{}` {what}; {remedy}", shortened(value)))
    };
    let at_ms = match text(value) {
        Some(text) => {
            // RFC 9557 adds a bracket with a zone, which could contradict the offset.
            if text.len() > FIGURE_BYTES_MAX || text.contains('[') {
                return Err(bad("is not an RFC 3339 time"));
            }
            let at: Timestamp = text.parse().map_err(|_| bad("is not an RFC 3339 time"))?;
            at.as_second() * 1000 + i64::from(at.subsec_nanosecond().div_euclid(1_000_000))
        }
        None => value.parse().map_err(|_| bad("is neither a time nor an integer"))?,
    };
    if !(OCCURRED_AT_MS_MIN..=OCCURRED_AT_MS_MAX).contains(&at_ms) {
        return Err(bad("is outside the years 1900 to 2199"));
    }
    Ok(at_ms)
}

/// The money of a field that is known to be there, at least `minor_min`.
pub(super) fn money(
    fields: &Fields<'_>,
    name: Name,
    minor_min: i64,
    intake: &Intake,
) -> Result<Amount, Rejection> {
    let currency = match fields.get(Name::Currency) {
        None => intake.currency,
        Some(value) => text(value).and_then(|code| Currency::parse(&code)).ok_or_else(|| {
            let shown = shortened(value);
            Name::Currency.bad(&format!("`{shown}` is not an ISO 4217 code such as `EUR`"))
        })?,
    };
    let digits = figure(name, fields.get(name).unwrap_or_default())?;
    let minor = parse_minor(&digits, currency).map_err(|what| name.bad(&what))?;
    if minor < minor_min {
        return Err(name.bad(&format!("`{digits}` is not above 0; a refund gives something back")));
    }
    if intake.rates.rate(currency, intake.currency).is_none() {
        let base = intake.currency;
        let remedy = format!("add it to `processing.rates`, in {base} per {currency}");
        let detail = format!("currency: `{currency}` has no rate; {remedy}");
        return Err(Rejection::new(Reason::UnknownCurrency, &detail));
    }
    Ok(Amount { minor, currency })
}

/// The digits of a number, given as a JSON number or a string. A float never comes near them.
fn figure(name: Name, value: &str) -> Result<Cow<'_, str>, Rejection> {
    let digits = text(value).unwrap_or(Cow::Borrowed(value));
    if digits.len() > FIGURE_BYTES_MAX {
        let shown = shortened(&digits);
        return Err(name.bad(&format!("`{shown}` is longer than {FIGURE_BYTES_MAX} characters")));
    }
    Ok(digits)
}

/// The quantity of use: one unit if none is given.
pub(super) fn thousandths(fields: &Fields<'_>) -> Result<u64, Rejection> {
    let Some(value) = fields.get(Name::Quantity) else { return Ok(1000) };
    let digits = figure(Name::Quantity, value)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let read = || {
        if !plain(whole) || !plain(fraction) || fraction.len() > 3 {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
        let thousandths = whole.checked_mul(1000)?.checked_add(fraction)?;
        (thousandths <= QUANTITY_THOUSANDTHS_MAX).then_some(thousandths)
    };
    read().ok_or_else(|| {
        let range = "a plain decimal from 0 to 1000000000 with at most 3 decimals";
        Name::Quantity.bad(&format!("`{digits}` is not {range}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Envelope, Event, decode};
    use crate::money::{AMOUNT_MINOR_MAX, Rates};

    /// Reads an event of `kind` with `fields` added, which may set `occurred_at`.
    fn read(kind: &str, fields: &str) -> Result<Event, Rejection> {
        let at = if fields.contains("occurred_at") { "" } else { r#","occurred_at":0"# };
        let payload = format!(r#"{{"type":"{kind}","customer_id":"c1"{at},{fields}}}"#);
        let codes = ["EUR", "JPY", "KWD"].map(|code| Currency::parse(code).unwrap());
        let rates = Rates(codes.map(|code| (code, 1.into())).into());
        let intake = Intake { currency: codes[0], rates, future_skew_max_ms: None };
        let payload = Some(payload.as_bytes());
        decode(Envelope { payload, key: Some(b"c1"), timestamp_ms: None }, &intake)
    }

    /// Goal: the value is read as `expect`, or refused with a detail that has this part.
    fn check<T: PartialEq + std::fmt::Debug>(
        got: Result<T, Rejection>,
        expect: Result<T, &str>,
        shown: &str,
    ) {
        match (got, expect) {
            (Err(error), Err(part)) => {
                assert_eq!(error.reason, Reason::BadValue, "{shown}: {error}");
                assert!(error.detail.contains(part), "{shown}: {error}");
                assert!(error.detail.len() < 300, "{shown}: {error}");
            }
            (got, expect) => assert_eq!(got.ok(), expect.ok(), "{shown}"),
        }
    }

    #[test]
    fn times_are_rfc_3339_with_offset_or_whole_milliseconds() {
        let day_ms = 86_400_000;
        for (value, expect) in [
            (r#""1970-01-02T00:00:00Z""#, Ok(day_ms)),
            (r#""1970-01-02T00:00:00z""#, Ok(day_ms)),
            (r#""1970-01-02 02:00:00+02:00""#, Ok(day_ms)),
            (r#""1970-01-01T22:30:00.5-01:30""#, Ok(day_ms + 500)),
            (r#""1970-01-01T00:00:00.001999999Z""#, Ok(1)),
            (r#""1969-12-31T23:59:59.999999999Z""#, Ok(-1)),
            (r#""1969-12-31T23:59:59.998000001Z""#, Ok(-2)),
            (r#""1970-01-01T00:00:00\u005a""#, Ok(0)),
            ("1704067200000", Ok(1_704_067_200_000)),
            ("-1", Ok(-1)),
            (r#""1900-01-01T00:00:00Z""#, Ok(OCCURRED_AT_MS_MIN)),
            (r#""2199-12-31T23:59:59.999999Z""#, Ok(OCCURRED_AT_MS_MAX)),
            ("-2208988800000", Ok(OCCURRED_AT_MS_MIN)),
            ("7258118399999", Ok(OCCURRED_AT_MS_MAX)),
            (r#""1899-12-31T23:59:59.999999999Z""#, Err("outside the years")),
            (r#""2200-01-01T00:00:00Z""#, Err("outside the years")),
            ("-2208988800001", Err("outside the years")),
            ("7258118400000", Err("outside the years")),
            ("99999999999999999999", Err("neither a time nor an integer")),
            ("1704067200000.0", Err("neither a time nor an integer")),
            ("1.7e12", Err("neither a time nor an integer")),
            ("true", Err("neither a time nor an integer")),
            (r#""1704067200000""#, Err("not an RFC 3339 time")),
            (r#""2024-01-01T00:00:00""#, Err("not an RFC 3339 time")),
            (r#""2024-01-01""#, Err("not an RFC 3339 time")),
            (r#""2024-01-01Z""#, Err("not an RFC 3339 time")),
            (r#""2024-02-30T00:00:00Z""#, Err("not an RFC 3339 time")),
            (r#""2024-01-01T00:00:00Z[UTC]""#, Err("not an RFC 3339 time")),
            (r#""2024-01-01T00:00:00+01:00[Europe/Berlin]""#, Err("not an RFC 3339 time")),
            (r#""2024-01-01T00:00:00Z ""#, Err("not an RFC 3339 time")),
            (r#""""#, Err("not an RFC 3339 time")),
            (r#""\ud800""#, Err("neither a time nor an integer")),
        ] {
            let event = read("cart.abandoned", &format!(r#""occurred_at":{value}"#));
            check(event.map(|event| event.occurred_at_ms), expect, value);
        }
    }

    #[test]
    fn strings_have_their_bounds_in_bytes() {
        for (name, bytes_max) in [("event_id", 128), ("order_id", 128), ("channel", 64)] {
            let range = format!("{name}: `");
            for (value, good) in [
                (format!("\"{}\"", "x".repeat(bytes_max)), true),
                (format!("\"{}\"", "ü".repeat(bytes_max / 2)), true),
                (r#""\u0000""#.to_owned(), true),
                (r#""null""#.to_owned(), true),
                (format!("\"{}\"", "x".repeat(bytes_max + 1)), false),
                (format!("\"x{}\"", "ü".repeat(bytes_max / 2)), false),
                (format!("\"{}\"", "x".repeat(100_000)), false),
                (r#""""#.to_owned(), false),
                (r#""\udc00""#.to_owned(), false),
                ("5".to_owned(), false),
                ("[\n]".to_owned(), false),
            ] {
                let event = read("cart.abandoned", &format!(r#""{name}":{value}"#));
                check(event.map(|_| ()), if good { Ok(()) } else { Err(&range) }, &value);
            }
        }
    }

    #[test]
    fn amounts_are_decimals_of_their_currency_as_text_or_number() {
        for (kind, fields, expect) in [
            ("order.completed", r#""amount":"12.34""#, Ok((1234, "EUR"))),
            ("order.completed", r#""amount":12.34"#, Ok((1234, "EUR"))),
            ("order.completed", r#""amount":12.340"#, Err("more decimals")),
            ("order.completed", r#""amount":0"#, Ok((0, "EUR"))),
            ("order.completed", r#""amount":"0""#, Ok((0, "EUR"))),
            ("order.completed", r#""amount":"\u0031""#, Ok((100, "EUR"))),
            ("order.completed", r#""amount":"12","currency":"JPY""#, Ok((12, "JPY"))),
            ("order.completed", r#""amount":"1.2","currency":"JPY""#, Err("more decimals")),
            ("order.completed", r#""amount":1.234,"currency":"KWD""#, Ok((1234, "KWD"))),
            ("order.completed", r#""amount":"10000000000""#, Ok((AMOUNT_MINOR_MAX, "EUR"))),
            ("order.completed", r#""amount":"10000000000.01""#, Err("larger")),
            ("order.completed", r#""amount":1e2"#, Err("not a plain decimal")),
            ("order.completed", r#""amount":-0"#, Err("negative")),
            ("order.completed", r#""amount":"""#, Err("amount: `` is not a plain decimal")),
            ("order.completed", r#""amount":true"#, Err("amount: `true` is not a plain decimal")),
            ("order.completed", r#""amount":"1","currency":"eur""#, Err("currency: `\"eur\"`")),
            ("order.completed", r#""amount":"1","currency":978"#, Err("currency: `978`")),
            ("order.refunded", r#""amount":"0.01""#, Ok((1, "EUR"))),
            ("order.refunded", r#""amount":"0.00""#, Err("amount: `0.00` is not above 0")),
            ("order.refunded", r#""amount":"-1""#, Err("negative")),
            ("acquisition.recorded", r#""cost":"0""#, Ok((0, "EUR"))),
            ("acquisition.recorded", r#""cost":"x""#, Err("cost: `x` is not a plain decimal")),
        ] {
            let got = read(kind, fields).map(|event| event.body);
            let expect = expect.map(|(minor, code): (i64, &str)| {
                let amount = Amount { minor, currency: Currency::parse(code).unwrap() };
                match kind {
                    "order.completed" => Body::OrderCompleted(amount),
                    "order.refunded" => Body::OrderRefunded(amount),
                    _ => Body::AcquisitionRecorded(amount),
                }
            });
            check(got, expect, fields);
        }
    }

    #[test]
    fn figures_are_looked_at_up_to_a_bound() {
        let digits = format!("{}1", "0".repeat(FIGURE_BYTES_MAX));
        for value in [digits.clone(), format!("\"{digits}\""), "9".repeat(1_000_000)] {
            let event = read("order.completed", &format!(r#""amount":{value}"#));
            // A number with leading zeros is no JSON; the others are too long to be looked at.
            let reason = event.unwrap_err().reason;
            let expect = if value == digits { Reason::NotJson } else { Reason::BadValue };
            assert_eq!(reason, expect);
        }
    }

    #[test]
    fn quantities_are_thousandths_of_a_unit() {
        for (value, expect) in [
            ("0", Ok(0)),
            ("3", Ok(3000)),
            ("0.5", Ok(500)),
            (r#""1.250""#, Ok(1250)),
            ("0.001", Ok(1)),
            ("1000000000", Ok(QUANTITY_THOUSANDTHS_MAX)),
            ("1000000000.001", Err("quantity: `1000000000.001` is not a plain decimal")),
            ("99999999999999999999999", Err("from 0 to 1000000000")),
            ("18446744073709551.615", Err("from 0 to 1000000000")),
            ("0.0001", Err("at most 3 decimals")),
            ("-1", Err("from 0")),
            ("1e3", Err("a plain decimal")),
            (r#""""#, Err("a plain decimal")),
            (r#""1.""#, Err("a plain decimal")),
            (r#"".5""#, Err("a plain decimal")),
            (r#""+5""#, Err("a plain decimal")),
            ("[]", Err("a plain decimal")),
        ] {
            let got = read("usage.recorded", &format!(r#""quantity":{value}"#));
            let expect = expect.map(|thousandths| Body::UsageRecorded { thousandths });
            check(got.map(|event| event.body), expect, value);
        }
    }

    /// Goal: money fields are not even looked at where the type has no money.
    #[test]
    fn money_is_ignored_on_events_without_money() {
        let fields = r#""order_id":"o1","amount":"x","currency":"no","cost":-1,"quantity":"x""#;
        for kind in ["order.cancelled", "cart.abandoned", "support.contacted", "customer.erased"] {
            assert!(read(kind, fields).is_ok(), "{kind}");
        }
    }
}

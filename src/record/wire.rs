//! How single values look in JSON: instants, dates, ledger money and estimates, both directions.
//! Called by `score` and `signal`; knows nothing of customers.

use std::fmt;

use compact_str::CompactString;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::calendar::{Day, rfc3339};
use crate::money::{Currency, format_minor};

/// The JSON bytes of a record of about `capacity_bytes`.
pub(super) fn to_json(record: &impl Serialize, capacity_bytes: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(capacity_bytes);
    serde_json::to_writer(&mut json, record).expect("records have string keys and finite numbers");
    json
}

/// An instant in milliseconds since 1970, written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<Timestamp>()
            .map(|at| Self(at.as_millisecond()))
            .map_err(|_| D::Error::custom(format!("`{text}` is not an RFC 3339 instant")))
    }
}

/// A day, written as an ISO 8601 date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub Day);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text())
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(|date| Self(Day::from_date(date)))
            .map_err(|_| D::Error::custom(format!("`{text}` is not an ISO 8601 date")))
    }
}

/// Ledger money: minor units, written as a decimal string with all the currency's decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    minor: i128,
    decimals: u32,
}

impl Money {
    /// The sum `minor` of a ledger kept in `currency`.
    pub fn new(minor: i128, currency: Currency) -> Self {
        Self { minor, decimals: currency.decimals() }
    }

    /// Minor units.
    pub fn minor(self) -> i128 {
        self.minor
    }

    /// The decimal string.
    pub fn text(self) -> CompactString {
        format_minor(self.minor, self.decimals)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let minor = text.replacen('.', "", 1).parse().ok();
        minor
            .zip(u32::try_from(decimals).ok())
            .map(|(minor, decimals)| Self { minor, decimals })
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a decimal amount")))
    }
}

/// An estimate, rounded to eight significant digits: the same number on every machine, and no more
/// digits than a model can mean.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Estimate(f64);

/// Digits that an estimate keeps.
const SIGNIFICANT_DIGITS: i32 = 8;

/// The powers of ten that a float holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Estimate {
    /// Rounds `value`. `None` for what is not a finite number: it is left out of the record.
    pub fn of(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self(round(value)))
    }

    /// The rounded value.
    pub fn value(self) -> f64 {
        self.0
    }
}

/// Both factors below are powers of ten that a float holds exactly, so the result is the float
/// nearest to the rounded decimal, and prints as that decimal.
fn round(value: f64) -> f64 {
    const EXACT_POWER_MAX: i32 = 22;
    if value == 0.0 {
        return 0.0;
    }
    let shift = SIGNIFICANT_DIGITS - 1 - exponent(value.abs());
    if (0..=EXACT_POWER_MAX).contains(&shift) {
        let power = POWERS_OF_TEN[shift.unsigned_abs() as usize];
        (value * power).round() / power
    } else if (-EXACT_POWER_MAX..0).contains(&shift) {
        let power = POWERS_OF_TEN[shift.unsigned_abs() as usize];
        (value / power).round() * power
    } else {
        format!("{value:.7e}").parse().unwrap_or(value)
    }
}

/// The decimal exponent of a positive number, by comparison where powers of ten are exact.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a float's decimal exponent is small"
)]
fn exponent(value: f64) -> i32 {
    if (1.0..1e22).contains(&value) {
        POWERS_OF_TEN.partition_point(|power| *power <= value) as i32 - 1
    } else {
        libm::floor(libm::log10(value)) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_prints_as_its_eight_digits() {
        for (value, text) in [
            (0.0, "0.0"),
            (0.726_620_312_345, "0.72662031"),
            (36.273_973_961_2, "36.273974"),
            (123_456_789.0, "123456790.0"),
            (0.1 + 0.2, "0.3"),
            (-1.0 / 3.0, "-0.33333333"),
            (9.999_999_999, "10.0"),
            (1.0e-300 / 3.0, "3.3333333e-301"),
            (2.5e30, "2.5e+30"),
        ] {
            let estimate = Estimate::of(value).unwrap();
            assert_eq!(serde_json::to_string(&estimate).unwrap(), text);
            let twice = Estimate::of(estimate.value()).unwrap();
            assert_eq!(twice.value().to_bits(), estimate.value().to_bits());
        }
        assert_eq!(Estimate::of(f64::NAN), None);
        assert_eq!(Estimate::of(f64::INFINITY), None);
    }

    #[test]
    fn the_exponent_of_a_power_of_ten_and_its_neighbours() {
        for (power, expect) in POWERS_OF_TEN.iter().zip(0..) {
            assert_eq!(exponent(*power), expect);
            assert_eq!(exponent(power.next_up()), expect);
        }
        for (power, expect) in POWERS_OF_TEN[1..22].iter().zip(0..) {
            assert_eq!(exponent(power.next_down()), expect);
        }
        assert_eq!([0.5, 0.1, 0.099, 1.0e-7, 3.0e30].map(exponent), [-1, -1, -2, -7, 30]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let usd = Currency::parse("USD").unwrap();
        let values = (Money::new(-5, usd), Moment(1_714_564_800_007), Date(Day(10_134)));
        let text = serde_json::to_string(&values).unwrap();
        assert_eq!(text, r#"["-0.05","2024-05-01T12:00:00.007Z","1997-09-30"]"#);
        assert_eq!(serde_json::from_str::<(Money, Moment, Date)>(&text).unwrap(), values);
    }
}

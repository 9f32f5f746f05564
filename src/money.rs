//! Money: integer minor units of a currency, decimal text in and out, and conversion at a stated
//! rate. No floats. Called by `event` (reading), `customer` (converting) and `record` (writing).

use std::collections::BTreeMap;
use std::fmt;

use compact_str::CompactString;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// The largest amount of one event, in minor units: ten thousand million of a two-decimal currency.
/// Sums are `i128`, so that no number of such events can overflow one.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// An ISO 4217 code of three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code; `None` unless it is three capital letters.
    pub fn parse(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The code as text.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Decimals of the minor unit (ISO 4217, table A.1).
    pub fn decimals(&self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }

    /// Minor units in one major unit, as a float for estimates.
    pub fn minor_per_major(&self) -> f64 {
        [1.0, 10.0, 100.0, 1000.0, 10_000.0][self.decimals() as usize]
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount as an event states it: never negative, at most [`AMOUNT_MINOR_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    /// Minor units of `currency`.
    pub minor: i64,
    /// The currency in which the event states it.
    pub currency: Currency,
}

/// Reads plain decimal digits (`12`, `12.5`, `12.50`) as minor units.
///
/// # Errors
/// A sentence that names what is wrong: not a plain decimal, negative, too many decimals, too
/// large.
pub fn parse_minor(text: &str, currency: Currency) -> Result<i64, String> {
    let decimals = currency.decimals() as usize;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('-')
        && rest.starts_with(|first: char| first.is_ascii_digit())
    {
        return Err(format!("`{text}` is negative; amounts are positive, the type says the sign"));
    }
    if whole.is_empty()
        || !plain(whole)
        || !plain(fraction)
        || (text.contains('.') && fraction.is_empty())
    {
        return Err(format!("`{text}` is not a plain decimal number such as `12.50`"));
    }
    if fraction.len() > decimals {
        return Err(format!("`{text}` has more decimals than the {decimals} of {currency}"));
    }
    let mut minor: i64 = 0;
    let padding = std::iter::repeat_n(b'0', decimals - fraction.len());
    for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
        minor = minor * 10 + i64::from(digit - b'0');
        if minor > AMOUNT_MINOR_MAX {
            return Err(format!("`{text}` is larger than one order can be"));
        }
    }
    Ok(minor)
}

/// Writes minor units as a decimal string with the given number of decimals, as in `-0.05`.
pub fn format_minor(minor: i128, decimals: u32) -> CompactString {
    let decimals = decimals as usize;
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(minor.unsigned_abs());
    let mut text = CompactString::const_new(if minor < 0 { "-" } else { "" });
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if decimals > 0 {
        text.push('.');
        text.extend(std::iter::repeat_n('0', decimals - fraction.len()));
        text.push_str(fraction);
    }
    text
}

/// What one unit of each other currency is worth in the base currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(pub BTreeMap<Currency, Decimal>);

impl Rates {
    /// The rate from `currency` to `base`: one for the base itself, `None` where none is known.
    pub fn rate(&self, currency: Currency, base: Currency) -> Option<Decimal> {
        if currency == base { Some(Decimal::ONE) } else { self.0.get(&currency).copied() }
    }
}

/// Minor units of `from` as minor units of `to` at the given rate, halves to even.
/// A product beyond the 96 bits of a `Decimal`, some 28 digits, becomes `i64::MAX`, or `i64::MIN`
/// below zero; one within them is not held to an `i64`.
pub fn convert(minor: i128, from: Currency, to: Currency, rate: Decimal) -> i128 {
    if from == to {
        return minor;
    }
    let end = i128::from(if minor < 0 { i64::MIN } else { i64::MAX });
    let exact = Decimal::try_from_i128_with_scale(minor, from.decimals())
        .ok()
        .and_then(|value| value.checked_mul(rate))
        .and_then(|value| value.checked_mul(Decimal::from(10u64.pow(to.decimals()))));
    exact.and_then(|value| value.round().to_i128()).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, expect: Result<i64, &str>) {
        let got = parse_minor(text, Currency::parse(code).unwrap());
        match expect {
            Ok(minor) => assert_eq!(got, Ok(minor), "{text} {code}"),
            Err(part) => assert!(got.clone().unwrap_err().contains(part), "{text}: {got:?}"),
        }
    }

    #[test]
    fn amounts_are_read_digit_by_digit() {
        check("12", "USD", Ok(1200));
        check("12.5", "USD", Ok(1250));
        check("0.01", "USD", Ok(1));
        check("10000000000.00", "USD", Ok(AMOUNT_MINOR_MAX));
        check("10000000000.01", "USD", Err("larger"));
        check("99999999999999999999999999", "USD", Err("larger"));
        check("12.345", "KWD", Ok(12_345));
        check("12.345", "USD", Err("more decimals"));
        check("12.0", "JPY", Err("more decimals"));
        check("-1", "USD", Err("negative"));
        for text in ["", ".", "1.", ".5", "1e3", "+1", "1,5", " 1", "--1", "-", "١"] {
            check(text, "USD", Err("not a plain decimal"));
        }
    }

    #[test]
    fn amounts_are_written_with_all_their_decimals() {
        for (minor, text) in [(0, "0.00"), (-5, "-0.05"), (123_456, "1234.56")] {
            assert_eq!(format_minor(minor, 2), text);
        }
        assert_eq!(format_minor(-7, 0), "-7");
    }

    #[test]
    fn conversion_rounds_halves_to_even_and_knows_the_decimals() {
        let [usd, jpy] = ["USD", "JPY"].map(|code| Currency::parse(code).unwrap());
        let rate = Decimal::new(65, 4);
        assert_eq!(convert(1000, jpy, usd, rate), 650);
        assert_eq!(convert(1, jpy, usd, Decimal::new(5, 3)), 0);
        assert_eq!(convert(3, jpy, usd, Decimal::new(5, 3)), 2);
        assert_eq!(convert(7, usd, usd, rate), 7);
    }
}

//! What tells one history from another: the file's bytes, and all that decides which events come of
//! them. It reads what passes through it and nothing else. Called by `import`.

use std::io::{self, Read};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::Options;
use super::mapping::Field;
use crate::money::Currency;

/// Raised when the same file gives other events, or other row ids, than it did before.
const FORM: u32 = 1;

/// Hashes the bytes that pass.
#[derive(Clone)]
pub struct Hashing<R> {
    inner: R,
    hash: Xxh3,
}

impl<R> std::fmt::Debug for Hashing<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hashing").finish_non_exhaustive()
    }
}

impl<R: Read> Hashing<R> {
    /// Nothing has passed yet.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Xxh3::new() }
    }

    /// The hash of all that has passed.
    pub fn digest(&self) -> u64 {
        self.hash.digest()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n_bytes]);
        Ok(n_bytes)
    }
}

impl Options {
    /// The fingerprint of the events that a file of this content gives, as 16 hexadecimal digits.
    ///
    /// Rates have no part in it, the currencies that have one do: without it a row is refused.
    /// Neither has the time of reading: what is dated too far ahead comes last in any case.
    pub fn fingerprint(&self, content: u64) -> String {
        let columns = Field::ALL.map(|field| self.mapping.column(field)).join("\u{1f}");
        let rates = &self.intake.rates.0;
        let currencies = [&self.intake.currency].into_iter().chain(rates.keys());
        let currencies: Vec<&str> = currencies.map(Currency::code).collect();
        let zone = self.calendar.zone().iana_name().unwrap_or_default();
        let until = self.until.map_or(String::new(), |until| until.0.to_string());
        let currencies = currencies.join(" ");
        let parts = [&content.to_string(), &columns, &currencies, zone, &until];
        let text = format!("{FORM}\u{1e}{}", parts.join("\u{1e}"));
        format!("{:016x}", xxh3_64(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use std::collections::BTreeMap;

    use super::*;
    use crate::calendar::{Calendar, Day};
    use crate::event::Intake;
    use crate::history::Mapping;
    use crate::money::Rates;

    fn options() -> Options {
        let intake = Intake {
            currency: Currency::parse("EUR").unwrap(),
            rates: Rates::default(),
            future_skew_max_ms: None,
        };
        Options {
            mapping: Mapping::default(),
            calendar: Calendar::new(TimeZone::UTC),
            intake,
            recorded_at_ms: None,
            row_id_suffix: String::new(),
            until: None,
        }
    }

    #[test]
    fn whatever_decides_the_events_is_in_the_fingerprint_and_nothing_else() {
        let base = options();
        let same = Options { recorded_at_ms: Some(1), row_id_suffix: "-x".into(), ..options() };
        // A field in the column of its own name is the same as one that is mapped to it.
        let mapped = Options { mapping: Mapping::parse("amount=amount").unwrap(), ..options() };
        for same in [same, mapped] {
            assert_eq!(base.fingerprint(7), same.fingerprint(7));
        }
        let other = |code| Currency::parse(code).unwrap();
        let rates = |code| Rates(BTreeMap::from([(other(code), 1.into())]));
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let others = [
            Options { mapping: Mapping::parse("amount=total").unwrap(), ..options() },
            Options { calendar: Calendar::new(zone), ..options() },
            Options {
                intake: Intake { currency: other("USD"), ..base.intake.clone() },
                ..options()
            },
            Options { intake: Intake { rates: rates("USD"), ..base.intake.clone() }, ..options() },
            Options { intake: Intake { rates: rates("GBP"), ..base.intake.clone() }, ..options() },
            Options { until: Some(Day(0)), ..options() },
            Options { until: Some(Day(1)), ..options() },
        ];
        let mut all = vec![base.fingerprint(7), base.fingerprint(8)];
        all.extend(others.iter().map(|options| options.fingerprint(7)));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 9, "two that differ are alike: {all:?}");
    }

    /// Goal: an import that began under one release goes on under the next.
    #[test]
    fn the_fingerprint_and_the_hash_of_the_bytes_are_pinned() {
        let mut hashing = Hashing::new(&b"customer_id,occurred_at,amount\n"[..]);
        io::copy(&mut hashing, &mut io::sink()).unwrap();
        assert_eq!(hashing.digest(), xxh3_64(b"customer_id,occurred_at,amount\n"));
        assert_eq!(options().fingerprint(7), "503a46976980f014");
    }
}

//! Bytes of the changelog, below its fields: varints, money and event ids. Every value has exactly
//! one encoding, and reading refuses any other, numbers with needless bytes too. It knows no
//! fields; called by `record::changelog` only.

use std::ops::RangeInclusive;

use super::DecodeError;
use crate::calendar::Day;
use crate::customer::EventId;

/// Sums beyond this are not read: no history adds up to them, and below it no event can overflow
/// one.
const MONEY_MAX: u128 = 1 << 96;

/// Days beyond these, about the years 1860 and 2298, are not read: no event is dated there, and
/// within them no difference of two days can overflow.
const DAYS_READ: RangeInclusive<i32> = -40_000..=120_000;

/// Instants are written as distances from days; the time zone is of no matter for that.
const DAY_MS: i64 = 86_400_000;

pub(super) type Result<T> = std::result::Result<T, DecodeError>;

/// Appends an unsigned number, seven bits a byte, low ones first.
pub(super) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// Appends a sum of money.
///
/// # Panics
/// It is negative, which no event can bring about: a wrong sum must not be written as another one.
pub(super) fn put_money(bytes: &mut Vec<u8>, minor: i128) {
    assert!(minor >= 0, "a sum of money in a customer's state is `{minor}`, below zero");
    let mut value = minor.cast_unsigned();
    while value > u128::from(u64::MAX) {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    put_varint(bytes, u64::try_from(value).unwrap_or(u64::MAX));
}

/// Appends a day as its distance from another.
pub(super) fn put_day(bytes: &mut Vec<u8>, day: Day, base: Day) {
    put_varint(bytes, zigzag(i64::from(day.0) - i64::from(base.0)));
}

/// Appends an instant as its distance in milliseconds from the beginning (UTC) of a day.
pub(super) fn put_instant(bytes: &mut Vec<u8>, at_ms: i64, base: Day) {
    put_varint(bytes, zigzag(at_ms.wrapping_sub(i64::from(base.0) * DAY_MS)));
}

/// Signed numbers as unsigned ones that are small when the number is near 0.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The reverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Appends an event id: a UUID, as most are, as its 16 bytes, other text by its length.
pub(super) fn put_event_id(bytes: &mut Vec<u8>, event_id: &EventId) {
    match event_id {
        EventId::Uuid(uuid) => {
            bytes.push(0);
            bytes.extend_from_slice(uuid);
        }
        EventId::Text(text) => {
            put_varint(bytes, text.len() as u64 + 1);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
}

/// Reads from the front of a value; every error names what was being read.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl Reader<'_> {
    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(*array)
    }

    pub(super) fn varint(&mut self, what: &'static str) -> Result<u64> {
        u64::try_from(self.wide(what)?).map_err(|_| DecodeError::Broken(what))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32> {
        u32::try_from(self.varint(what)?).map_err(|_| DecodeError::Broken(what))
    }

    /// How many items follow, of at least `item_bytes` each: never more than there are bytes for,
    /// so that room for them may be reserved.
    pub(super) fn count(&mut self, item_bytes: usize, what: &'static str) -> Result<usize> {
        let n_items = usize::try_from(self.varint(what)?).unwrap_or(usize::MAX);
        let n_items_max = self.rest.len() / item_bytes;
        if n_items > n_items_max { Err(DecodeError::Truncated(what)) } else { Ok(n_items) }
    }

    pub(super) fn money(&mut self, what: &'static str) -> Result<i128> {
        let minor = self.wide(what)?;
        let minor = i128::try_from(minor).ok().filter(|_| minor <= MONEY_MAX);
        minor.ok_or(DecodeError::Broken(what))
    }

    pub(super) fn day(&mut self, what: &'static str, base: Day) -> Result<Day> {
        let days = unzigzag(self.varint(what)?);
        day_after(base, days).ok_or(DecodeError::Broken(what))
    }

    pub(super) fn instant(&mut self, what: &'static str, base: Day) -> Result<i64> {
        let from_base_ms = unzigzag(self.varint(what)?);
        Ok((i64::from(base.0) * DAY_MS).wrapping_add(from_base_ms))
    }

    /// An unsigned number of up to 128 bits, refused when it is longer than need be.
    fn wide(&mut self, what: &'static str) -> Result<u128> {
        let mut value: u64 = 0;
        for (i, &byte) in self.rest.iter().enumerate().take(9) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                let is_shortest = byte > 0 || i == 0;
                return if is_shortest { Ok(value.into()) } else { Err(DecodeError::Broken(what)) };
            }
        }
        self.long(what)
    }

    /// The rare number of more than nine bytes.
    fn long(&mut self, what: &'static str) -> Result<u128> {
        let mut value: u128 = 0;
        for (i, &byte) in self.rest.iter().enumerate().take(19) {
            let bits = u128::from(byte & 0x7f);
            if bits << (7 * i) >> (7 * i) != bits || byte == 0 {
                return Err(DecodeError::Broken(what));
            }
            value |= bits << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        let is_cut = self.rest.len() < 19;
        Err(if is_cut { DecodeError::Truncated(what) } else { DecodeError::Broken(what) })
    }

    pub(super) fn event_id(&mut self, what: &'static str) -> Result<EventId> {
        let Some(len) = self.varint(what)?.checked_sub(1) else {
            return Ok(EventId::Uuid(self.array(what)?));
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (text, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        let text = str::from_utf8(text).map_err(|_| DecodeError::Broken(what))?;
        Some(EventId::from(text))
            .filter(|event_id| matches!(event_id, EventId::Text(_)))
            .ok_or(DecodeError::Broken(what))
    }
}

/// The day so many days after (before, when negative) another; `None` beyond [`DAYS_READ`].
pub(super) fn day_after(base: Day, days: i64) -> Option<Day> {
    let day = i64::from(base.0).checked_add(days).and_then(|day| i32::try_from(day).ok());
    day.filter(|day| DAYS_READ.contains(day)).map(Day)
}

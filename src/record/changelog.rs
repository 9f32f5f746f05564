//! The changelog: keys, and a customer's state as bytes. In memory, too, a customer is these bytes
//! between two events, so they are short. Any state has one encoding, and only that is read:
//! `encode(decode(bytes)) == bytes`. It judges nothing; the engine and the restore
//! call it.
//!
//! A value is a version byte, a varint of `presence` bits, and then, each only where present:
//! source; days of the ledger as gaps; latest day; `as_of`; refund sums; counters; use; last
//! signals; latches; open orders; fingerprints of recent events. Gross and most order counts follow
//! from the ledger and are not written. Days are counted from others nearby, instants from a day.

mod ledger;
mod orders;
mod state;
#[cfg(test)]
mod tests;
mod wire;

use crate::customer::Customer;
use wire::{Reader, put_day, put_instant, put_varint};

/// The version of the encoding that this build writes. Earlier ones are read, and written anew in
/// this one when their customer next changes.
pub const VERSION: u8 = 1;

/// Why bytes of the changelog cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another build wrote it.
    #[error(
        "changelog value has version `{0}`, this program reads up to `{VERSION}`: \
         run the version that wrote it, or a newer one"
    )]
    UnknownVersion(u8),
    /// The bytes end too early.
    #[error("changelog value ends within its `{0}`: restore the topic from a backup")]
    Truncated(&'static str),
    /// What stands there is not what [`encode`] writes.
    #[error("changelog value is broken at its `{0}`: restore the topic from a backup")]
    Broken(&'static str),
    /// The bytes go on after the value.
    #[error("changelog value has `{0}` bytes after its end: restore the topic from a backup")]
    Trailing(usize),
    /// The key is neither a customer's, nor the marker's, nor an erasure's.
    #[error("changelog key is none of this program's: is the topic shared with another?")]
    UnknownKey,
}

/// A key of the changelog. The tag byte in front keeps customer ids from colliding with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// `c` and the customer's id.
    Customer(&'a str),
    /// `m`: how far the partition has been read.
    Marker,
    /// `e` and a hash of the id of a customer who was erased.
    Erased([u8; 16]),
}

impl<'a> Key<'a> {
    /// The key as bytes.
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Customer(id) => [b"c", id.as_bytes()].concat(),
            Self::Marker => b"m".to_vec(),
            Self::Erased(hash) => [b"e", hash.as_slice()].concat(),
        }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`DecodeError::UnknownKey`] for bytes that [`Key::write`] does not write.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let key = match bytes.split_first() {
            Some((b'c', id)) => str::from_utf8(id).ok().map(Self::Customer),
            Some((b'm', [])) => Some(Self::Marker),
            Some((b'e', hash)) => hash.try_into().ok().map(Self::Erased),
            _ => None,
        };
        key.ok_or(DecodeError::UnknownKey)
    }
}

/// What a value holds beside the ledger, the open orders and the recent events; the commonest
/// first, because bits up to the seventh cost one byte.
mod presence {
    pub(super) const SOURCE: u64 = 1;
    /// The latest day, where it is not the last purchase day.
    pub(super) const LATEST_DAY: u64 = 1 << 1;
    pub(super) const REFUNDS: u64 = 1 << 2;
    pub(super) const COUNTERS: u64 = 1 << 3;
    pub(super) const LATCHES: u64 = 1 << 4;
    pub(super) const SIGNALS: u64 = 1 << 5;
    pub(super) const HIGH_VALUE: u64 = 1 << 6;
    pub(super) const USAGE: u64 = 1 << 7;
    pub(super) const FOLDED: u64 = 1 << 8;
    pub(super) const ALL: u64 = (1 << 9) - 1;
}

/// A customer's state as bytes.
pub fn encode(customer: &Customer) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, customer);
    bytes
}

/// Appends a customer's state to bytes that are there.
pub fn append(bytes: &mut Vec<u8>, customer: &Customer) {
    let Customer { ledger, counters, path, orders, latest_day, .. } = customer;
    let beyond = latest_day.filter(|_| *latest_day != ledger.last_day());
    let refunds = state::refunded(customer);
    let counted = state::counted(counters);
    let latched = state::latched(path);
    let signalled = state::signalled(path);
    let present = [
        (presence::SOURCE, path.source.is_some()),
        (presence::LATEST_DAY, beyond.is_some()),
        (presence::REFUNDS, refunds.is_some()),
        (presence::COUNTERS, counted.is_some()),
        (presence::LATCHES, latched.is_some()),
        (presence::SIGNALS, signalled.is_some()),
        (presence::HIGH_VALUE, path.high_value_reached),
        (presence::USAGE, counters.usage.latest_week.is_some()),
        (presence::FOLDED, ledger.folded.is_some()),
    ];
    bytes.push(VERSION);
    let set = |bits, (bit, is_present): &(u64, bool)| if *is_present { bits | bit } else { bits };
    put_varint(bytes, present.iter().fold(0, set));
    if let Some(source) = path.source {
        state::put_source(bytes, source);
    }
    if let Some(folded) = ledger.folded {
        ledger::put_folded(bytes, folded);
    }
    ledger::put_days(bytes, ledger);
    if let Some(day) = beyond {
        put_day(bytes, day, ledger.last_day().unwrap_or_default());
    }
    let latest_day = latest_day.unwrap_or_default();
    put_instant(bytes, path.as_of_ms, latest_day);
    if let Some(refunds) = refunds {
        state::put_refunds(bytes, refunds);
    }
    if let Some(counters) = counted {
        state::put_counters(bytes, counters);
    }
    if let Some(path) = latched {
        state::put_latches(bytes, path, latest_day);
    }
    if let Some(path) = signalled {
        state::put_signals(bytes, path, latest_day);
    }
    if let Some(week) = counters.usage.latest_week {
        state::put_usage(bytes, week, &counters.usage);
    }
    orders::put_orders(bytes, &orders.0, latest_day);
    state::put_recent(bytes, &path.recent);
}

/// Reads a customer's state.
///
/// # Errors
/// Names what is wrong with bytes that [`encode`] does not write; never panics, whatever they are.
pub fn decode(bytes: &[u8]) -> Result<Customer, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.byte("version")? {
        1 => decode_version_1(reader),
        version => Err(DecodeError::UnknownVersion(version)),
    }
}

fn decode_version_1(mut reader: Reader<'_>) -> Result<Customer, DecodeError> {
    let present = reader.varint("presence")?;
    if present & !presence::ALL != 0 {
        return Err(DecodeError::Broken("presence"));
    }
    let has = |bit| present & bit != 0;
    let mut customer = Customer::default();
    let Customer { ledger, totals, counters, path, orders, latest_day } = &mut customer;
    if has(presence::SOURCE) {
        path.source = Some(state::read_source(&mut reader)?);
    }
    if has(presence::FOLDED) {
        ledger.folded = Some(ledger::read_folded(&mut reader)?);
    }
    ledger::read_days(&mut reader, ledger)?;
    *latest_day = ledger.last_day();
    if has(presence::LATEST_DAY) {
        let day = reader.day("latest day", ledger.last_day().unwrap_or_default())?;
        if ledger.last_day().is_some_and(|last| last >= day) {
            return Err(DecodeError::Broken("latest day"));
        }
        *latest_day = Some(day);
    }
    let base_day = latest_day.unwrap_or_default();
    path.as_of_ms = reader.instant("as_of", base_day)?;
    if has(presence::REFUNDS) {
        let refunds = state::read_refunds(&mut reader)?;
        totals.n_orders = refunds.n_in_full;
        totals.refunded_minor = refunds.refunded_minor;
        totals.unmatched_minor = refunds.unmatched_minor;
    }
    totals.n_orders = totals.n_orders.saturating_add(ledger.n_orders());
    totals.gross_minor = ledger.net_minor() + totals.refunded_minor;
    if has(presence::COUNTERS) {
        state::read_counters(&mut reader, counters)?;
    }
    if has(presence::LATCHES) {
        state::read_latches(&mut reader, path, base_day)?;
    }
    if has(presence::SIGNALS) {
        state::read_signals(&mut reader, path, base_day)?;
    }
    path.high_value_reached = has(presence::HIGH_VALUE);
    if has(presence::USAGE) {
        counters.usage = state::read_usage(&mut reader)?;
    }
    orders.0 = orders::read_orders(&mut reader, *latest_day)?;
    path.recent = state::read_recent(&mut reader)?;
    if reader.rest.is_empty() {
        Ok(customer)
    } else {
        Err(DecodeError::Trailing(reader.rest.len()))
    }
}

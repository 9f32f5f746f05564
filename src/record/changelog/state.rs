//! The small parts of a customer as bytes: source, refund sums, counters, use, and the rest of the
//! path state. Called by `record::changelog` only.

use super::DecodeError;
use super::wire::{Reader, Result, put_day, put_money, put_varint, unzigzag, zigzag};
use crate::calendar::Day;
use crate::customer::{
    Counters, Customer, Driver, Latch, Latches, Path, SignalKind, Source, Usage, UsageLatch,
};

pub(super) fn put_source(bytes: &mut Vec<u8>, source: Source) {
    put_varint(bytes, source.partition.cast_unsigned().into());
    put_varint(bytes, source.offset.cast_unsigned());
}

pub(super) fn read_source(reader: &mut Reader<'_>) -> Result<Source> {
    let partition = reader.u32("source")?.cast_signed();
    Ok(Source { partition, offset: reader.varint("source")?.cast_signed() })
}

/// What of the totals does not follow from the ledger.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Refunds {
    /// Orders that count and do not stand.
    pub(super) n_in_full: u64,
    pub(super) refunded_minor: i128,
    pub(super) unmatched_minor: i128,
}

/// The refund sums, if anything was refunded.
pub(super) fn refunded(customer: &Customer) -> Option<Refunds> {
    let Customer { ledger, totals, .. } = customer;
    let refunds = Refunds {
        n_in_full: totals.n_orders.saturating_sub(ledger.n_orders()),
        refunded_minor: totals.refunded_minor,
        unmatched_minor: totals.unmatched_minor,
    };
    Some(refunds).filter(|refunds| *refunds != Refunds::default())
}

pub(super) fn put_refunds(bytes: &mut Vec<u8>, refunds: Refunds) {
    put_varint(bytes, refunds.n_in_full);
    put_money(bytes, refunds.refunded_minor);
    put_money(bytes, refunds.unmatched_minor);
}

pub(super) fn read_refunds(reader: &mut Reader<'_>) -> Result<Refunds> {
    const WHAT: &str = "refund sums";
    let refunds = Refunds {
        n_in_full: reader.varint(WHAT)?,
        refunded_minor: reader.money(WHAT)?,
        unmatched_minor: reader.money(WHAT)?,
    };
    if refunds == Refunds::default() { Err(DecodeError::Broken(WHAT)) } else { Ok(refunds) }
}

/// The counters, if any of them has counted.
pub(super) fn counted(counters: &Counters) -> Option<&Counters> {
    let Counters { n_carts_abandoned, n_support_contacts, acquisition_cost_minor, .. } = counters;
    let counts = (n_carts_abandoned, n_support_contacts, acquisition_cost_minor);
    (counts != (&0, &0, &0)).then_some(counters)
}

pub(super) fn put_counters(bytes: &mut Vec<u8>, counters: &Counters) {
    put_varint(bytes, counters.n_carts_abandoned);
    put_varint(bytes, counters.n_support_contacts);
    put_money(bytes, counters.acquisition_cost_minor);
}

pub(super) fn read_counters(reader: &mut Reader<'_>, counters: &mut Counters) -> Result<()> {
    const WHAT: &str = "counters";
    counters.n_carts_abandoned = reader.varint(WHAT)?;
    counters.n_support_contacts = reader.varint(WHAT)?;
    counters.acquisition_cost_minor = reader.money(WHAT)?;
    counted(counters).map(|_| ()).ok_or(DecodeError::Broken(WHAT))
}

pub(super) fn put_usage(bytes: &mut Vec<u8>, latest_week: i32, usage: &Usage) {
    put_varint(bytes, zigzag(latest_week.into()));
    put_varint(bytes, mask(&usage.thousandths.map(|thousandths| thousandths > 0)));
    for &thousandths in usage.thousandths.iter().filter(|thousandths| **thousandths > 0) {
        put_varint(bytes, thousandths);
    }
}

pub(super) fn read_usage(reader: &mut Reader<'_>) -> Result<Usage> {
    const WHAT: &str = "usage";
    let broken = |_| DecodeError::Broken(WHAT);
    let latest_week = i32::try_from(unzigzag(reader.varint(WHAT)?)).map_err(broken)?;
    let mut thousandths = [0; Usage::WEEKS];
    let weeks = read_mask::<{ Usage::WEEKS }>(reader, WHAT)?;
    for (week, _) in thousandths.iter_mut().zip(weeks).filter(|(_, is_present)| *is_present) {
        *week = match reader.varint(WHAT)? {
            0 => return Err(DecodeError::Broken(WHAT)),
            thousandths => thousandths,
        };
    }
    Ok(Usage { latest_week: Some(latest_week), thousandths })
}

/// The path state, if a latch is up or has cleared.
pub(super) fn latched(path: &Path) -> Option<&Path> {
    let is_latched = path.latches != Latches::default() || path.recovered_on.is_some();
    is_latched.then_some(path)
}

pub(super) fn put_latches(bytes: &mut Vec<u8>, path: &Path, base: Day) {
    let Latches { lapse, orders, basket, usage } = path.latches;
    let latches = [lapse, orders, basket];
    let [has_lapse, has_orders, has_basket] = latches.map(|latch| latch.is_some());
    let has_recovered = path.recovered_on.is_some();
    let has = [has_lapse, has_orders, has_basket, has_recovered, usage.is_some()];
    put_varint(bytes, mask(&has));
    for latch in latches.into_iter().flatten() {
        put_day(bytes, latch.raised_on, base);
        put_day(bytes, latch.baseline_on, base);
        put_day(bytes, latch.since, base);
        let driver = Driver::ALL.iter().position(|driver| *driver == latch.driver);
        put_varint(bytes, driver.unwrap_or_default() as u64);
    }
    if let Some(day) = path.recovered_on {
        put_day(bytes, day, base);
    }
    if let Some(latch) = usage {
        put_day(bytes, latch.raised_on, base);
        put_varint(bytes, latch.usual_thousandths);
    }
}

pub(super) fn read_latches(reader: &mut Reader<'_>, path: &mut Path, base: Day) -> Result<()> {
    const WHAT: &str = "latches";
    let [has_lapse, has_orders, has_basket, has_recovered, has_usage] = read_mask(reader, WHAT)?;
    let mut latch = |is_present: bool| {
        if !is_present {
            return Ok(None);
        }
        let raised_on = reader.day(WHAT, base)?;
        let baseline_on = reader.day(WHAT, base)?;
        let since = reader.day(WHAT, base)?;
        let driver = usize::try_from(reader.varint(WHAT)?).ok();
        let driver = driver.and_then(|driver| Driver::ALL.get(driver));
        let driver = *driver.ok_or(DecodeError::Broken(WHAT))?;
        Ok(Some(Latch { raised_on, baseline_on, since, driver }))
    };
    path.latches = Latches {
        lapse: latch(has_lapse)?,
        orders: latch(has_orders)?,
        basket: latch(has_basket)?,
        usage: None,
    };
    path.recovered_on = if has_recovered { Some(reader.day(WHAT, base)?) } else { None };
    if has_usage {
        let raised_on = reader.day(WHAT, base)?;
        let usual_thousandths = reader.varint(WHAT)?;
        if usual_thousandths == 0 {
            return Err(DecodeError::Broken(WHAT));
        }
        path.latches.usage = Some(UsageLatch { raised_on, usual_thousandths });
    }
    latched(path).map(|_| ()).ok_or(DecodeError::Broken(WHAT))
}

/// The path state, if any signal was raised.
pub(super) fn signalled(path: &Path) -> Option<&Path> {
    SignalKind::ALL.iter().any(|kind| path.last_signal.get(*kind).is_some()).then_some(path)
}

pub(super) fn put_signals(bytes: &mut Vec<u8>, path: &Path, base: Day) {
    let days = SignalKind::ALL.map(|kind| path.last_signal.get(kind));
    put_varint(bytes, mask(&days.map(|day| day.is_some())));
    for day in days.into_iter().flatten() {
        put_day(bytes, day, base);
    }
}

pub(super) fn read_signals(reader: &mut Reader<'_>, path: &mut Path, base: Day) -> Result<()> {
    const WHAT: &str = "last signals";
    let raised: [bool; SignalKind::ALL.len()] = read_mask(reader, WHAT)?;
    for (kind, _) in SignalKind::ALL.into_iter().zip(raised).filter(|(_, is_raised)| *is_raised) {
        path.last_signal.set(kind, reader.day(WHAT, base)?);
    }
    signalled(path).map(|_| ()).ok_or(DecodeError::Broken(WHAT))
}

/// Fingerprints are evenly spread numbers, so they are written whole.
pub(super) fn put_recent(bytes: &mut Vec<u8>, recent: &[u64]) {
    put_varint(bytes, recent.len() as u64);
    for fingerprint in recent {
        bytes.extend_from_slice(&fingerprint.to_le_bytes());
    }
}

pub(super) fn read_recent(reader: &mut Reader<'_>) -> Result<Vec<u64>> {
    const WHAT: &str = "recent events";
    let n_events = reader.count(8, WHAT)?;
    let mut recent = Vec::with_capacity(n_events + 1);
    for _ in 0..n_events {
        recent.push(u64::from_le_bytes(reader.array(WHAT)?));
    }
    Ok(recent)
}

fn mask(bits: &[bool]) -> u64 {
    bits.iter().rev().fold(0, |mask, bit| mask << 1 | u64::from(*bit))
}

fn read_mask<const N: usize>(reader: &mut Reader<'_>, what: &'static str) -> Result<[bool; N]> {
    let mask = reader.varint(what)?;
    if mask >> N == 0 {
        Ok(std::array::from_fn(|i| mask >> i & 1 == 1))
    } else {
        Err(DecodeError::Broken(what))
    }
}

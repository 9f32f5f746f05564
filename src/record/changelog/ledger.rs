//! The day ledger as bytes: each day as the gap behind the one before, a flag for several orders,
//! and its net. Called by `record::changelog` only.

use super::DecodeError;
use super::wire::{Reader, Result, day_after, put_money, put_varint, unzigzag, zigzag};
use crate::calendar::Day;
use crate::customer::{DAYS_KEPT_MAX, DayEntry, Folded, Ledger};

pub(super) fn put_folded(bytes: &mut Vec<u8>, folded: Folded) {
    let first_day = i64::from(folded.first_day.0);
    put_varint(bytes, zigzag(first_day));
    put_varint(bytes, (i64::from(folded.last_day.0) - first_day).cast_unsigned());
    put_varint(bytes, u64::from(folded.n_days).saturating_sub(1));
    put_varint(bytes, folded.n_orders.saturating_sub(folded.n_days.into()));
    put_money(bytes, folded.first_net_minor);
    put_money(bytes, folded.net_minor - folded.first_net_minor);
}

pub(super) fn read_folded(reader: &mut Reader<'_>) -> Result<Folded> {
    const WHAT: &str = "folded days";
    let broken = || DecodeError::Broken(WHAT);
    let first_day = reader.day(WHAT, Day(0))?;
    let span_days = i64::try_from(reader.varint(WHAT)?).map_err(|_| broken())?;
    let last_day = day_after(first_day, span_days).ok_or_else(broken)?;
    let n_days = reader.u32(WHAT)?.checked_add(1).ok_or_else(broken)?;
    let n_orders = reader.varint(WHAT)?.checked_add(n_days.into()).ok_or_else(broken)?;
    let first_net_minor = reader.money(WHAT)?;
    let net_minor = first_net_minor + reader.money(WHAT)?;
    Ok(Folded { first_day, last_day, n_days, n_orders, net_minor, first_net_minor })
}

pub(super) fn put_days(bytes: &mut Vec<u8>, ledger: &Ledger) {
    put_varint(bytes, ledger.days.len() as u64);
    let mut before = ledger.folded.map(|folded| folded.last_day);
    for &DayEntry { day, net_minor, n_orders } in &ledger.days {
        let gap = match before {
            None => zigzag(day.0.into()),
            Some(before) => (i64::from(day.0) - i64::from(before.0) - 1).cast_unsigned(),
        };
        put_varint(bytes, gap << 1 | u64::from(n_orders > 1));
        if n_orders > 1 {
            put_varint(bytes, u64::from(n_orders) - 2);
        }
        put_money(bytes, net_minor);
        before = Some(day);
    }
}

/// Reads the days behind the folded ones of `ledger`.
pub(super) fn read_days(reader: &mut Reader<'_>, ledger: &mut Ledger) -> Result<()> {
    const WHAT: &str = "ledger days";
    let broken = || DecodeError::Broken(WHAT);
    let n_days = reader.count(2, WHAT)?;
    if n_days > DAYS_KEPT_MAX {
        return Err(broken());
    }
    // With room for the day that the next event most likely brings.
    ledger.days.reserve_exact(n_days + 1);
    let mut before = ledger.folded.map(|folded| folded.last_day);
    for _ in 0..n_days {
        let head = reader.varint(WHAT)?;
        let day = match before {
            None => day_after(Day(0), unzigzag(head >> 1)),
            // One bit has been shifted out, so that one more fits a `u64`, and no more than that.
            Some(before) => {
                i64::try_from((head >> 1) + 1).ok().and_then(|gap| day_after(before, gap))
            }
        };
        let day = day.ok_or_else(broken)?;
        let is_several = head & 1 == 1;
        let n_orders =
            if is_several { reader.u32(WHAT)?.checked_add(2).ok_or_else(broken)? } else { 1 };
        ledger.days.push(DayEntry { day, net_minor: reader.money(WHAT)?, n_orders });
        before = Some(day);
    }
    Ok(())
}

//! Open orders as bytes, sorted as they are kept: each day as the gap behind the one before,
//! fingerprint, and what is known of the order. Called by `record::changelog` only.

use rust_decimal::Decimal;

use super::DecodeError;
use super::wire::{
    Reader, Result, day_after, put_event_id, put_instant, put_money, put_varint, unzigzag, zigzag,
};
use crate::calendar::Day;
use crate::customer::{Completion, Fact, Foreign, OPEN_ORDERS_MAX, Order, Refund, What};
use crate::money::Currency;

/// Bits of an order's first number, beside the gap.
const COMPLETED: u64 = 1;
const FOREIGN: u64 = 1 << 1;
const FACTS: u64 = 1 << 2;
const ORDER_BITS: u32 = 3;
/// Kinds of fact, in the low bits of a fact's first number.
const CANCELLED: u64 = 0;
const REFUNDED: u64 = 1;
const REFUNDED_FOREIGN: u64 = 2;
const FACT_BITS: u32 = 2;

pub(super) fn put_orders(bytes: &mut Vec<u8>, orders: &[Order], latest_day: Day) {
    put_varint(bytes, orders.len() as u64);
    let mut before = None;
    for order in orders {
        // The first day counts back from the latest, the others on from the one before.
        let gap = before.map_or(latest_day.0.abs_diff(order.day.0), |before: Day| {
            order.day.0.abs_diff(before.0)
        });
        let foreign = order.completion.as_ref().and_then(|completion| completion.foreign);
        let mut head = u64::from(gap) << ORDER_BITS;
        head |= if order.completion.is_some() { COMPLETED } else { 0 };
        head |= if foreign.is_some() { FOREIGN } else { 0 };
        head |= if order.facts.is_empty() { 0 } else { FACTS };
        put_varint(bytes, head);
        bytes.extend_from_slice(&order.fingerprint.to_le_bytes());
        if let Some(completion) = &order.completion {
            put_instant(bytes, completion.at_ms, order.day);
            put_event_id(bytes, &completion.event_id);
            put_money(bytes, completion.amount_minor);
        }
        if let Some(foreign) = foreign {
            bytes.extend_from_slice(foreign.currency.code().as_bytes());
            put_money(bytes, foreign.amount_minor);
            bytes.push(foreign.rate.scale().to_le_bytes()[0]);
            put_money(bytes, foreign.rate.mantissa());
        }
        if !order.facts.is_empty() {
            put_facts(bytes, &order.facts, order.day);
        }
        before = Some(order.day);
    }
}

pub(super) fn read_orders(reader: &mut Reader<'_>, latest_day: Option<Day>) -> Result<Vec<Order>> {
    const WHAT: &str = "orders";
    let broken = || DecodeError::Broken(WHAT);
    let n_orders = reader.count(9, WHAT)?;
    if n_orders > OPEN_ORDERS_MAX {
        return Err(broken());
    }
    // With room for the order that the next event most likely brings.
    let mut orders: Vec<Order> = Vec::with_capacity(n_orders + 1);
    for _ in 0..n_orders {
        let head = reader.varint(WHAT)?;
        let gap = (head >> ORDER_BITS).cast_signed();
        let latest_day = latest_day.ok_or_else(broken)?;
        let day = match orders.last() {
            None => day_after(latest_day, -gap),
            Some(before) => day_after(before.day, gap),
        };
        let day = day.filter(|day| *day <= latest_day).ok_or_else(broken)?;
        let fingerprint = u64::from_le_bytes(reader.array(WHAT)?);
        if orders.last().is_some_and(|before| before.key() >= (day, fingerprint)) {
            return Err(broken());
        }
        let completion = match (head & COMPLETED != 0, head & FOREIGN != 0) {
            (true, is_foreign) => Some(read_completion(reader, day, is_foreign)?),
            (false, false) => None,
            (false, true) => return Err(broken()),
        };
        let facts = if head & FACTS == 0 { Vec::new() } else { read_facts(reader, day)? };
        let is_of_its_day = |fact: &Fact| fact.day == day;
        if completion.is_none() && (facts.is_empty() || !facts.iter().all(is_of_its_day)) {
            return Err(broken());
        }
        orders.push(Order { fingerprint, day, completion, facts });
    }
    Ok(orders)
}

fn read_completion(reader: &mut Reader<'_>, day: Day, is_foreign: bool) -> Result<Completion> {
    let at_ms = reader.instant("completion", day)?;
    let event_id = reader.event_id("event id")?;
    let amount_minor = reader.money("amount")?;
    let foreign = if is_foreign { Some(read_foreign(reader)?) } else { None };
    Ok(Completion { at_ms, event_id, amount_minor, foreign })
}

fn read_foreign(reader: &mut Reader<'_>) -> Result<Foreign> {
    const WHAT: &str = "foreign amount";
    let currency = read_currency(reader)?;
    let amount_minor = reader.money(WHAT)?;
    let scale = u32::from(reader.byte(WHAT)?);
    let rate = Decimal::try_from_i128_with_scale(reader.money(WHAT)?, scale).ok();
    let rate = rate.filter(|rate| rate.normalize().scale() == scale);
    Ok(Foreign { currency, amount_minor, rate: rate.ok_or(DecodeError::Broken(WHAT))? })
}

fn read_currency(reader: &mut Reader<'_>) -> Result<Currency> {
    let code: [u8; 3] = reader.array("currency")?;
    let currency = str::from_utf8(&code).ok().and_then(Currency::parse);
    currency.ok_or(DecodeError::Broken("currency"))
}

fn put_facts(bytes: &mut Vec<u8>, facts: &[Fact], order_day: Day) {
    put_varint(bytes, facts.len() as u64);
    let mut before = order_day;
    for fact in facts {
        let gap = zigzag(i64::from(fact.day.0) - i64::from(before.0)) << FACT_BITS;
        match fact.what {
            What::Cancelled => put_varint(bytes, gap | CANCELLED),
            What::Refunded(Refund { currency: None, converted_minor, .. }) => {
                put_varint(bytes, gap | REFUNDED);
                put_money(bytes, converted_minor);
            }
            What::Refunded(Refund {
                currency: Some(currency),
                original_minor,
                converted_minor,
            }) => {
                put_varint(bytes, gap | REFUNDED_FOREIGN);
                bytes.extend_from_slice(currency.code().as_bytes());
                put_money(bytes, original_minor);
                put_money(bytes, converted_minor);
            }
        }
        before = fact.day;
    }
}

fn read_facts(reader: &mut Reader<'_>, order_day: Day) -> Result<Vec<Fact>> {
    const WHAT: &str = "refunds and cancels";
    let broken = || DecodeError::Broken(WHAT);
    let n_facts = reader.count(1, WHAT)?;
    let mut facts: Vec<Fact> = Vec::with_capacity(n_facts);
    for _ in 0..n_facts {
        let head = reader.varint(WHAT)?;
        let before = facts.last().map_or(order_day, |fact| fact.day);
        let day = day_after(before, unzigzag(head >> FACT_BITS)).ok_or_else(broken)?;
        let what = match head & ((1 << FACT_BITS) - 1) {
            CANCELLED => What::Cancelled,
            REFUNDED => {
                let minor = reader.money(WHAT)?;
                let currency = None;
                What::Refunded(Refund { currency, original_minor: minor, converted_minor: minor })
            }
            REFUNDED_FOREIGN => What::Refunded(Refund {
                currency: Some(read_currency(reader)?),
                original_minor: reader.money(WHAT)?,
                converted_minor: reader.money(WHAT)?,
            }),
            _ => return Err(broken()),
        };
        let fact = Fact { day, what };
        if facts.last().is_some_and(|before| before.key() >= fact.key()) {
            return Err(broken());
        }
        facts.push(fact);
    }
    if facts.is_empty() { Err(broken()) } else { Ok(facts) }
}

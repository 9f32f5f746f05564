//! Histories as tables: one event a line, and what the customer's books say after all of them.

use super::*;
use crate::money::{Currency, Rates};

const WINDOWS: Windows =
    Windows { refund_days: 180, lateness_days: 30, dedup_events: 64, erasure_memory_days: 365 };

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn intake() -> Intake {
    let rates = [(currency("EUR"), Decimal::new(10833, 4))].into();
    Intake { currency: currency("USD"), rates: Rates(rates), future_skew_max_ms: None }
}

/// Reads `day kind [order] [minor[currency]] [#event id]`, as in `3 refund o1 250EUR #e7`.
fn event(line: &str) -> Event {
    let words: Vec<&str> = line.split_whitespace().collect();
    let order_id = words[2..].iter().find(|word| word.starts_with('o')).map(|word| (*word).into());
    let event_id = words[2..].iter().find_map(|word| word.strip_prefix('#')).map(Into::into);
    let amount = words[2..].iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let amount = amount.map(|word| {
        let split = word.find(|c: char| c.is_ascii_uppercase()).unwrap_or(word.len());
        let (minor, code) = word.split_at(split);
        let currency = currency(if code.is_empty() { "USD" } else { code });
        Amount { minor: minor.parse().unwrap(), currency }
    });
    let body = match words[1] {
        "order" => Body::OrderCompleted(amount.unwrap()),
        "refund" => Body::OrderRefunded(amount.unwrap()),
        "cancel" => Body::OrderCancelled,
        "cart" => Body::CartAbandoned,
        "support" => Body::SupportContacted,
        "cost" => Body::AcquisitionRecorded(amount.unwrap()),
        "erase" => Body::CustomerErased,
        other => panic!("`{other}` is no event"),
    };
    let occurred_at_ms = words[0].parse::<i64>().unwrap() * 86_400_000;
    Event { customer_id: "c".into(), occurred_at_ms, event_id, order_id, channel: None, body }
}

fn customer(history: &str, windows: &Windows) -> Customer {
    let mut customer = Customer::default();
    for (i, line) in (0..).zip(history.split(',')) {
        customer.apply(&event(line), i, &intake(), &Calendar::utc(), windows);
    }
    customer
}

/// The books: `orders gross refunded unmatched | day:net*orders …`.
fn books(customer: &Customer) -> String {
    let Totals { n_orders, gross_minor, refunded_minor, unmatched_minor } = customer.totals;
    let day = |entry: &DayEntry| format!(" {}:{}*{}", entry.day.0, entry.net_minor, entry.n_orders);
    let days: String = customer.ledger.days().iter().map(day).collect();
    format!("{n_orders} {gross_minor} {refunded_minor} {unmatched_minor} |{days}")
}

fn check(history: &str, expect: &str) {
    assert_eq!(books(&customer(history, &WINDOWS)), expect, "{history}");
}

#[test]
fn orders_add_up_by_day() {
    check("5 order o1 100, 5 order o2 50, 3 order o3 7", "3 157 0 0 | 3:7*1 5:150*2");
    check("5 order 100, 5 order 50", "2 150 0 0 | 5:150*2");
    check("5 order o1 0", "1 0 0 0 | 5:0*1");
}

#[test]
fn an_edit_takes_the_latest_amount_and_the_earliest_day() {
    check("5 order o1 100, 7 order o1 80", "1 80 0 0 | 5:80*1");
    check("7 order o1 80, 5 order o1 100", "1 80 0 0 | 5:80*1");
    check("5 order o1 100 #9, 5 order o1 70 #10", "1 100 0 0 | 5:100*1");
    check("5 order o1 70 #10, 5 order o1 100 #9", "1 100 0 0 | 5:100*1");
    check("5 order o1 100, 185 order o1 80", "1 80 0 0 | 5:80*1");
    check("5 order o1 100, 186 order o1 80", "2 180 0 0 | 5:100*1 186:80*1");
}

#[test]
fn a_refund_counts_on_the_day_of_its_order_up_to_its_amount() {
    check("5 order o1 100, 9 refund o1 30", "1 100 30 0 | 5:70*1");
    check("5 order o1 100, 9 refund o1 30, 9 refund o1 70", "1 100 100 0 |");
    check("5 order o1 100, 9 refund o1 130", "1 100 100 30 |");
    check("5 order o1 0, 9 refund o1 1", "1 0 0 1 | 5:0*1");
    check("5 order o1 100, 9 refund o1 80, 10 order o1 50", "1 50 50 30 |");
    check("5 order o1 100, 9 refund o1 100, 10 order o1 150", "1 150 100 0 | 5:50*1");
}

#[test]
fn a_refund_without_its_order_is_unmatched_until_the_order_comes() {
    check("5 refund o1 30", "0 0 0 30 |");
    check("5 refund o1 30, 8 order o1 100", "1 100 30 0 | 8:70*1");
    check("5 refund 30, 8 order 100", "1 100 0 30 | 8:100*1");
    check("5 order o1 100, 185 refund o1 30", "1 100 30 0 | 5:70*1");
    check("5 order o1 100, 186 refund o1 30", "1 100 0 30 | 5:100*1");
    check("5 refund o1 30, 185 order o1 100", "1 100 30 0 | 185:70*1");
    check("5 refund o1 30, 186 order o1 100", "1 100 0 30 | 186:100*1");
}

#[test]
fn a_cancel_takes_everything_of_its_order_back() {
    check("5 order o1 100, 9 cancel o1", "0 0 0 0 |");
    check("9 cancel o1, 5 order o1 100", "0 0 0 0 |");
    check("5 order o1 100, 6 refund o1 130, 9 cancel o1", "0 0 0 0 |");
    check("5 order o1 100, 9 cancel o1, 9 cancel o1, 10 order o1 70", "0 0 0 0 |");
    check("5 order o1 100, 9 cancel", "1 100 0 0 | 5:100*1");
    check("9 cancel o1, 9 refund o1 30", "0 0 0 30 |");
    check("5 order o1 100, 186 cancel o1", "1 100 0 0 | 5:100*1");
}

#[test]
fn a_full_refund_in_the_order_s_currency_nets_to_nothing_in_any_parts() {
    check("5 order o1 1000EUR", "1 1083 0 0 | 5:1083*1");
    check("5 order o1 1000EUR, 6 refund o1 1000EUR", "1 1083 1083 0 |");
    let parts = "5 order o1 1000EUR, 6 refund o1 333EUR, 7 refund o1 333EUR, 7 refund o1 334EUR";
    check(parts, "1 1083 1083 0 |");
    check("5 order o1 1000EUR, 6 refund o1 83", "1 1083 83 0 | 5:1000*1");
    check("5 order o1 2000, 6 refund o1 1000EUR", "1 2000 1083 0 | 5:917*1");
}

#[test]
fn a_refund_keeps_the_rate_of_its_order() {
    let mut customer = customer("5 order o1 1000EUR", &WINDOWS);
    let mut intake = intake();
    intake.rates = Rates([(currency("EUR"), Decimal::new(2, 0))].into());
    customer.apply(&event("6 refund o1 500EUR"), 77, &intake, &Calendar::utc(), &WINDOWS);
    assert_eq!(books(&customer), "1 1083 542 0 | 5:541*1");
}

#[test]
fn orders_close_behind_the_latest_day_of_any_event() {
    let n_open = |history| customer(history, &WINDOWS).orders.0.len();
    assert_eq!(n_open("5 order o1 100, 6 refund o2 1, 215 cart"), 2);
    assert_eq!(n_open("5 order o1 100, 6 refund o2 1, 216 cart"), 1);
    assert_eq!(n_open("5 order o1 100, 6 refund o2 1, 217 support"), 0);
    assert_eq!(n_open("217 cost 5, 5 order o1 100"), 0);
    assert_eq!(n_open("5 order 100, 5 refund 100, 5 cancel"), 0);
    check("5 order o1 100, 216 cart, 9 refund o1 30", "1 100 0 30 | 5:100*1");
}

#[test]
fn only_the_newest_orders_stay_open() {
    let history: Vec<String> = (0..300).map(|i| format!("{} order o{i} 10", i / 2)).collect();
    let customer = customer(&history.join(","), &WINDOWS);
    assert_eq!(customer.orders.0.len(), OPEN_ORDERS_MAX);
    assert_eq!(customer.orders.0[0].day, Day(22));
    assert_eq!(customer.totals.n_orders, 300);
}

#[test]
fn many_refunds_of_an_order_become_fewer_and_lose_nothing() {
    let refund = |day| format!("{day} refund o1 {}", if day % 2 == 0 { "3" } else { "3EUR" });
    let refunds: Vec<String> = (6..106).map(refund).collect();
    let history = format!("5 order o1 1000, {}", refunds.join(","));
    check(&history, "1 1000 300 0 | 5:700*1");
    assert_eq!(customer(&history, &WINDOWS).orders.0[0].facts.len(), 64);
}

#[test]
fn a_redelivery_changes_nothing_while_it_is_remembered() {
    let windows = Windows { dedup_events: 2, ..WINDOWS };
    let mut customer = Customer::default();
    let mut apply = |line, fingerprint| {
        let applied =
            customer.apply(&event(line), fingerprint, &intake(), &Calendar::utc(), &windows);
        (applied, customer.totals.gross_minor)
    };
    assert_eq!(apply("5 order 100", 1), (Applied::Changed, 100));
    assert_eq!(apply("5 order 100", 1), (Applied::Duplicate, 100));
    assert_eq!(apply("400 order 100", 2), (Applied::Changed, 200));
    assert_eq!(apply("5 order 100", 1), (Applied::Duplicate, 200));
    assert_eq!(apply("5 order 100", 3), (Applied::Changed, 300));
    assert_eq!(apply("5 order 100", 1), (Applied::Changed, 400));
}

#[test]
fn an_erasure_is_left_to_the_caller() {
    let before = customer("5 order o1 100", &WINDOWS);
    let mut after = before.clone();
    let applied = after.apply(&event("6 erase"), 9, &intake(), &Calendar::utc(), &WINDOWS);
    assert_eq!((applied, after), (Applied::Erased, before));
}

#[test]
fn what_is_no_order_is_counted() {
    let counters = customer("5 cart, 6 cart, 7 support, 8 cost 100EUR", &WINDOWS).counters;
    assert_eq!((counters.n_carts_abandoned, counters.n_support_contacts), (2, 1));
    assert_eq!(counters.acquisition_cost_minor, 108);
}

//! The shop against what it was asked for, counted from its records alone.

use std::collections::{BTreeMap, BTreeSet};

use super::shop::*;
use crate::calendar::Day;
use crate::event::{Body, Envelope, Event, Intake, Reason, decode};
use crate::money::{Currency, Rates};

const END_MS: i64 = 1_714_545_000_000;
const WEEK_MS: f64 = 604_800_000.0;
const DAY_MS: i64 = 86_400_000;

fn settings(seed: u64, n_customers: u32) -> Settings {
    let currency = Currency::parse("USD").unwrap();
    Settings { n_customers, ..Settings::new(seed, END_MS, currency) }
}

/// What a shop has sent: each event once, in order of arrival, with its time of arrival.
#[derive(Default)]
struct Sent {
    events: Vec<(Event, i64)>,
    n_records: usize,
    n_again: usize,
    refused: BTreeMap<Reason, usize>,
    books_minor: i64,
}

fn sent(shop: &Shop) -> Sent {
    let currency = Currency::parse("USD").unwrap();
    let future_skew_max_ms = Some(300_000);
    let intake = Intake { currency, rates: Rates::default(), future_skew_max_ms };
    let mut sent = Sent::default();
    let mut ids = BTreeSet::new();
    for record in shop.records() {
        sent.n_records += 1;
        sent.books_minor += record.books_minor;
        let (payload, key) = (Some(&record.payload[..]), Some(&record.key[..]));
        let timestamp_ms = Some(record.timestamp_ms);
        match decode(Envelope { payload, key, timestamp_ms }, &intake) {
            Err(rejection) => *sent.refused.entry(rejection.reason).or_default() += 1,
            Ok(event) if ids.insert(event.event_id.clone()) => {
                sent.events.push((event, record.timestamp_ms));
            }
            Ok(_) => sent.n_again += 1,
        }
    }
    sent
}

/// The orders of each customer as (occurred at, first amount), without edits.
fn orders(sent: &Sent) -> BTreeMap<&str, Vec<(i64, i64)>> {
    let mut ids = BTreeMap::new();
    for (event, _) in &sent.events {
        if let Body::OrderCompleted(amount) = event.body {
            let order = (event.occurred_at_ms, amount.minor);
            let known = ids.entry(event.order_id.as_deref().unwrap()).or_insert((event, order));
            known.1 = known.1.min(order);
        }
    }
    let mut orders: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
    for (event, order) in ids.into_values() {
        orders.entry(&event.customer_id).or_default().push(order);
    }
    for orders in orders.values_mut() {
        orders.sort_unstable();
    }
    orders
}

fn close(what: &str, got: f64, expect: f64) {
    assert!((got / expect - 1.0).abs() < 0.05, "{what}: {got} is not within 5 % of {expect}");
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap())
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

fn float(n: i64) -> f64 {
    f64::from(u32::try_from(n / 1000).unwrap()) * 1000.0
}

#[test]
fn the_same_seed_gives_the_same_records_and_truth() {
    let shops = [1, 1, 2].map(|seed| Shop::open(&settings(seed, 60)));
    let [first, again, other] = shops.each_ref().map(|shop| shop.records().collect::<Vec<_>>());
    assert!(first == again);
    assert!(first != other);
    assert_eq!(shops[0].truth(), shops[1].truth());
    assert_ne!(shops[0].truth(), shops[2].truth());
    assert_eq!(shops[0].n_records(), first.len());
}

#[test]
fn records_come_in_order_of_arrival_and_few_are_late() {
    let shop = Shop::open(&settings(3, 300));
    let start_ms = settings(3, 300).start_ms();
    let mut last_ms = start_ms;
    for record in shop.records() {
        assert!((last_ms..=END_MS).contains(&record.timestamp_ms), "{record:?}");
        last_ms = record.timestamp_ms;
    }
    let sent = sent(&shop);
    let mut n_late = 0;
    for (event, arrives_ms) in &sent.events {
        let late_ms = arrives_ms - event.occurred_at_ms;
        assert!((0..30 * DAY_MS).contains(&late_ms), "{event:?} comes {late_ms} ms late");
        n_late += usize::from(late_ms > 3_600_000);
    }
    let share = count(n_late) / count(sent.events.len());
    assert!((0.02..0.04).contains(&share), "{share} of the events are late");
}

#[test]
fn loyal_customers_buy_as_often_and_as_much_as_asked() {
    let shop = Shop::open(&settings(4, 2_500));
    let sent = sent(&shop);
    let orders = orders(&sent);
    let (mut n_orders, mut weeks, mut baskets, mut variations) = (0, 0.0, Vec::new(), Vec::new());
    for loyal in &shop.truth().loyal {
        let Some(orders) = orders.get(&*loyal.customer_id) else { continue };
        n_orders += orders.len() - 1;
        weeks += float(END_MS - orders[0].0) / WEEK_MS;
        if orders.len() >= 40 {
            let amounts: Vec<f64> = orders.iter().map(|order| float(order.1 * 1000)).collect();
            let basket = mean(&amounts);
            let squares: Vec<f64> =
                amounts.iter().map(|amount| (amount / basket - 1.0).powi(2)).collect();
            baskets.push(basket / 100_000.0);
            variations.push(mean(&squares));
        }
    }
    close("orders a week", count(n_orders) / weeks, 0.5);
    close("coefficient of variation", mean(&variations).sqrt(), 0.6);
    baskets.sort_by(f64::total_cmp);
    close("median basket", baskets[baskets.len() / 2], 40.0);
    let logs: Vec<f64> = baskets.iter().map(|basket| (basket / 40.0).ln().powi(2)).collect();
    close("deviation of ln basket", mean(&logs).sqrt(), 0.5);
}

#[test]
fn one_in_ten_customers_has_each_change() {
    let shop = Shop::open(&settings(5, 600));
    let truth = shop.truth();
    for kind in Change::ALL {
        assert_eq!(truth.planted.iter().filter(|it| it.kind == kind).count(), 60);
    }
    assert_eq!(truth.loyal.len(), 420);
    assert!(truth.loyal.iter().any(|loyal| loyal.judged_from.is_none()));
    assert!(truth.planted.iter().any(|planted| planted.n_baseline_days < BASELINE_DAYS_MIN));
}

#[test]
fn planted_changes_begin_on_their_day() {
    let shop = Shop::open(&settings(6, 2_500));
    let sent = sent(&shop);
    let orders = orders(&sent);
    // By kind and side of the change: orders, as many at the customer's rate, what they brought,
    // and what they would have brought at the customer's mean before.
    let mut sides: BTreeMap<Change, [[f64; 4]; 2]> = BTreeMap::new();
    for planted in &shop.truth().planted {
        let Some(orders) = orders.get(&*planted.customer_id) else { continue };
        let changed_ms = i64::from(planted.changed_on.0) * DAY_MS;
        // The day of the change itself may hold orders of both kinds; the first is no wait.
        let (before, after): (Vec<_>, Vec<_>) = orders
            .iter()
            .skip(1)
            .filter(|(at_ms, _)| !(changed_ms..changed_ms + DAY_MS).contains(at_ms))
            .partition(|(at_ms, _)| *at_ms < changed_ms);
        let spans_ms = [changed_ms - orders[0].0, (END_MS - changed_ms - DAY_MS).max(0)];
        let sum = |orders: &[(i64, i64)]| orders.iter().map(|it| float(it.1 * 1000)).sum::<f64>();
        let basket = sum(&before) / count(before.len().max(1));
        for (side, orders) in [before, after].into_iter().enumerate() {
            let sums = &mut sides.entry(planted.kind).or_default()[side];
            sums[0] += count(orders.len());
            sums[1] += planted.orders_per_week * float(spans_ms[side]) / WEEK_MS;
            sums[2] += sum(&orders);
            sums[3] += basket * count(orders.len());
        }
    }
    assert_eq!(sides.len(), Change::ALL.len());
    for (kind, [before, after]) in sides {
        close("orders before", before[0] / before[1], 1.0);
        match kind {
            Change::Stops => assert_eq!(after[0].to_bits(), 0.0_f64.to_bits()),
            Change::OrdersHalved => close("orders after", after[0] / after[1], 0.5),
            Change::BasketsHalved => {
                close("orders after", after[0] / after[1], 1.0);
                close("baskets after", after[2] / after[3], 0.5);
            }
        }
    }
}

#[test]
fn baselines_are_counted_from_the_orders() {
    let shop = Shop::open(&settings(7, 300));
    let sent = sent(&shop);
    let orders = orders(&sent);
    let day = |at_ms: i64| Day(i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap());
    let days = |customer_id: &str| {
        let orders = orders.get(customer_id).map_or(&[][..], |orders| orders);
        orders.iter().map(|order| day(order.0)).collect::<BTreeSet<Day>>()
    };
    let truth = shop.truth();
    // Orders that are undone in full are no purchases, so that some baselines hold less.
    let mut n_equal = 0;
    for planted in &truth.planted {
        let until = planted.changed_on.plus(-BASELINE_LAG_DAYS);
        let n_days = days(&planted.customer_id).range(..=until).count();
        assert!(planted.n_baseline_days <= n_days, "{planted:?}");
        n_equal += usize::from(planted.n_baseline_days == n_days);
    }
    assert!(n_equal > truth.planted.len() / 2, "{n_equal}");
    n_equal = 0;
    for loyal in &truth.loyal {
        let third = days(&loyal.customer_id).into_iter().nth(BASELINE_DAYS_MIN - 1);
        let judged_from = third.map(|day| day.plus(BASELINE_LAG_DAYS));
        assert!(loyal.judged_from.is_none() || loyal.judged_from >= judged_from, "{loyal:?}");
        n_equal += usize::from(loyal.judged_from == judged_from);
    }
    assert!(n_equal > truth.loyal.len() * 3 / 4, "{n_equal}");
}

#[test]
fn the_stream_holds_what_streams_hold() {
    let shop = Shop::open(&settings(8, 1_200));
    let sent = sent(&shop);
    let mut n_by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order_arrives: BTreeMap<&str, i64> = BTreeMap::new();
    for (event, arrives_ms) in &sent.events {
        *n_by_kind.entry(event.kind().as_str()).or_default() += 1;
        if let (Body::OrderCompleted(_), Some(id)) = (event.body, &event.order_id) {
            order_arrives.entry(id).or_insert(*arrives_ms);
        }
    }
    let (mut n_early, mut n_refunds) = (0, 0);
    for (event, arrives_ms) in &sent.events {
        if let (Body::OrderRefunded(_), Some(id)) = (event.body, &event.order_id) {
            n_refunds += 1;
            let order_arrives_ms = order_arrives.get(&**id).copied();
            n_early += usize::from(order_arrives_ms.is_none_or(|at_ms| at_ms > *arrives_ms));
        }
    }
    let n_orders = count(order_arrives.len());
    close("refunds of orders", count(n_refunds) / n_orders, 0.06);
    assert!((0.02..0.06).contains(&(count(n_early) / count(n_refunds))), "{n_early}");
    close("carts to orders", count(n_by_kind["cart.abandoned"]) / n_orders, 0.4);
    close("records sent again", count(sent.n_again) / count(sent.events.len()), 0.02);
    assert_eq!(sent.refused.len(), Reason::ALL.len() - 1, "all but too_large: {:?}", sent.refused);
    let n_refused: usize = sent.refused.values().sum();
    close("refused records to orders", count(n_refused) / n_orders, 0.004);
    assert_eq!(n_by_kind.len(), 7, "all types but erasures: {n_by_kind:?}");
    assert_eq!(sent.n_records, sent.events.len() + sent.n_again + n_refused);
}

/// The books against a recount by order: the last amount, less what went back, nothing if called
/// off.
#[test]
fn the_books_are_the_net_of_all_orders() {
    let shop = Shop::open(&settings(9, 400));
    let sent = sent(&shop);
    let mut books: BTreeMap<&str, (i64, i64, bool, i64)> = BTreeMap::new();
    for (event, _) in &sent.events {
        let Some(id) = event.order_id.as_deref() else { continue };
        let order = books.entry(id).or_default();
        match event.body {
            Body::OrderCompleted(amount) if event.occurred_at_ms > order.3 => {
                (order.0, order.3) = (amount.minor, event.occurred_at_ms);
            }
            Body::OrderRefunded(amount) => order.1 += amount.minor,
            Body::OrderCancelled => order.2 = true,
            Body::OrderCompleted(_)
            | Body::CartAbandoned
            | Body::UsageRecorded { .. }
            | Body::SupportContacted
            | Body::AcquisitionRecorded(_)
            | Body::CustomerErased => {}
        }
    }
    let net: i64 = books
        .values()
        .map(|(gross, refunded, cancelled, _)| if *cancelled { 0 } else { gross - refunded })
        .sum();
    assert_eq!(sent.books_minor, net);
}

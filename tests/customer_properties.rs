//! Order of arrival, redelivery and batching do not matter to a customer's state, and the state is
//! what a naive recount of the whole history says. `LIFETIDE_PROPERTY_CASES` runs more histories.

#![expect(clippy::unwrap_used, reason = "a test file; the lint spares marked functions only")]

use std::collections::{BTreeMap, BTreeSet};

use lifetide::calendar::{Calendar, Day};
use lifetide::customer::{Applied, Customer, Path, Windows};
use lifetide::event::{Body, Event, Intake};
use lifetide::money::{Amount, Currency, Rates, convert};
use lifetide::record::changelog::{decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use rust_decimal::Decimal;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const N_EVENTS_MAX: usize = 40;

/// An event with the freedom the windows leave it: how many days late it comes, where it comes
/// among those of its day of arrival, and after how many others it is delivered again.
#[derive(Clone, Debug)]
struct Sent {
    event: Event,
    late_by: [i32; 2],
    among: [u16; 2],
    redelivered_after: Option<usize>,
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn intake() -> Intake {
    let rates = [("EUR", Decimal::new(108_330, 5)), ("JPY", Decimal::new(65, 4))];
    let rates = rates.map(|(code, rate)| (currency(code), rate));
    let (currency, rates) = (currency("USD"), Rates(BTreeMap::from(rates)));
    Intake { currency, rates, future_skew_max_ms: None }
}

fn amounts() -> impl Strategy<Value = Amount> {
    let minor = prop_oneof![Just(0), Just(1000), Just(500), Just(3), 1..3000i64];
    let code = prop_oneof![3 => Just("USD"), 1 => Just("EUR"), 1 => Just("JPY")];
    (minor, code).prop_map(|(minor, code)| Amount { minor, currency: currency(code) })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        6 => amounts().prop_map(Body::OrderCompleted),
        5 => amounts().prop_map(Body::OrderRefunded),
        1 => Just(Body::OrderCancelled),
        1 => (0..5000u64).prop_map(|thousandths| Body::UsageRecorded { thousandths }),
        1 => prop_oneof![
            Just(Body::CartAbandoned),
            Just(Body::SupportContacted),
            amounts().prop_map(Body::AcquisitionRecorded),
        ],
    ]
}

/// Days close to where a window ends, counted from a few anchors.
fn days(windows: Windows) -> impl Strategy<Value = i32> {
    let (refund, late) = (windows.refund_days, windows.lateness_days);
    let anchors = vec![0, late, refund, refund + late, 2 * refund, 2 * refund + late, 3 * refund];
    (prop::sample::select(anchors), -2..=2i32, 0..3i32)
        .prop_map(|(anchor, near, spread)| 10_000 + anchor + near * (spread + 1))
}

fn sent(windows: Windows) -> impl Strategy<Value = Sent> {
    let order_id = prop_oneof![
        1 => Just(None),
        9 => (0..3).prop_map(|i| Some(format!("o{i}").into_boxed_str())),
    ];
    let event_id = prop::sample::select(vec![None, Some("a"), Some("b"), Some("10")]);
    let late_by = prop::array::uniform2(0..=windows.lateness_days);
    let redelivered_after = proptest::option::weighted(0.3, 0..60usize);
    let event = (bodies(), days(windows), 0..4i64, order_id, event_id).prop_map(
        |(body, day, hour, order_id, event_id)| Event {
            customer_id: "c".into(),
            occurred_at_ms: i64::from(day) * DAY_MS + hour * HOUR_MS,
            event_id: event_id.map(Into::into),
            order_id: order_id.map(Into::into),
            channel: None,
            body,
        },
    );
    (event, late_by, any::<[u16; 2]>(), redelivered_after).prop_map(
        |(event, late_by, among, redelivered_after)| Sent {
            event,
            late_by,
            among,
            redelivered_after,
        },
    )
}

fn histories() -> impl Strategy<Value = (Windows, Vec<Sent>)> {
    let windows = [(180, 30), (180, 30), (10, 30), (7, 3), (0, 5), (40, 0)];
    let windows = windows.map(|(refund_days, lateness_days)| Windows {
        refund_days,
        lateness_days,
        dedup_events: 64,
        erasure_memory_days: 365,
    });
    prop::sample::select(windows.to_vec()).prop_flat_map(|windows| {
        vec(sent(windows), 1..N_EVENTS_MAX).prop_map(move |history| (windows, history))
    })
}

/// A permitted order of arrival, redeliveries included: none later than the windows allow.
fn arrivals(history: &[Sent], which: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..history.len()).collect();
    let calendar = Calendar::utc();
    order.sort_by_key(|&i| {
        let sent = &history[i];
        let day = calendar.day(sent.event.occurred_at_ms);
        (day.plus(sent.late_by[which]), sent.among[which], i)
    });
    let mut arrivals = order.clone();
    for i in order {
        if let Some(n_others) = history[i].redelivered_after {
            let first = arrivals.iter().position(|&k| k == i).unwrap();
            arrivals.insert((first + 1 + n_others).min(arrivals.len()), i);
        }
    }
    arrivals
}

fn arrive(windows: &Windows, history: &[Sent], order: &[usize], in_batches: bool) -> Customer {
    let (intake, calendar) = (intake(), Calendar::utc());
    let mut customer = Customer::default();
    let mut seen = BTreeSet::new();
    for &i in order {
        let event = &history[i].event;
        let applied = customer.apply(event, i as u64, &intake, &calendar, windows);
        let expect = if seen.insert(i) { Applied::Changed } else { Applied::Duplicate };
        assert_eq!(applied, expect);
        if in_batches {
            let bytes = encode(&customer);
            let back = decode(&bytes).unwrap();
            assert_eq!(back, customer);
            assert_eq!(encode(&back), bytes);
            customer = back;
        }
    }
    customer
}

fn without_path(customer: &Customer) -> Vec<u8> {
    let mut customer = customer.clone();
    customer.path = Path::default();
    encode(&customer)
}

/// What a history adds up to, recounted with plain maps from all its events at once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Recount {
    days: BTreeMap<Day, (i128, u32)>,
    n_orders: u64,
    gross_minor: i128,
    refunded_minor: i128,
    unmatched_minor: i128,
    n_carts: u64,
    n_contacts: u64,
    cost_minor: i128,
    usage: BTreeMap<i32, u64>,
}

struct Fact {
    day: i32,
    refund: Option<Amount>,
}

fn to_usd(minor: i128, from: Currency) -> i128 {
    let intake = intake();
    convert(minor, from, intake.currency, intake.rates.rate(from, intake.currency).unwrap())
}

fn recount(windows: &Windows, history: &[Sent]) -> Recount {
    let mut recount = Recount::default();
    let mut completions: BTreeMap<String, Vec<(i32, &Event, Amount)>> = BTreeMap::new();
    let mut facts: BTreeMap<String, Vec<Fact>> = BTreeMap::new();
    for (i, sent) in history.iter().enumerate() {
        let event = &sent.event;
        let day = i32::try_from(event.occurred_at_ms / DAY_MS).unwrap();
        let id = event.order_id.as_deref().map_or(format!("row {i}"), str::to_owned);
        match event.body {
            Body::OrderCompleted(amount) => {
                completions.entry(id).or_default().push((day, event, amount));
            }
            Body::OrderRefunded(amount) => {
                facts.entry(id).or_default().push(Fact { day, refund: Some(amount) });
            }
            Body::OrderCancelled => {
                facts.entry(id).or_default().push(Fact { day, refund: None });
            }
            Body::CartAbandoned => recount.n_carts += 1,
            Body::SupportContacted => recount.n_contacts += 1,
            Body::AcquisitionRecorded(Amount { minor, currency }) => {
                recount.cost_minor += to_usd(minor.into(), currency);
            }
            Body::UsageRecorded { thousandths } => {
                *recount.usage.entry(day.div_euclid(7)).or_default() += thousandths;
            }
            Body::CustomerErased => {}
        }
    }
    let last_week = recount.usage.keys().last().copied().unwrap_or_default();
    recount.usage.retain(|week, sum| *week > last_week - 16 && *sum > 0);
    for (id, mut completions) in completions {
        completions.sort_by_key(|(day, ..)| *day);
        let mut facts_of_id = facts.remove(&id).unwrap_or_default();
        while let Some(&(first, ..)) = completions.first() {
            let edits_until = first + windows.refund_days.max(windows.lateness_days);
            let n_edits = completions.partition_point(|(day, ..)| *day <= edits_until);
            let order: Vec<_> = completions.drain(..n_edits).collect();
            let (mine, others) = facts_of_id
                .into_iter()
                .partition(|fact| (fact.day - first).abs() <= windows.refund_days);
            facts_of_id = others;
            recount.count(first, &order, mine);
        }
        facts.insert(id, facts_of_id);
    }
    for refund in facts.into_values().flatten().filter_map(|fact| fact.refund) {
        recount.unmatched_minor += to_usd(refund.minor.into(), refund.currency);
    }
    recount
}

impl Recount {
    fn count(&mut self, day: i32, completions: &[(i32, &Event, Amount)], facts: Vec<Fact>) {
        if facts.iter().any(|fact| fact.refund.is_none()) {
            return;
        }
        let rank = |event: &Event, amount: Amount| {
            let is_foreign = amount.currency != currency("USD");
            let foreign = is_foreign.then_some(amount.currency);
            (event.occurred_at_ms, event.event_id.clone(), amount.minor, foreign)
        };
        let ranks = completions.iter().map(|(_, event, amount)| (rank(event, *amount), *amount));
        let (_, amount) = ranks.max().unwrap();
        let (mut own, mut back) = (0, 0);
        for refund in facts.into_iter().filter_map(|fact| fact.refund) {
            if refund.currency == amount.currency {
                own += i128::from(refund.minor);
            } else {
                back += to_usd(refund.minor.into(), refund.currency);
            }
        }
        back += to_usd(own, amount.currency);
        let gross = to_usd(amount.minor.into(), amount.currency);
        let refunded = back.min(gross);
        self.n_orders += 1;
        self.gross_minor += gross;
        self.refunded_minor += refunded;
        self.unmatched_minor += back - refunded;
        if refunded < gross || gross == 0 {
            let (net, n_orders) = self.days.entry(Day(day)).or_default();
            *net += gross - refunded;
            *n_orders += 1;
        }
    }
}

fn books(customer: &Customer) -> Recount {
    let Customer { ledger, totals, counters, .. } = customer;
    let weeks = counters.usage.latest_week();
    let weeks = weeks.into_iter().flat_map(|last| last - 15..=last);
    Recount {
        days: ledger.days().iter().map(|day| (day.day, (day.net_minor, day.n_orders))).collect(),
        n_orders: totals.n_orders,
        gross_minor: totals.gross_minor,
        refunded_minor: totals.refunded_minor,
        unmatched_minor: totals.unmatched_minor,
        n_carts: counters.n_carts_abandoned,
        n_contacts: counters.n_support_contacts,
        cost_minor: counters.acquisition_cost_minor,
        usage: weeks
            .map(|week| (week, counters.usage.in_week(week)))
            .filter(|(_, sum)| *sum > 0)
            .collect(),
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("LIFETIDE_PROPERTY_CASES").ok();
    let cases = cases.map_or(200, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_order_of_arrival_gives_the_same_bytes_and_the_recount(
        (windows, history) in histories(),
    ) {
        let in_time = arrive(&windows, &history, &arrivals(&history, 0), false);
        let otherwise = arrive(&windows, &history, &arrivals(&history, 1), true);
        prop_assert_eq!(without_path(&in_time), without_path(&otherwise));
        prop_assert_eq!(books(&in_time), recount(&windows, &history));
        let net = in_time.totals.gross_minor - in_time.totals.refunded_minor;
        prop_assert_eq!(in_time.ledger.net_minor(), net);
    }

    #[test]
    fn random_bytes_never_panic_and_what_is_read_is_written_back(
        mut bytes in vec(prop_oneof![3 => 0..4u8, 1 => any::<u8>()], 0..60),
    ) {
        bytes.insert(0, 1);
        if let Ok(customer) = decode(&bytes) {
            prop_assert_eq!(encode(&customer), bytes);
        }
    }

    /// Bytes near to true ones reach deeper; what is read must also bear further events.
    #[test]
    fn damaged_values_never_panic_and_what_is_read_is_written_back(
        (windows, history) in histories(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let half = history.len() / 2;
        let order: Vec<usize> = (0..half).collect();
        let mut bytes = encode(&arrive(&windows, &history, &order, false));
        for (index, byte) in damage {
            let i = index.index(bytes.len());
            bytes[i] = byte;
        }
        if let Ok(mut customer) = decode(&bytes) {
            prop_assert_eq!(encode(&customer), bytes);
            for (i, sent) in history[half..].iter().enumerate() {
                let fingerprint = (half + i) as u64;
                customer.apply(&sent.event, fingerprint, &intake(), &Calendar::utc(), &windows);
            }
            // Such a state is not written again: to encode a sum below zero is an assertion.
        }
    }
}

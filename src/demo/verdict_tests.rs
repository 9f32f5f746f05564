//! Hand-made truths and signals, and the text that comes of them.

use std::collections::BTreeMap;
use std::slice;

use expect_test::expect;

use super::shop::{Change, Loyal, Planted, Truth};
use super::verdict::*;
use crate::calendar::Day;
use crate::customer::{Driver, SignalKind};
use crate::money::Currency;

/// 2024-05-01.
const CHANGED_ON: Day = Day(19_844);
const AS_OF: Day = Day(19_844 + 200);

fn planted(customer_id: &str, kind: Change, n_baseline_days: usize) -> Planted {
    let changed_on = CHANGED_ON;
    let customer_id = customer_id.to_owned();
    Planted { customer_id, kind, changed_on, n_baseline_days, orders_per_week: 0.35 }
}

fn seen(customer_id: &str, kind: SignalKind, driver: Option<Driver>, day: i32) -> Seen {
    Seen {
        customer_id: customer_id.to_owned(),
        kind,
        driver,
        raised_on: CHANGED_ON.plus(day),
        value_at_risk: Some(f64::from(day.abs())),
        sentence: format!("the evidence about {customer_id}"),
    }
}

fn totals() -> Totals {
    Totals {
        n_events: 1_000,
        n_rejected: 7,
        n_customers: 3,
        net_minor: 1_234_567,
        books_minor: 1_234_567,
        currency: Currency::parse("USD").unwrap(),
    }
}

/// One planted customer `c`: found with a right reason, found with a wrong one, or missed and why.
fn check(planted: Planted, as_of: Day, signals: &[Seen], expect: &str) {
    let kind = planted.kind;
    let truth = Truth { planted: vec![planted], loyal: Vec::new() };
    let verdict = Verdict::new(&truth, signals, totals(), as_of);
    let fared = verdict.fared.iter().find(|fared| fared.kind == kind).unwrap();
    assert_eq!(fared.n_planted, 1);
    let got = match (fared.median_days(), fared.missed.first_key_value()) {
        (Some(days), None) => format!("{days} days, right {}", fared.n_reason_right == 1),
        (None, Some((reason, figures))) => format!("{reason:?} {figures:?}"),
        (None, None) => "not yet".to_owned(),
        (Some(_), Some(_)) => panic!("found and missed: {fared:?}"),
    };
    assert_eq!(got, expect, "{signals:?}");
}

#[test]
fn a_change_is_found_by_the_first_signal_after_it_that_fits() {
    use Driver::{Basket, Both, Frequency, Silence};
    use SignalKind::{Lapse, SpendDecline, UsageDecline};
    let cases = [
        (Change::Stops, SpendDecline, Some(Silence), "30 days, right true"),
        (Change::Stops, SpendDecline, Some(Frequency), "30 days, right true"),
        (Change::Stops, SpendDecline, Some(Basket), "30 days, right false"),
        (Change::Stops, Lapse, None, "30 days, right true"),
        (Change::Stops, UsageDecline, None, "UnderThreshold [10.0]"),
        (Change::OrdersHalved, SpendDecline, Some(Both), "30 days, right true"),
        (Change::OrdersHalved, SpendDecline, Some(Basket), "30 days, right false"),
        (Change::OrdersHalved, Lapse, None, "UnderThreshold [5.0]"),
        (Change::BasketsHalved, SpendDecline, Some(Basket), "30 days, right true"),
        (Change::BasketsHalved, SpendDecline, Some(Both), "30 days, right true"),
        (Change::BasketsHalved, SpendDecline, Some(Frequency), "30 days, right false"),
        (Change::BasketsHalved, Lapse, None, "UnderThreshold [10.0]"),
    ];
    for (change, kind, driver, expect) in cases {
        let signals = [seen("c", kind, driver, 30), seen("c", kind, driver, 40)];
        check(planted("c", change, 3), AS_OF, &signals, expect);
    }
    let other = [seen("d", SpendDecline, Some(Silence), 30)];
    check(planted("c", Change::Stops, 3), AS_OF, &other, "UnderThreshold [10.0]");
}

#[test]
fn a_missed_change_is_explained_by_the_first_reason_that_holds() {
    let up = seen("c", SignalKind::SpendDecline, Some(Driver::Basket), -9);
    let cleared = seen("c", SignalKind::Recovered, None, -4);
    let lapsed = seen("c", SignalKind::Lapse, None, -2);
    let stops = |n_baseline_days| planted("c", Change::Stops, n_baseline_days);
    let recent = CHANGED_ON.plus(RECENT_DAYS - 1);
    check(stops(2), recent, slice::from_ref(&up), "TooRare [2.0]");
    check(stops(3), recent, slice::from_ref(&up), "AlreadyUp [9.0]");
    check(stops(3), recent, &[up.clone(), lapsed], "AlreadyUp [9.0]");
    check(stops(3), recent, &[up, cleared], "TooRecent [90.0]");
    check(stops(3), recent, &[], "TooRecent [90.0]");
    check(stops(3), CHANGED_ON.plus(RECENT_DAYS), &[], "UnderThreshold [4.55]");
    check(stops(3), CHANGED_ON.plus(-1), &[], "not yet");
}

#[test]
fn false_alarms_are_counted_a_judged_year() {
    let loyal = |customer_id: &str, judged_from: Option<i32>| Loyal {
        customer_id: customer_id.to_owned(),
        judged_from: judged_from.map(|days| AS_OF.plus(-days)),
    };
    let loyal =
        vec![loyal("a", Some(731)), loyal("b", None), loyal("c", Some(-5)), loyal("d", Some(365))];
    let truth = Truth { planted: vec![planted("p", Change::Stops, 3)], loyal };
    let signals = [
        seen("a", SignalKind::SpendDecline, Some(Driver::Basket), -300),
        seen("p", SignalKind::SpendDecline, Some(Driver::Basket), -300),
        seen("a", SignalKind::Recovered, None, -200),
        seen("a", SignalKind::SpendDecline, Some(Driver::Silence), -100),
        seen("b", SignalKind::Lapse, None, 0),
        seen("b", SignalKind::HighValueReached, None, 1),
    ];
    let alarms = Verdict::new(&truth, &signals, totals(), AS_OF).false_alarms;
    assert_eq!((alarms.n_loyal, alarms.n_declines, alarms.n_lapses), (4, 2, 1));
    assert!((alarms.customer_years - 1096.0 / 365.2425).abs() < 1e-9, "{alarms:?}");
}

#[test]
fn who_is_leaving_is_told_by_the_last_word_about_them() {
    let decline = |id: &str, day| seen(id, SignalKind::SpendDecline, Some(Driver::Silence), day);
    let signals = [
        decline("a", 50),
        decline("b", 60),
        decline("c", 90),
        seen("a", SignalKind::Lapse, None, 70),
        seen("c", SignalKind::Recovered, None, 95),
        seen("b", SignalKind::HighValueReached, None, 99),
    ];
    let verdict = Verdict::new(&Truth::default(), &signals, totals(), AS_OF);
    let got: Vec<String> = verdict
        .leaving
        .iter()
        .map(|it| format!("{} {}", it.signal.customer_id, it.signal.kind.as_str()))
        .collect();
    assert_eq!(got, ["a lapse", "b spend_decline"]);
}

#[test]
fn medians_are_those_of_the_days() {
    let found = |found_days: &[i32]| Fared {
        kind: Change::Stops,
        n_planted: 9,
        found_days: found_days.to_vec(),
        n_reason_right: 0,
        named: BTreeMap::new(),
        missed: BTreeMap::new(),
    };
    assert_eq!(found(&[]).median_days(), None);
    assert_eq!(found(&[7]).median_days(), Some(7.0));
    assert_eq!(found(&[7, 10]).median_days(), Some(8.5));
    assert_eq!(found(&[7, 10, 90]).median_days(), Some(10.0));
}

#[test]
fn the_summary_is_a_plain_table() {
    let truth = Truth {
        planted: vec![
            planted("c1", Change::Stops, 9),
            planted("c2", Change::Stops, 0),
            planted("c3", Change::Stops, 2),
            planted("c4", Change::OrdersHalved, 5),
            planted("c5", Change::BasketsHalved, 5),
        ],
        loyal: vec![Loyal { customer_id: "c6".to_owned(), judged_from: Some(Day(19_000)) }],
    };
    let signals = [
        seen("c6", SignalKind::SpendDecline, Some(Driver::Frequency), -20),
        seen("c1", SignalKind::SpendDecline, Some(Driver::Silence), 21),
        seen("c5", SignalKind::SpendDecline, Some(Driver::Basket), 35),
    ];
    let text = Verdict::new(&truth, &signals, totals(), AS_OF).table();
    expect![[r"
        the shop on 2024-11-17
          events               1000  of which 7 refused
          customers               3
          revenue      12345.67 USD  equal to the shop's own books

        who is leaving, by value at risk
          c5              35.00  since 2024-06-05  basket     (in truth: baskets halved)
                     the evidence about c5
          c1              21.00  since 2024-05-22  silence    (in truth: stops)
                     the evidence about c1
          c6              20.00  since 2024-04-11  frequency  (in truth: loyal)
                     the evidence about c6

        change          planted   begun  found  missed  median days  reason right  named
        stops                 3       3      1       2         21.0        1 of 1  silence 1
        orders halved         1       1      0       1            -        0 of 0
        baskets halved        1       1      1       0         35.0        1 of 1  basket 1
        missed, of `stops`:
            2 bought too rarely: 0 to 2 purchase days to compare with; nobody can know
        missed, of `orders halved`:
            1 still under the threshold: 5 orders touched by the change so far

        false alarms about 1 loyal customers in 3 judged years
          declines      1  0.35 a customer-year
          lapses        0  0.00 a customer-year
    "]]
    .assert_eq(&text);
    let off = Totals { books_minor: 1_234_566, ..totals() };
    let text = Verdict::new(&Truth::default(), &[], off, AS_OF).table();
    assert!(text.contains("12345.67 USD  but the shop's own books say 12345.66 USD"), "{text}");
    assert!(text.contains("nobody is leaving"), "{text}");
}

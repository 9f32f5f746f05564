//! The encoding pinned byte for byte, and every way in which bytes can be wrong.

use rust_decimal::Decimal;

use super::*;
use crate::calendar::Day;
use crate::customer::{
    Completion, Counters, DayEntry, Driver, Fact, Folded, Foreign, Latch, Latches, Ledger,
    OpenOrders, Order, Path, Refund, SignalKind, Source, Totals, Usage, UsageLatch, What,
};
use crate::money::Currency;
use crate::record::erased::hash_of;

const UUID: &str = "0190b5c8-93a1-7cde-8f00-0123456789ab";

fn completion(at_ms: i64, event_id: &str, amount_minor: i128) -> Completion {
    Completion { at_ms, event_id: event_id.into(), amount_minor, foreign: None }
}

fn refund(currency: Option<Currency>, original_minor: i128, converted_minor: i128) -> What {
    What::Refunded(Refund { currency, original_minor, converted_minor })
}

fn open_orders() -> OpenOrders {
    let eur = Currency::parse("EUR").unwrap();
    let foreign = Foreign { currency: eur, amount_minor: 2000, rate: Decimal::new(10_833, 4) };
    let abroad = Completion {
        foreign: Some(foreign),
        ..completion(20_020 * 86_400_000 + 3_600_000, UUID, 2167)
    };
    let order = |day, fingerprint, completion, facts: &[(i32, What)]| Order {
        fingerprint,
        day: Day(day),
        completion,
        facts: facts.iter().map(|&(day, what)| Fact { day: Day(day), what }).collect(),
    };
    let parts = [(20_019, refund(None, 30, 30)), (20_022, refund(Some(eur), 700, 758))];
    OpenOrders(vec![
        order(20_010, 1, Some(completion(20_010 * 86_400_000, "e-1", 5000)), &[]),
        order(20_020, 2, Some(abroad), &parts),
        order(20_021, 7, None, &[(20_021, What::Cancelled)]),
        order(20_021, 8, None, &[(20_021, refund(None, 45, 45))]),
    ])
}

fn path() -> Path {
    let latch = |raised_on, driver| {
        Some(Latch {
            raised_on: Day(raised_on),
            baseline_on: Day(19_900),
            since: Day(19_930),
            driver,
        })
    };
    let mut path = Path {
        latches: Latches {
            lapse: None,
            orders: latch(20_000, Driver::Silence),
            basket: latch(20_001, Driver::Both),
            usage: Some(UsageLatch { raised_on: Day(20_002), usual_thousandths: 12_000 }),
        },
        recovered_on: Some(Day(20_003)),
        high_value_reached: true,
        source: Some(Source { partition: 3, offset: 1_000_000 }),
        as_of_ms: 20_026 * 86_400_000 + 500,
        recent: vec![0x0102_0304_0506_0708, u64::MAX],
        ..Path::default()
    };
    path.last_signal.set(SignalKind::SpendDecline, Day(20_000));
    path.last_signal.set(SignalKind::HighValueReached, Day(20_004));
    path
}

/// A customer with everything that a value can hold.
fn rich() -> Customer {
    let folded = Folded {
        first_day: Day(15_000),
        last_day: Day(18_000),
        n_days: 12,
        n_orders: 15,
        net_minor: 90_000,
        first_net_minor: 1999,
    };
    let days = [(19_000, 1_u128 << 70, 1), (20_010, 5000, 3), (20_020, 1379, 1)];
    let days = days.map(|(day, net_minor, n_orders)| DayEntry {
        day: Day(day),
        net_minor: net_minor.cast_signed(),
        n_orders,
    });
    let ledger = Ledger { folded: Some(folded), days: days.to_vec() };
    let mut usage = Usage { latest_week: Some(2860), ..Usage::default() };
    usage.thousandths[0] = 1500;
    usage.thousandths[15] = u64::MAX;
    Customer {
        totals: Totals {
            n_orders: 21,
            gross_minor: ledger.net_minor() + 788,
            refunded_minor: 788,
            unmatched_minor: 45,
        },
        ledger,
        counters: Counters {
            n_carts_abandoned: 4,
            n_support_contacts: 300,
            acquisition_cost_minor: 2500,
            usage,
        },
        path: path(),
        orders: open_orders(),
        latest_day: Some(Day(20_025)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn the_encoding_of_version_1_stays_as_it_is() {
    let expect = [
        ("version, presence", "01 ff03"),
        ("source", "03 c0843d"),
        ("folded days", "b0ea01 b817 0b 03 cf0f c1af05"),
        ("days", "03 ce0f 8080808080808080808001 e30f 01 8827 12 e30a"),
        ("latest day, as_of", "0a e8f7b252"),
        ("refund sums", "01 9406 2d"),
        ("counters", "04 ac02 c413"),
        ("latches", "1e 31 f901 bd01 03 2f f901 bd01 02 2b 2d e05d"),
        ("last signals", "11 31 29"),
        ("usage", "d82c 818002 dc0b ffffffffffffffffff01"),
        ("orders", "04"),
        ("plain", "79 0100000000000000 00 04652d31 8827"),
        ("foreign", "57 0200000000000000 80bab703 000190b5c893a17cde8f000123456789ab f710"),
        ("its amount", "455552 d00f 04 d154"),
        ("its refunds", "02 05 1e 1a 455552 bc05 f605"),
        ("cancel", "0c 0700000000000000 01 00"),
        ("refund", "04 0800000000000000 01 01 2d"),
        ("recent events", "02 0807060504030201 ffffffffffffffff"),
    ];
    let expect = expect.map(|(_, hex)| hex.replace(' ', "")).concat();
    assert_eq!(hex(&encode(&rich())), expect);
}

#[test]
fn what_is_written_is_read_back() {
    for customer in [Customer::default(), rich()] {
        assert_eq!(decode(&encode(&customer)), Ok(customer));
    }
    assert_eq!(hex(&encode(&Customer::default())), "010000000000");
}

#[test]
fn a_value_cut_short_or_drawn_out_is_refused() {
    let bytes = encode(&rich());
    for len in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..len]), Err(DecodeError::Truncated(_))), "{len}");
    }
    let drawn_out = [bytes.as_slice(), &[0, 0]].concat();
    assert_eq!(decode(&drawn_out), Err(DecodeError::Trailing(2)));
}

#[test]
fn broken_values_are_refused_by_name() {
    let check = |change: &dyn Fn(&mut Customer), expect: DecodeError| {
        let mut customer = rich();
        change(&mut customer);
        assert_eq!(decode(&encode(&customer)), Err(expect));
    };
    let broken = DecodeError::Broken;
    check(&|it| it.latest_day = Some(Day(20_019)), broken("latest day"));
    check(&|it| it.orders.0.swap(2, 3), broken("orders"));
    check(&|it| it.orders.0[2].fingerprint = 8, broken("orders"));
    check(&|it| it.orders.0[2].facts.clear(), broken("orders"));
    check(&|it| it.orders.0[2].facts[0].day = Day(20_020), broken("orders"));
    check(&|it| it.latest_day = Some(Day(20_020)), broken("orders"));
    check(&|it| it.orders.0[1].facts[1] = it.orders.0[1].facts[0], broken("refunds and cancels"));
    check(&|it| it.orders.0[1].facts.swap(0, 1), broken("refunds and cancels"));
    check(&|it| it.orders.0[1].facts[1].day = Day(20_018), broken("refunds and cancels"));
    let rate = |it: &mut Customer, rate| {
        let completion = it.orders.0[1].completion.as_mut().unwrap();
        completion.foreign.as_mut().unwrap().rate = rate;
    };
    check(&|it| rate(it, Decimal::new(108_330, 5)), broken("foreign amount"));
    check(&|it| it.ledger.days[0].net_minor = i128::MAX, broken("ledger days"));
    check(&|it| it.ledger.days = vec![it.ledger.days[0]; 1025], broken("ledger days"));
    let numbered = |order: &Order, fingerprint| Order { fingerprint, ..order.clone() };
    check(
        &|it| it.orders.0 = (0..257).map(|i| numbered(&it.orders.0[0], i)).collect(),
        broken("orders"),
    );
}

#[test]
fn broken_bytes_are_refused_by_name() {
    let check = |bytes: &[u8], expect: DecodeError| assert_eq!(decode(bytes), Err(expect));
    check(&[], DecodeError::Truncated("version"));
    check(&[2, 0], DecodeError::UnknownVersion(2));
    check(&[1, 0x80, 0x04, 0, 0, 0, 0], DecodeError::Broken("presence"));
    check(&[1, 0x80, 0x00, 0, 0, 0, 0], DecodeError::Broken("presence"));
    check(&[1, 2, 1, 0, 5, 0, 0, 0, 0], DecodeError::Broken("latest day"));
    check(&[1, 1 << 2, 0, 0, 0, 0, 0, 0, 0], DecodeError::Broken("refund sums"));
    check(&[1, 1 << 3, 0, 0, 0, 0, 0, 0, 0], DecodeError::Broken("counters"));
    check(&[1, 1 << 4, 0, 0, 0, 0, 0], DecodeError::Broken("latches"));
    check(&[1, 1 << 4, 0, 0, 16, 0, 0, 0, 0], DecodeError::Broken("latches"));
    check(&[1, 1 << 4, 0, 0, 32, 0, 0], DecodeError::Broken("latches"));
    check(&[1, 1 << 4, 0, 0, 1, 0, 0, 0, 4, 0, 0], DecodeError::Broken("latches"));
    check(&[1, 1 << 5, 0, 0, 0, 0, 0], DecodeError::Broken("last signals"));
    check(&[1, 1 << 5, 0, 0, 0x21, 0, 0, 0], DecodeError::Broken("last signals"));
    check(&[1, 0x80, 1, 0, 0, 0, 1, 0, 0, 0], DecodeError::Broken("usage"));
    check(&[1, 0, 3, 0, 0, 0, 0], DecodeError::Truncated("ledger days"));
    check(&[1, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0], DecodeError::Broken("ledger days"));
    check(&[1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], DecodeError::Broken("orders"));
    let head_max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let far = [&[1, 0, 2, 0, 0], head_max.as_slice(), &[0, 0, 0, 0]].concat();
    check(&far, DecodeError::Broken("ledger days"));
    let after_2298 = [1, 0, 1, 0xc0, 0xde, 0x1f, 0, 0, 0, 0];
    check(&after_2298, DecodeError::Broken("ledger days"));
    let with_order = |head: u8, rest: &[u8]| {
        [&[1, 2, 0, 0, 0, 1, head, 1, 0, 0, 0, 0, 0, 0, 0], rest, &[0]].concat()
    };
    assert!(decode(&with_order(1, &[0, 1, 5])).is_ok());
    let overlong = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0];
    let overlong = [&[0, 1], overlong.as_slice()].concat();
    check(&with_order(1, &overlong), DecodeError::Broken("amount"));
    check(&with_order(5, &[0, 1, 5, 0]), DecodeError::Broken("refunds and cancels"));
    check(&with_order(4, &[1, 8]), DecodeError::Broken("orders"));
    check(&with_order(2 | 4, &[1, 0, 0]), DecodeError::Broken("orders"));
    check(&[1, 0, 0, 0, 0, 0xff, 0xff, 3], DecodeError::Truncated("recent events"));
}

#[test]
#[should_panic(expected = "`-1`, below zero")]
fn a_sum_below_zero_is_never_written_as_another() {
    let mut customer = rich();
    customer.ledger.days[0].net_minor = -1;
    encode(&customer);
}

#[test]
fn event_ids_take_their_length_and_uuids_sixteen_bytes() {
    let n_bytes = |event_id: &str| {
        let mut customer = Customer { latest_day: Some(Day(0)), ..Customer::default() };
        let completion = Some(completion(0, event_id, 5));
        customer.orders.0 =
            vec![Order { fingerprint: 1, day: Day(0), completion, facts: Vec::new() }];
        let bytes = encode(&customer);
        assert_eq!(decode(&bytes), Ok(customer), "{event_id}");
        bytes.len()
    };
    let n_bytes_without = n_bytes("");
    let long = "x".repeat(128);
    let upper = UUID.to_uppercase();
    let hyphen = UUID.replace("a1-", "-a1");
    for (event_id, expect) in
        [("e1", 2), ("Straße", 7), (UUID, 16), (&upper, 36), (&hyphen, 36), (&long, 129)]
    {
        assert_eq!(n_bytes(event_id) - n_bytes_without, expect, "{event_id}");
    }
}

#[test]
fn a_uuid_spelt_out_is_refused_because_it_has_a_shorter_form() {
    let mut bytes = vec![1, 2, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 37];
    bytes.extend_from_slice(UUID.as_bytes());
    bytes.extend_from_slice(&[5, 0]);
    assert_eq!(decode(&bytes), Err(DecodeError::Broken("event id")));
}

#[test]
fn keys_are_told_apart_by_their_tag() {
    for (key, expect) in [
        (Key::Customer("m"), "636d"),
        (Key::Customer(""), "63"),
        (Key::Marker, "6d"),
        (Key::Erased(hash_of("")), "6599aa06d3014798d86001c324468d497f"),
    ] {
        assert_eq!(hex(&key.write()), expect);
        assert_eq!(Key::read(&key.write()), Ok(key));
    }
    for bytes in [&b""[..], b"x", b"mm", b"e", b"e0123456789abcde", b"e0123456789abcdef0", b"c\xff"]
    {
        assert_eq!(Key::read(bytes), Err(DecodeError::UnknownKey), "{bytes:?}");
    }
}

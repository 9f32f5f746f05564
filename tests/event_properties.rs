//! Properties of decoding over generated inputs: it never panics, refuses in one bounded line, and
//! accepts only what it can write back. `LIFETIDE_PROPERTY_CASES` sets the inputs per property.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of a test report and fail as the tests themselves do"
)]

use compact_str::CompactString;
use std::sync::atomic::{AtomicU64, Ordering};

use lifetide::calendar::rfc3339;
use lifetide::event::{
    Body, CHANNEL_BYTES_MAX, DETAIL_BYTES_MAX, Envelope, Event, ID_BYTES_MAX, Intake, Kind,
    OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN, QUANTITY_THOUSANDTHS_MAX, Rejection, decode,
};
use lifetide::money::{AMOUNT_MINOR_MAX, Amount, Currency, Rates};
use proptest::collection::vec;
use proptest::option::{self, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestError, TestRunner};
use serde_json::Value;

/// Inputs of all properties so far in this process.
static N_INPUTS: AtomicU64 = AtomicU64::new(0);

const CURRENCIES: [&str; 5] = ["EUR", "USD", "JPY", "KWD", "CLF"];

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn intake() -> Intake {
    let rates = Rates(CURRENCIES.map(|code| (currency(code), 2.into())).into());
    Intake { currency: currency("EUR"), rates, future_skew_max_ms: None }
}

/// Goal: `property` holds for every generated input; it says which inputs were accepted.
/// At least `accepted_min` in a thousand must be, or the property says little.
fn check<S: Strategy>(
    name: &str,
    accepted_min: u64,
    inputs: &S,
    property: impl Fn(S::Value) -> bool,
) {
    let cases = std::env::var("LIFETIDE_PROPERTY_CASES")
        .map_or(1_000, |cases| cases.parse().expect("LIFETIDE_PROPERTY_CASES is a number"));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let [n_inputs, n_accepted] = [AtomicU64::new(0), AtomicU64::new(0)];
    let outcome = TestRunner::new(config).run(inputs, |input| {
        n_inputs.fetch_add(1, Ordering::Relaxed);
        n_accepted.fetch_add(u64::from(property(input)), Ordering::Relaxed);
        Ok(())
    });
    if let Err(TestError::Fail(reason, input)) = outcome {
        panic!("{name}: {reason}\nminimal input: {input:?}");
    }
    let [n_inputs, n_accepted] = [n_inputs.into_inner(), n_accepted.into_inner()];
    let n_total = N_INPUTS.fetch_add(n_inputs, Ordering::Relaxed) + n_inputs;
    println!("{name}: {n_inputs} inputs, {n_accepted} accepted; {n_total} inputs so far");
    assert!(n_accepted * 1000 >= n_inputs * accepted_min, "{name}: {n_accepted} accepted");
}

fn read(payload: &[u8], key: &[u8]) -> Result<Event, Rejection> {
    let envelope = Envelope { payload: Some(payload), key: Some(key), timestamp_ms: None };
    decode(envelope, &intake())
}

/// What must hold of any payload whatever. Says whether it was accepted.
fn is_sound(payload: &[u8], key: &[u8]) -> bool {
    match read(payload, key) {
        Ok(event) => {
            assert_within_bounds(&event, key);
            assert_eq!(read(&event.encode(), key), Ok(event));
            true
        }
        Err(rejection) => {
            let detail = &rejection.detail;
            assert!((1..=DETAIL_BYTES_MAX).contains(&detail.len()), "{rejection}");
            assert!(!detail.contains(char::is_control), "{rejection:?}");
            false
        }
    }
}

fn assert_within_bounds(event: &Event, key: &[u8]) {
    assert_eq!(event.customer_id.as_bytes(), key);
    let is_id = |id: &str| (1..=ID_BYTES_MAX).contains(&id.len());
    assert!(is_id(&event.customer_id));
    assert!(event.event_id.as_deref().is_none_or(is_id));
    assert!(event.order_id.as_deref().is_none_or(is_id));
    let is_channel = |name: &str| (1..=CHANNEL_BYTES_MAX).contains(&name.len());
    assert!(event.channel.as_deref().is_none_or(is_channel));
    assert!((OCCURRED_AT_MS_MIN..=OCCURRED_AT_MS_MAX).contains(&event.occurred_at_ms));
    match event.body {
        Body::OrderCompleted(money) | Body::AcquisitionRecorded(money) => {
            assert!((0..=AMOUNT_MINOR_MAX).contains(&money.minor));
        }
        Body::OrderRefunded(money) => assert!((1..=AMOUNT_MINOR_MAX).contains(&money.minor)),
        Body::UsageRecorded { thousandths } => assert!(thousandths <= QUANTITY_THOUSANDTHS_MAX),
        Body::OrderCancelled => assert!(event.order_id.is_some()),
        Body::CartAbandoned | Body::SupportContacted | Body::CustomerErased => {}
    }
}

fn text(bytes_max: usize) -> impl Strategy<Value = CompactString> {
    let any_text =
        vec(any::<char>(), 1..=bytes_max / 4).prop_map(|chars| chars.into_iter().collect());
    prop_oneof![3 => "[a-z0-9-]{1,12}".prop_map(Into::into), 1 => any_text]
}

fn amounts(minor_min: i64) -> impl Strategy<Value = Amount> {
    let minor = prop_oneof![
        4 => minor_min..100_000,
        1 => minor_min..=AMOUNT_MINOR_MAX,
        1 => Just(AMOUNT_MINOR_MAX),
        1 => Just(minor_min),
    ];
    (minor, select(&CURRENCIES))
        .prop_map(|(minor, code)| Amount { minor, currency: currency(code) })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => amounts(0).prop_map(Body::OrderCompleted),
        2 => amounts(1).prop_map(Body::OrderRefunded),
        1 => Just(Body::OrderCancelled),
        1 => Just(Body::CartAbandoned),
        2 => prop_oneof![0..10_000u64, 0..=QUANTITY_THOUSANDTHS_MAX]
            .prop_map(|thousandths| Body::UsageRecorded { thousandths }),
        1 => Just(Body::SupportContacted),
        1 => amounts(0).prop_map(Body::AcquisitionRecorded),
        1 => Just(Body::CustomerErased),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let ids = (option::of(text(ID_BYTES_MAX)), text(ID_BYTES_MAX), any::<bool>());
    let at_ms = OCCURRED_AT_MS_MIN..=OCCURRED_AT_MS_MAX;
    (text(ID_BYTES_MAX), at_ms, ids, option::of(text(CHANNEL_BYTES_MAX)), bodies()).prop_map(
        |(customer_id, occurred_at_ms, (event_id, order_id, has_order), channel, body)| {
            let order_id = (has_order || body == Body::OrderCancelled).then_some(order_id);
            Event { customer_id, occurred_at_ms, event_id, order_id, channel, body }
        },
    )
}

#[test]
fn valid_events_are_accepted_and_read_back() {
    check("valid events", 1000, &events(), |event| {
        let key = event.customer_id.as_bytes();
        assert_eq!(read(&event.encode(), key), Ok(event.clone()));
        true
    });
}

/// A JSON string with every character escaped.
fn escaped(value: &Value) -> String {
    let units = value.as_str().unwrap().encode_utf16();
    let escapes: Vec<String> = units.map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{}\"", escapes.concat())
}

/// The fields of an event as JSON text, in the other forms that the format allows.
fn other_form(event: &Event, is_escaped: bool, is_number: bool, offset_min: i64) -> Vec<String> {
    let Value::Object(fields) = serde_json::from_slice(&event.encode()).unwrap() else {
        panic!("not an object")
    };
    let field = |(name, value): (&String, &Value)| {
        let value = match name.as_str() {
            "occurred_at" if is_number => event.occurred_at_ms.to_string(),
            "occurred_at" => {
                let local = rfc3339(event.occurred_at_ms + offset_min * 60_000);
                let sign = if offset_min < 0 { '-' } else { '+' };
                let (hours, minutes) = (offset_min.abs() / 60, offset_min.abs() % 60);
                let local = local.strip_suffix('Z').unwrap();
                format!("\"{local}999{sign}{hours:02}:{minutes:02}\"")
            }
            "amount" | "cost" if is_number => value.as_str().unwrap().to_owned(),
            "quantity" if !is_number => format!("\"{value}\""),
            _ if is_escaped && value.is_string() => escaped(value),
            _ => value.to_string(),
        };
        format!("\n  \"{name}\" :\t{value}")
    };
    let mut fields: Vec<String> = fields.iter().map(field).collect();
    fields.push(r#""items": [{"sku": "a", "n": 1e999}, null]"#.to_owned());
    fields
}

#[test]
fn an_event_reads_the_same_in_every_form_that_the_format_allows() {
    let forms = (any::<bool>(), any::<bool>(), -900..=900i64, any::<Index>());
    check("other forms", 1000, &(events(), forms), |(event, form)| {
        let (is_escaped, is_number, offset_min, turn) = form;
        let mut fields = other_form(&event, is_escaped, is_number, offset_min);
        let n_turned = turn.index(fields.len());
        fields.rotate_left(n_turned);
        let payload = format!(" {{{} }}\n", fields.join(","));
        let key = event.customer_id.as_bytes();
        assert_eq!(read(payload.as_bytes(), key), Ok(event.clone()), "{payload}");
        true
    });
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Prepend(&'static str, String),
}

impl Damage {
    fn apply(self, payload: &mut Vec<u8>) {
        if payload.is_empty() {
            return;
        }
        match self {
            Self::Flip(at, bits) => {
                let at = at.index(payload.len());
                payload[at] ^= bits;
            }
            Self::Cut(at) => payload.truncate(at.index(payload.len())),
            Self::Insert(at, bytes) => {
                let at = at.index(payload.len());
                payload.splice(at..at, bytes);
            }
            Self::Remove(at) => drop(payload.remove(at.index(payload.len()))),
            Self::Prepend(name, value) => {
                payload.splice(1..1, format!("\"{name}\":{value},").into_bytes());
            }
        }
    }
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        3 => (any::<Index>(), 1..=255u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => any::<Index>().prop_map(Damage::Cut),
        3 => (any::<Index>(), vec(any::<u8>(), 1..4))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        3 => (any::<Index>(), "[0-9.eE+\\-\"\\\\,:{}\\[\\]a-z \0]{1,4}")
            .prop_map(|(at, text)| Damage::Insert(at, text.into_bytes())),
        3 => any::<Index>().prop_map(Damage::Remove),
        2 => select(&NAMES).prop_flat_map(|name| (Just(name), values(name)))
            .prop_map(|(name, value)| Damage::Prepend(name, value)),
    ];
    vec(damage, 1..4)
}

#[test]
fn damaged_events_are_refused_or_read_back() {
    check("damaged events", 10, &(events(), damages()), |(event, damages)| {
        let mut payload = event.encode();
        for damage in damages {
            damage.apply(&mut payload);
        }
        is_sound(&payload, event.customer_id.as_bytes())
    });
}

const NAMES: [&str; 12] = [
    "type",
    "customer_id",
    "occurred_at",
    "event_id",
    "order_id",
    "amount",
    "currency",
    "channel",
    "cost",
    "quantity",
    "items",
    "note",
];

/// Values at the ends of what a field may be and beyond them, as JSON text.
fn values(name: &str) -> BoxedStrategy<String> {
    let own = match name {
        "occurred_at" => {
            r#"0 -1 1704067200000 -2208988800000 -2208988800001 7258118399999 7258118400000 1e12
            9223372036854775807 -9223372036854775808 1.5 "2024-02-29T00:00:00Z" "2024-01-01"
            "2023-02-29T00:00:00Z" "1900-01-01T00:00:00Z" "1899-12-31T23:59:59.9999Z"
            "2199-12-31T23:59:59.9999Z" "2200-01-01T00:00:00+00:01" "2024-06-30T23:59:60Z"
            "-009999-01-02T01:59:59Z" "9999-12-30T22:00:00.999999999Z" "9999-12-31T23:59:59Z"
            "+002024-01-01T00Z" "2024-01-01T00:00:00Z[UTC]" "2024-01-01T00:00:00+25:59:59""#
        }
        "amount" | "cost" | "quantity" => {
            r#"0 1 -0 12.5 0.01 0.001 0.0001 1e2 1E400 10000000000 10000000000.00 10000000000.01
            1000000000 1000000000.001 99999999999999999999999999999999999999999999999999999999999
            99999999999999999999.99 -0.00000000000000000000000000000000000001 "12.50" "12,50" "-1"
            "+1" "\u0031" "\u0661" "NaN" "\t1" [1]"#
        }
        "currency" => r#""EUR" "JPY" "KWD" "CLF" "GBP" "eur" "EURO""#,
        _ => r#""c1" "c\u0000" "" "\ud83d\ude00" "\ud83d" "ÿ""#,
    };
    let own: Vec<&str> = own.split_whitespace().collect();
    let hostile = prop_oneof![
        select(vec!["null", "true", "{}", "[]", "1", "\"\u{0}\"", "nul", "\"\\x\"", ""])
            .prop_map(str::to_owned),
        (1..3000usize).prop_map(|depth| "[".repeat(depth)),
        (1..3000usize).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
        (60..140usize).prop_map(|n_bytes| format!("\"{}\"", "x".repeat(n_bytes))),
        (1..400usize).prop_map(|n_digits| "7".repeat(n_digits)),
    ];
    prop_oneof![20 => select(own).prop_map(str::to_owned), 1 => hostile].boxed()
}

/// Objects of known fields, most of them well-typed, with values at the ends of their ranges.
fn edge_objects() -> impl Strategy<Value = String> {
    let kinds: Vec<String> =
        Kind::ALL.iter().map(|kind| format!("\"{}\"", kind.as_str())).collect();
    let known = NAMES.map(|name| {
        let value = match name {
            "type" => prop_oneof![30 => select(kinds.clone()), 1 => values(name)].boxed(),
            "customer_id" => {
                prop_oneof![30 => Just("\"c1\"".to_owned()), 1 => values(name)].boxed()
            }
            _ => values(name),
        };
        let chance = match name {
            "type" | "customer_id" | "occurred_at" => 0.98,
            "amount" | "cost" => 0.8,
            _ => 0.3,
        };
        weighted(chance, value.prop_map(move |value| format!("\"{name}\":{value}")))
    });
    let again = select(&NAMES)
        .prop_flat_map(|name| values(name).prop_map(move |value| format!("\"{name}\":{value}")));
    (known.to_vec(), weighted(0.1, again)).prop_map(|(fields, again)| {
        let fields: Vec<String> = fields.into_iter().flatten().chain(again).collect();
        format!("{{{}}}", fields.join(","))
    })
}

#[test]
fn values_at_the_ends_of_their_ranges_are_refused_or_read_back() {
    check("edge values", 50, &edge_objects(), |payload| is_sound(payload.as_bytes(), b"c1"));
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text(ID_BYTES_MAX).prop_map(|text| Value::from(text.into_string())),
        select(Kind::ALL.to_vec()).prop_map(|kind| Value::from(kind.as_str())),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let name = prop_oneof![4 => select(&NAMES).prop_map(str::to_owned), 1 => "[a-z]{0,3}"];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name, inner), 0..12)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn any_json_is_refused_or_read_back() {
    check("any json", 0, &json(), |value| is_sound(value.to_string().as_bytes(), b"c1"));
}

#[test]
fn any_bytes_are_refused_or_read_back() {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..300),
        "[{}\\[\\]\":,0-9a-z\\\\ \0]{0,200}".prop_map(String::into_bytes),
    ];
    check("any bytes", 0, &bytes, |payload| is_sound(&payload, b"c1"));
}

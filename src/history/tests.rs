//! Text tables of histories, and the CDNOW sample.

use std::fmt::Write;

use jiff::tz::TimeZone;

use super::*;
use crate::calendar::rfc3339;
use crate::event::Body;
use crate::money::{Amount, Currency, Rates, format_minor};

const CDNOW: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cdnow_sample.csv"));

fn options(map: &str) -> Options {
    let currency = Currency::parse("USD").unwrap();
    Options {
        mapping: Mapping::parse(map).unwrap(),
        calendar: Calendar::new(TimeZone::get("Europe/Berlin").unwrap()),
        intake: Intake { currency, rates: Rates::default(), future_skew_max_ms: None },
        recorded_at_ms: None,
        row_id_suffix: String::new(),
        until: None,
    }
}

fn money(amount: &Amount) -> String {
    format!(
        "{} {}",
        format_minor(i128::from(amount.minor), amount.currency.decimals()),
        amount.currency
    )
}

/// One line an entry: `line: type customer time figure ids`, or `line: reason: detail`.
fn listed<R: Read>(history: History<R>) -> String {
    let mut out = String::new();
    for entry in history {
        match entry.unwrap() {
            Entry::Bad(bad) => writeln!(out, "{}: {}: {}", bad.line, bad.reason, bad.detail),
            Entry::Event(Row { line, event }) => {
                let figure = match &event.body {
                    Body::OrderCompleted(amount)
                    | Body::OrderRefunded(amount)
                    | Body::AcquisitionRecorded(amount) => money(amount),
                    Body::UsageRecorded { thousandths } => thousandths.to_string(),
                    Body::OrderCancelled
                    | Body::CartAbandoned
                    | Body::SupportContacted
                    | Body::CustomerErased => "-".to_owned(),
                };
                let at = rfc3339(event.occurred_at_ms).replace(":00.000", "");
                let kind = event.kind().as_str();
                let ids = [&event.event_id, &event.order_id]
                    .map(|id| id.as_deref().unwrap_or("-").to_owned())
                    .join(" ");
                writeln!(out, "{line}: {kind} {} {at} {figure} {ids}", event.customer_id)
            }
        }
        .unwrap();
    }
    out
}

fn check(map: &str, input: &str, expect: &str) {
    let history = History::open(input.as_bytes(), options(map)).unwrap();
    assert_eq!(listed(history), expect, "{input}");
}

fn check_error(map: &str, input: &[u8], expect: &str) {
    let error = History::open(input, options(map)).unwrap_err().to_string();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn the_sign_of_an_amount_is_the_type_of_a_row_that_has_none() {
    let input = "customer_id,date,amount,type\n\
        a,2024-05-01,12.5,\n\
        a,2024-05-01,-2.50,\n\
        a,2024-05-01,0,\n\
        a,2024-05-01,-0.00,\n\
        a,2024-05-01,1.00,order.refunded\n\
        a,2024-05-01,-1.00,order.refunded\n\
        a,2024-05-01,,cart.abandoned\n";
    let expect = "\
        2: order.completed a 2024-04-30T22:00Z 12.50 USD row-000000000001 -\n\
        3: order.refunded a 2024-04-30T22:00Z 2.50 USD row-000000000002 -\n\
        4: order.completed a 2024-04-30T22:00Z 0.00 USD row-000000000003 -\n\
        5: order.completed a 2024-04-30T22:00Z 0.00 USD row-000000000004 -\n\
        6: order.refunded a 2024-04-30T22:00Z 1.00 USD row-000000000005 -\n\
        7: bad_value: amount: `-1.00` is negative; amounts are positive, the type says the sign\n\
        8: cart.abandoned a 2024-04-30T22:00Z - row-000000000007 -\n";
    check("occurred_at=date", input, expect);
}

#[test]
fn times_are_local_unless_they_say_otherwise() {
    let input = "customer_id,occurred_at,amount\n\
        a,2024-05-01 08:30:00,1\n\
        a,2024-05-01T08:30,1\n\
        a,2024-05-01T08:30:00Z,1\n\
        a,2024-05-01 08:30:00+00,1\n\
        a,1714545000000,1\n\
        a,01/05/2024,1\n\
        a,,1\n";
    let at = "order.completed a 2024-05-01T06:30Z 1.00 USD";
    let remedy = "write `2024-05-01T12:00:00Z` or integer epoch milliseconds";
    let expect = format!(
        "2: {at} row-000000000001 -\n3: {at} row-000000000002 -\n\
         4: order.completed a 2024-05-01T08:30Z 1.00 USD row-000000000003 -\n\
         5: order.completed a 2024-05-01T08:30Z 1.00 USD row-000000000004 -\n\
         6: {at} row-000000000005 -\n\
         7: bad_value: occurred_at: `\"01/05/2024\"` is not an RFC 3339 time; {remedy}\n\
         8: missing_field: occurred_at: the field is missing; every event requires it\n"
    );
    check("", input, &expect);
}

#[test]
fn ids_currencies_and_figures_come_from_their_columns() {
    let input = "who,at,value,invoice,money,type,cost,quantity\n\
        a,1714545000000,12,i1,JPY,,,\n\
        a,1714545000000,12,i2,EUR,,,\n\
        a,1714545000000,,,,acquisition.recorded,7.25,\n\
        a,1714545000000,,,,usage.recorded,,1.5\n\
        a,1714545000000,1.234,,,,,\n\
        a,1714545000000,1,,usd,,,\n\
        a,1714545000000,1,,,order.sold,,\n\
         ,1714545000000,1,,,,,\n";
    let map = "customer_id=who,occurred_at=at,amount=value,order_id=invoice,event_id=invoice,\
               currency=money";
    let mut options = options(map);
    let jpy = Currency::parse("JPY").unwrap();
    options.intake.rates.0.insert(jpy, rust_decimal::Decimal::new(65, 4));
    let at = "a 2024-05-01T06:30Z";
    let expect = format!(
        "2: order.completed {at} 12 JPY i1 i1\n\
         3: unknown_currency: currency: `EUR` has no rate; add it to `processing.rates`, \
         in USD per EUR\n\
         4: acquisition.recorded {at} 7.25 USD row-000000000003 -\n\
         5: usage.recorded {at} 1500 row-000000000004 -\n\
         6: bad_value: amount: `1.234` has more decimals than the 2 of USD\n\
         7: bad_value: currency: `\"usd\"` is not an ISO 4217 code such as `EUR`\n"
    );
    let got = listed(History::open(input.as_bytes(), options).unwrap());
    let (head, rest) = got.split_once("8: ").unwrap();
    assert_eq!(head, expect);
    assert!(rest.starts_with("unknown_type: type: `\"order.sold\"` is unknown"), "{rest}");
    assert!(rest.contains("\n9: missing_field: customer_id: "), "{rest}");
}

#[test]
fn csv_is_read_with_quotes_blank_lines_line_ends_and_damage() {
    let input = "\u{feff}customer_id,date,amount,note\r\n\
        \"a,1\",2024-05-01,1,\"two\r\nlines\"\r\n\
        \r\n\
        b , 2024-05-01 ,2,\r\n\
        c,2024-05-01,3\r\n\
        \"d\"\"2\",2024-05-01,4,last";
    let at = "2024-04-30T22:00Z";
    let expect = format!(
        "2: order.completed a,1 {at} 1.00 USD row-000000000001 -\n\
         5: order.completed b {at} 2.00 USD row-000000000002 -\n\
         6: bad_value: the row has `3` values, the header 4 columns; quote values that hold a \
         comma\n\
         7: order.completed d\"2 {at} 4.00 USD row-000000000004 -\n"
    );
    check("occurred_at=date", input, &expect);
    let latin = b"customer_id,date,amount\nM\xfcller,2024-05-01,1\n";
    let history = History::open(&latin[..], options("occurred_at=date")).unwrap();
    let expect = "2: bad_value: customer_id: the value is not UTF-8; convert the file\n";
    assert_eq!(listed(history), expect);
}

#[test]
fn json_lines_are_native_events_or_mapped_objects() {
    let input = r#"
{"type":"order.completed","customer_id":"a","occurred_at":"2024-05-01T08:30:00Z","amount":"1.50","event_id":"e1","order_id":"o1","items":[{"amount":3}]}
{"customer_id":17,"occurred_at":1714545000000,"amount":-2.5,"order_id":"\u006f2","type":null}

{"customer_id":"a","occurred_at":"2024-05-01","amount":"-2.50","event_id":""}
{"customer_id":" ","occurred_at":"2024-05-01","amount":1}
{"customer_id":"a","occurred_at":"2024-05-01","amount":1,"amount":2}
{"customer_id":"a","occurred_at":"2024-05-01","amount":1e2}
{"customer_id":1.5,"occurred_at":"2024-05-01","amount":1}
{"customer_id":"a","occurred_at":"2024-05-01"
[1]
"#;
    let expect = "\
        1: order.completed a 2024-05-01T08:30Z 1.50 USD e1 o1\n\
        2: order.refunded 17 2024-05-01T06:30Z 2.50 USD row-000000000002 o2\n\
        4: order.refunded a 2024-04-30T22:00Z 2.50 USD row-000000000003 -\n\
        5: missing_field: customer_id: the field is missing; every event requires it\n\
        6: bad_value: amount: the field is given twice; give it once\n\
        7: bad_value: amount: `1e2` is not a plain decimal number such as `12.50`\n\
        8: bad_value: customer_id: `1.5` is not a string of 1 to 128 bytes\n\
        9: not_json: EOF while parsing an object at line 2 column 0\n\
        10: not_json: invalid type: sequence, expected one JSON object a line at line 1 column 0\n";
    check("", input.trim_start(), expect);
    let mapped = r#"{"who":"a","at":"2024-05-01","amount":1,"customer_id":"not read"}"#;
    let expect = "1: order.completed a 2024-04-30T22:00Z 1.00 USD row-000000000001 -\n";
    check("customer_id=who,occurred_at=at", mapped, expect);
}

#[test]
fn what_is_no_history_is_refused_with_a_remedy() {
    check_error("", b"", "the history is empty");
    check_error("", b"\xef\xbb\xbf\n", "the history is empty");
    check_error("", b"\x1f\x8b\x08", "compressed by gzip; unpack it first");
    check_error("", b"\xff\xfea\0", "UTF-16 text; convert it to UTF-8");
    check_error("", b"PK\x03\x04", "a zip archive or a workbook");
    check_error("", b"[{\"customer_id\":1}]", "`jq -c '.[]'`");
    check_error("occurred_at=when", b"customer_id,date\n", "has no column `when`");
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_failing_file_ends_the_history_with_one_error() {
    for head in ["customer_id,occurred_at,amount\na,1,1\n", "{\"customer_id\":\"a\"}\n"] {
        let mut history = History::open(head.as_bytes().chain(Failing), options("")).unwrap();
        assert!(history.next().unwrap().is_ok() || history.tally().n_rows == 0);
        let error = history.find_map(Result::err).unwrap().to_string();
        assert_eq!(error, "failed to read the history: the disk is gone");
        assert!(history.next().is_none());
    }
}

#[test]
fn rows_are_sorted_by_time_and_within_an_instant_by_row() {
    let input = "customer_id,occurred_at,amount\n\
        a,2024-05-03,1\n\
        b,2024-05-01,1\n\
        c,2024-05-03,1\n\
        d,2024-05-02T23:59:59.999,1\n\
        e,2024-05-04,1\n\
        f,never,1\n";
    let until = Some(Day::from_date(jiff::civil::date(2024, 5, 3)));
    for (order, expect) in [(Order::Time, "b3 d5 a2 c4"), (Order::File, "a2 b3 c4 d5")] {
        let options = Options { until, ..options("") };
        let mut history = History::open(input.as_bytes(), options).unwrap();
        let (mut bad, mut n_bytes) = (Vec::new(), 0);
        let rows = history.read_all(order, |row| bad.push(row.line), |n| n_bytes = n).unwrap();
        let got: Vec<String> =
            rows.iter().map(|row| format!("{}{}", row.event.customer_id, row.line)).collect();
        assert_eq!(got.join(" "), expect);
        assert_eq!(bad, [7]);
        assert_eq!(n_bytes, input.len() as u64);
        let n_bad = BTreeMap::from([(Reason::BadValue, 1)]);
        assert_eq!(*history.tally(), Tally { n_rows: 6, n_after_until: 1, n_bad });
    }
}

#[test]
fn equal_rows_are_two_purchases() {
    let input = "customer_id,occurred_at,amount,order_id\na,2024-05-01,1,o\na,2024-05-01,1,o\n";
    let mut history = History::open(input.as_bytes(), options("")).unwrap();
    let rows = history.read_all(Order::Time, |_| (), |_| ()).unwrap();
    let [first, second] = [&rows[0], &rows[1]].map(|row| row.event.fingerprint(0, 0));
    assert_ne!(first, second);
}

/// Sums of the published sample, taken with `awk` from the file itself.
#[test]
fn the_cdnow_sample_is_read_whole() {
    let mut history = History::open(CDNOW, options("occurred_at=date")).unwrap();
    let rows = history.read_all(Order::Time, |_| (), |_| ()).unwrap();
    let expect = Tally { n_rows: 6_919, n_after_until: 0, n_bad: BTreeMap::new() };
    assert_eq!(*history.tally(), expect);
    assert_eq!(history.n_bytes_read(), CDNOW.len() as u64);
    let (mut sum_minor, mut n_free) = (0, 0);
    for row in &rows {
        let Body::OrderCompleted(amount) = row.event.body else { panic!("{row:?}") };
        sum_minor += amount.minor;
        n_free += u32::from(amount.minor == 0);
    }
    assert_eq!((rows.len(), sum_minor, n_free), (6_919, 24_409_194, 8));
    let mut customers: Vec<&str> = rows.iter().map(|row| &*row.event.customer_id).collect();
    customers.sort_unstable();
    customers.dedup();
    assert_eq!(customers.len(), 2_357);

    let until = Some(Day::from_date(jiff::civil::date(1997, 9, 30)));
    let options = Options { until, ..options("occurred_at=date") };
    let mut history = History::open(CDNOW, options).unwrap();
    let rows = history.read_all(Order::Time, |_| (), |_| ()).unwrap();
    assert_eq!(rows.len() as u64 + history.tally().n_after_until, 6_919);
    assert_eq!(rows.len(), 4_960);
}

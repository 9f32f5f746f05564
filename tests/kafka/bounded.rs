//! Whatever lies in the topics, the processor takes its time and no more memory: millions of
//! records that wait, records of a megabyte, one customer with a hundred thousand orders, poison
//! without end. Memory is what Linux says was resident at most; topics are read with
//! `read_committed`.

use std::env;
use std::time::Duration;

use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::process::Process;
use crate::support::topics::Outgoing;
use crate::support::wait_until;

const RESIDENT_BYTES_MAX: u64 = 512 << 20;
const DEADLINE: Duration = Duration::from_mins(10);
/// Settings as a shop has them; those of [`Deployment`] want transactions to be small and many.
const ORDINARY: [&str; 4] = [
    "processing.commit_interval_ms=100",
    "processing.transaction_events_max=20000",
    "processing.dedup_events=64",
    "processing.emit=commit",
];
/// 2020-01-01T00:00:00Z.
const START_MS: i64 = 1_577_836_800_000;
const N_LAG_CUSTOMERS: u64 = 200_000;
/// Records that are sent at a time: what a test holds in memory.
const PIECE: u64 = 100_000;

const N_POISON: usize = 1_000;
const N_HOT_ORDERS: u64 = 100_000;
const N_HUGE: u64 = 300;
const N_TOO_LARGE: usize = 50;
const MEBIBYTE: usize = 1 << 20;

fn order(customer: &str, n: u64, at_ms: i64, more: &str) -> Outgoing {
    let payload = format!(
        r#"{{"type":"order.completed","event_id":"e{n}","order_id":"o{n}","customer_id":"{customer}","occurred_at":{at_ms},"amount":"{}.99"{more}}}"#,
        n % 97
    );
    let timestamp_ms = Some(at_ms);
    Outgoing { key: Some(customer.into()), payload: Some(payload.into_bytes()), timestamp_ms }
}

fn at_ms(n: u64, step_ms: i64) -> i64 {
    START_MS + i64::try_from(n).unwrap() * step_ms
}

/// Waits until all that was sent is processed; the processor must not end over it.
fn catch_up(deployment: &Deployment, process: &mut Process) {
    let watch = deployment.watch();
    let ends = deployment.topics.end_offsets(&deployment.topic("events"));
    wait_until("all that was sent to be processed", DEADLINE, || {
        process.assert_runs();
        watch.has_reached(&ends)
    });
}

fn stop(process: Process) {
    let resident_bytes = process.peak_resident_bytes();
    println!("resident at most {} MiB", resident_bytes >> 20);
    Instance::stop(process);
    assert!(resident_bytes < RESIDENT_BYTES_MAX, "`{resident_bytes}` bytes were resident");
}

/// Goal: what is read ahead is bounded by bytes, however much there is to read.
#[test]
fn millions_of_waiting_records_are_read_in_half_a_gibibyte() {
    let Some(broker) = Broker::shared() else { return };
    let n_events: u64 = env::var("LIFETIDE_LAG_EVENTS").map_or(1_000_000, |n| n.parse().unwrap());
    let deployment = Deployment::new(&broker.address());
    let feed = deployment.feed();
    for from in (0..n_events).step_by(usize::try_from(PIECE).unwrap()) {
        let customer = |n: u64| format!("c{:06}", n.wrapping_mul(7_919) % N_LAG_CUSTOMERS);
        let until = n_events.min(from + PIECE);
        feed.send((from..until).map(|n| order(&customer(n), n, at_ms(n, 20), "")));
    }
    let mut instance = deployment.instance("lags", 2).with(&ORDINARY);
    let mut process = instance.start();
    catch_up(&deployment, &mut process);
    stop(process);
}

/// Goal: throughput degrades, nothing stops. Everything odd is in one partition, with ordinary
/// customers behind it.
#[test]
fn poison_huge_records_and_a_customer_without_end_stop_nothing() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    deployment.topics.configure(&deployment.topic("events"), "max.message.bytes", "4000000");
    let mut instance = deployment.instance("digests", 2).with(&ORDINARY);
    let mut process = instance.start();
    instance.wait_until_ready(&mut process);

    let feed = deployment.feed();
    let poison = |n: usize| Outgoing {
        key: Some("hot".into()),
        payload: Some(format!("poison {n}").into_bytes()),
        timestamp_ms: None,
    };
    feed.send((0..N_POISON).map(poison));
    feed.send((0..N_HOT_ORDERS).map(|n| order("hot", n, at_ms(n, 600_000), "")));
    let note = |n_bytes: usize| format!(r#","note":"{}""#, "x".repeat(n_bytes));
    let huge = note(MEBIBYTE - 1_000);
    feed.send((0..N_HUGE).map(|n| order("huge", n, at_ms(n, 1_000), &huge)));
    let too_large = note(2 * MEBIBYTE);
    feed.send((0..N_TOO_LARGE as u64).map(|n| order("huge", n, at_ms(n, 1_000), &too_large)));
    feed.send((0..1_000).map(|n| order(&format!("c{n}"), n, at_ms(n, 1_000), "")));
    catch_up(&deployment, &mut process);
    let n_orders = |customer: &str| {
        let (status, body) = instance.get(&format!("/customers/{customer}")).unwrap();
        assert_eq!(status, 200, "{customer}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["score"]["history"]["orders"].as_u64().unwrap()
    };
    assert_eq!(["hot", "huge", "c7"].map(n_orders), [N_HOT_ORDERS, N_HUGE, 1]);
    stop(process);
    let letters = deployment.topics.read_all(&deployment.topic("refused"));
    assert_eq!(letters.len(), N_POISON + N_TOO_LARGE);
}

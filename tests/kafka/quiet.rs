//! The wall clock moves time only where it is quiet.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::topics::Outgoing;
use crate::support::{pause, wait_until};

/// How long it must be quiet; the history takes longer, and none of its pauses, by far, also where
/// the machine is busy with something else for a while.
const IDLE_LAG_S: u32 = 20;
/// Between two records: long enough for the end of the partition to be in sight.
const PAUSE: Duration = Duration::from_millis(1500);
/// Of 2020 and 2021, each with an order.
const N_MONTHS: u32 = 18;
const DEADLINE: Duration = Duration::from_mins(2);

/// Goal: a history of past days that comes record by record is judged by its own days, although
/// each record is the last one for a while.
#[test]
fn a_history_that_trickles_in_is_not_overtaken_by_the_wall_clock() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::of_partitions(&broker.address(), 1);
    let idle_lag = format!("processing.idle_lag_s={IDLE_LAG_S}");
    let mut instance = deployment.instance("quiet", 1).with(&[&idle_lag]);
    let mut process = instance.start();
    instance.wait_until_ready(&mut process);
    let feed = deployment.feed();
    for n in 0..N_MONTHS {
        let (id, year, month) = ("c-1", 2020 + n / 12, 1 + n % 12);
        let event = json!({
            "type": "order.completed", "customer_id": id, "order_id": format!("o-{n}"),
            "occurred_at": format!("{year}-{month:02}-15T12:00:00Z"), "amount": "20.00",
        });
        feed.send(vec![Outgoing {
            key: Some(id.into()),
            payload: Some(event.to_string().into_bytes()),
            timestamp_ms: None,
        }]);
        pause(PAUSE);
        process.assert_runs();
    }
    let lapse = |signal: &Value| signal["kind"] == "lapse";
    let signals = wait_until("the lapse that silence brings", DEADLINE, || {
        let records = deployment.topics.read_all(&deployment.topic("signals"));
        let value = |payload: &Vec<u8>| serde_json::from_slice::<Value>(payload).unwrap();
        let signals: Vec<Value> =
            records.iter().filter_map(|it| it.payload.as_ref()).map(value).collect();
        signals.iter().any(lapse).then_some(signals).ok_or_else(|| "no lapse".to_owned())
    });
    Instance::stop(process);
    for signal in &signals {
        assert_eq!(signal["clock"], "idle", "{signal}");
        assert!(signal["raised_at"].as_str().unwrap() > "2021-06-15T12", "{signal}");
    }
    assert_eq!(signals.iter().filter(|signal| lapse(signal)).count(), 1, "{signals:?}");
}

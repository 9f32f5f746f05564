//! What a start does when state or events are gone: it refuses, names the flag, and with the flag
//! goes on once and for all. Erased customers stay erased. Read with `read_committed`.

use std::time::Duration;

use lifetide::record::changelog::{self, Key};
use lifetide::record::erased;

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::topics::{Outgoing, Record};
use crate::support::wait_until;

const DEADLINE: Duration = Duration::from_mins(1);
const N_CUSTOMERS: usize = 40;

fn record(key: &str, json: &str) -> Outgoing {
    let (key, payload) = (Some(key.into()), Some(json.into()));
    Outgoing { key, payload, timestamp_ms: None }
}

fn event(kind: &str, id: &str, on: &str, rest: &str) -> Outgoing {
    let json =
        format!(r#"{{"type":"{kind}","customer_id":"{id}","occurred_at":"{on}T12:00:00Z"{rest}}}"#);
    record(id, &json)
}

fn orders(on: &str) -> impl Iterator<Item = Outgoing> {
    let amount = r#","amount":"20.00""#;
    (0..N_CUSTOMERS).map(move |n| event("order.completed", &format!("c{n}"), on, amount))
}

/// Runs until everything is processed.
fn process(deployment: &Deployment, instance: &mut Instance, arguments: &[&str]) {
    let mut process = instance.start_with(arguments);
    instance.wait_until_ready(&mut process);
    let topic = deployment.topic("events");
    let (ends, watch) = (deployment.topics.end_offsets(&topic), deployment.watch());
    wait_until("the end of the input", DEADLINE, || {
        process.assert_runs();
        watch.has_reached(&ends)
    });
    Instance::stop(process);
}

/// Expects a refusal with these words that names the flag; then goes on with it, without new
/// events; and then needs it no more.
fn check_refused_until_accepted(deployment: &Deployment, instance: &mut Instance, words: &str) {
    let refusal = instance.refusal();
    assert!(refusal.contains(words) && refusal.contains("--accept-loss"), "{refusal}");
    let n_losses = |instance: &Instance| instance.logs().matches("restored with a loss").count();
    let n_before = n_losses(instance);
    process(deployment, instance, &["--accept-loss"]);
    let n_accepted = n_losses(instance);
    assert!(n_accepted > n_before, "no warning");
    process(deployment, instance, &[]);
    assert_eq!(n_losses(instance), n_accepted, "it asks again");
}

fn last_of(records: &[Record], key: &[u8]) -> Option<Record> {
    records.iter().rfind(|record| record.key.as_deref() == Some(key)).cloned()
}

#[test]
fn what_is_gone_is_refused_until_a_person_accepts_it_once() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    let (input, state) = (deployment.topic("events"), deployment.topic("state"));
    let mut instance = deployment.instance("restorer", 1);
    for on in ["2026-01-01", "2026-02-01", "2026-03-01"] {
        deployment.feed().send(orders(on));
        process(&deployment, &mut instance, &[]);
    }
    // Nudges the cleaner: it leaves the newest segment alone.
    wait_until("the changelog to be compacted", DEADLINE, || {
        deployment.feed().send(orders("2026-03-02"));
        process(&deployment, &mut instance, &[]);
        let records = deployment.topics.read_all(&state);
        let n_keys = records.iter().filter(|it| it.key == Some(b"cc1".to_vec())).count();
        (n_keys < 3).then_some(()).ok_or_else(|| format!("{n_keys} values of one customer"))
    });
    assert_eq!(deployment.topics.oldest_offsets(&state), [0; 4], "compaction deletes no beginning");

    let places = deployment.topics.read_all(&input);
    let partition_of = |id: &str| last_of(&places, id.as_bytes()).unwrap().partition;
    let truncated = partition_of("c0");
    let lost: Vec<Record> = deployment
        .topics
        .read_all(&state)
        .into_iter()
        .filter(|it| it.partition == truncated && it.key.as_ref().unwrap()[0] == b'c')
        .collect();
    let newest = lost.iter().map(|it| it.offset).max().unwrap();
    deployment.topics.configure(&state, "cleanup.policy", "compact,delete");
    deployment.topics.delete_before(&state, truncated, newest + 1);
    deployment.topics.configure(&state, "cleanup.policy", "compact");
    let words = format!("begins at offset `{}`", newest + 1);
    check_refused_until_accepted(&deployment, &mut instance, &words);

    let before = deployment.watch().committed();
    deployment.feed().send(orders("2026-04-01"));
    let cut = usize::try_from(partition_of("c1")).unwrap();
    let low = before[cut].unwrap() + 2;
    deployment.topics.delete_before(&input, i32::try_from(cut).unwrap(), low);
    let words = format!("the oldest record of the input is `{low}`");
    check_refused_until_accepted(&deployment, &mut instance, &words);

    let newer = Outgoing {
        key: Some(Key::Customer("c2").write()),
        payload: Some(vec![changelog::VERSION + 1, 0, 0]),
        timestamp_ms: None,
    };
    // Any partition will do: a value of another version can be read in none.
    deployment.topics.produce(&state, [newer]);
    check_refused_until_accepted(&deployment, &mut instance, "run the version that wrote it");
}

#[test]
fn an_erased_customer_does_not_come_back_with_a_restore() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    let mut instance = deployment.instance("forgetful", 2);
    deployment.feed().send(orders("2026-01-01").chain(orders("2026-02-01")));
    process(&deployment, &mut instance, &[]);
    deployment.feed().send([event("customer.erased", "c7", "2026-03-01", "")]);
    process(&deployment, &mut instance, &[]);

    let read = |kind: &str| deployment.topics.read_all(&deployment.topic(kind));
    let is_tombstone = |kind: &str, key: &[u8]| {
        let last = last_of(&read(kind), key);
        last.is_none_or(|last| last.payload.is_none())
    };
    let key = Key::Customer("c7").write();
    assert!(last_of(&read("scores"), b"c7").unwrap().payload.is_none());
    assert!(is_tombstone("state", &key));
    let memory = Key::Erased(erased::hash_of("c7")).write();
    let at_ms = erased::decode(&last_of(&read("state"), &memory).unwrap().payload.unwrap());
    assert_eq!(at_ms, Ok(1_772_366_400_000));
    // Others go on, so that what was written of the customer is compacted.
    wait_until("the erased customer's values to go", DEADLINE, || {
        deployment.feed().send(orders("2026-03-02").filter(|it| it.key != Some(b"c7".to_vec())));
        process(&deployment, &mut instance, &[]);
        let state = read("state");
        let mut values = state.iter().filter(|it| it.key.as_ref() == Some(&key));
        match values.find(|it| it.payload.is_some()) {
            Some(value) => Err(format!("offset {} still has one", value.offset)),
            None => Ok(()),
        }
    });

    let scores = read("scores").len();
    let mut restored = instance.start();
    instance.wait_until_ready(&mut restored);
    assert_eq!(instance.get("/customers/c7").unwrap().0, 404);
    assert_eq!(instance.get("/customers/c8").unwrap().0, 200);
    let late = event("order.completed", "c7", "2026-02-28", r#","amount":"5.00""#);
    deployment.feed().send([late]);
    wait_until("the late event to be counted", DEADLINE, || {
        restored.assert_runs();
        let (_, metrics) = instance.get("/metrics")?;
        let counted = metrics.contains("\nlifetide_erased_events_total 1\n");
        counted.then_some(()).ok_or_else(|| "not counted".to_owned())
    });
    assert_eq!(instance.get("/customers/c7").unwrap().0, 404);
    assert_eq!(read("scores").len(), scores, "a late event of an erased customer was scored");
    assert!(is_tombstone("state", &key));

    deployment.feed().send([event("order.completed", "c7", "2026-03-03", r#","amount":"9.00""#)]);
    let anew = wait_until("the customer to start anew", DEADLINE, || {
        match instance.get("/customers/c7")? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{status} {body}")),
        }
    });
    assert!(anew.contains(r#""orders":1"#) && anew.contains(r#""gross":"9.00""#), "{anew}");
    Instance::stop(restored);
}

//! The input topic gets more partitions. Nothing is processed until `lifetide repartition` has
//! moved state and unread events; then everything is as if there had been so many from the start.
//! Read with `read_committed`.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use lifetide::record::changelog::Key;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::equality::Outcome;
use crate::support::broker::Broker;
use crate::support::cluster::Cluster;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::proxy::{Api, Moment};
use crate::support::topics::{Outgoing, Record};
use crate::support::wait_until;

/// Of the load.
const SEED: u64 = 2001;
const N_AFTER: usize = 7;
/// Requests of the repartition that is killed, of a record each, before it is.
const N_WRITTEN: u32 = 20;
const DEADLINE: Duration = Duration::from_mins(2);

fn process_to_end(deployment: &Deployment, instance: &mut Instance) {
    let mut process = instance.start();
    let (watch, ends) =
        (deployment.watch(), deployment.topics.end_offsets(&deployment.topic("events")));
    wait_until("the end of the input", DEADLINE, || {
        process.assert_runs();
        watch.has_reached(&ends)
    });
    Instance::stop(process);
}

/// The customers of a changelog with partition and value; none may lie in two partitions.
fn customers(state: &[Record]) -> BTreeMap<Vec<u8>, (i32, Vec<u8>)> {
    let mut places: BTreeMap<(i32, &[u8]), &[u8]> = BTreeMap::new();
    for record in state {
        let place = (record.partition, record.key.as_deref().unwrap());
        match &record.payload {
            Some(value) => places.insert(place, value),
            None => places.remove(&place),
        };
    }
    let mut customers = BTreeMap::new();
    for ((partition, key), value) in places.into_iter().filter(|((_, key), _)| key[0] == b'c') {
        let other = customers.insert(key.to_vec(), (partition, value.to_vec()));
        assert_eq!(other, None, "{} twice", String::from_utf8_lossy(key));
    }
    customers
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Goal: half a history is processed, a quarter waits unread where four partitions have put it, and
/// an eighth where seven do. A repartition is killed in its transaction, another one ends, and the
/// rest of the history follows.
#[test]
fn scores_are_the_same_after_a_repartition_that_was_killed_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let (input, state) = (deployment.topic("events"), deployment.topic("state"));
    let mut instance = deployment.instance("moved", 2);
    let (processed, unread) = load.stream.split_at(load.stream.len() / 2);
    let (by_old_count, unread) = unread.split_at(unread.len() / 2);
    let (by_new_count, afterwards) = unread.split_at(unread.len() / 2);
    deployment.feed().send(processed.to_vec());
    process_to_end(&deployment, &mut instance);
    deployment.feed().send(by_old_count.to_vec());
    deployment.topics.grow(&input, N_AFTER);
    deployment.feed().send(by_new_count.to_vec());
    let before = deployment.watch().committed();
    let customers_before = customers(&deployment.topics.read_all(&state));

    let refused = |instance: &mut Instance| {
        let refusal = instance.refusal();
        assert!(refusal.contains("run `lifetide repartition`"), "{refusal}");
        let check = text(&deployment.command("check", &[]).output().unwrap());
        assert!(check.contains("run `lifetide repartition`"), "{check}");
    };
    refused(&mut instance);
    let plan = deployment.command("repartition", &[]).output().unwrap();
    assert!(plan.status.success() && text(&plan).contains("nothing is changed"), "{}", text(&plan));

    // One record a request, and none after these: it is met at work.
    let way = cluster.way();
    let brokers = format!("kafka.brokers={}", way.address());
    let held = ["--write", "--set", "kafka.client.batch.num.messages=1", "--set", &brokers];
    let ends = deployment.topics.end_offsets(&state);
    let aim = way.gate.aim(Api::Produce, Moment::Request, N_WRITTEN);
    let mut killed = deployment.start(deployment.command("repartition", &held), "killed.log");
    aim.wait(&mut killed);
    wait_until("what was written to be there", DEADLINE, || {
        let now = deployment.topics.end_offsets(&state);
        (now != ends).then_some(()).ok_or_else(|| format!("{now:?}"))
    });
    killed.kill_9();
    aim.cut();
    let (stable, ends) =
        (deployment.topics.stable_offsets(&state), deployment.topics.end_offsets(&state));
    assert!(stable.iter().zip(&ends).any(|(stable, end)| stable < end), "nothing was open");
    assert_eq!(deployment.watch().committed(), before);
    refused(&mut instance);

    let done = deployment.command("repartition", &["--write"]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let moved = customers(&deployment.topics.read_all(&state));
    assert_eq!(moved.len(), customers_before.len());
    let mut n_moved = 0;
    for (key, (partition, value)) in &customers_before {
        assert_eq!(&moved[key].1, value, "the state of {}", String::from_utf8_lossy(key));
        n_moved += usize::from(moved[key].0 != *partition);
    }
    assert!(n_moved * 2 > moved.len(), "`{n_moved}` of {} customers have moved", moved.len());
    let again = deployment.command("repartition", &["--write"]).output().unwrap();
    assert!(again.status.success() && text(&again).contains("nothing to do"), "{}", text(&again));

    deployment.feed().send(afterwards.to_vec());
    process_to_end(&deployment, &mut instance);
    let outcome = Outcome::read_moved(&deployment, &load);
    outcome.check_state();
    assert!(outcome.markers().values().all(|marker| marker.n_partitions == 7));
    // Each customer's order is kept; that of one customer's events to another's timers is not.
    outcome.check_replay(&["trend.state", "trend.since", "trend.driver", "segment.lifecycle"]);
    outcome.check_restore(&mut instance);
}

/// Goal: a group at work is left alone, and a process that sees its input grow stops by itself.
#[test]
fn a_running_group_is_not_repartitioned_and_stops_when_its_input_grows() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let mut instance = deployment.instance("at-work", 2);
    deployment.feed().send(load.stream[..200].to_vec());
    process_to_end(&deployment, &mut instance);
    let mut process = instance.start();
    instance.wait_until_ready(&mut process);

    let early = deployment.command("repartition", &["--write"]).output().unwrap();
    assert!(early.status.success() && text(&early).contains("nothing to do"), "{}", text(&early));
    deployment.topics.grow(&deployment.topic("events"), N_AFTER);
    let status = wait_until("the processor to notice", DEADLINE, || {
        process.exit_status().ok_or_else(|| process.log())
    });
    assert_eq!(status.code(), Some(1));
    assert!(process.log().contains("run `lifetide repartition`"), "{}", process.log());

    let other = deployment.topics.client(&[
        ("group.id", &deployment.topic("events").replace(".events", "")),
        ("group.instance.id", "somebody"),
        ("client.id", "somebody"),
        ("partition.assignment.strategy", "cooperative-sticky"),
    ]);
    let other: BaseConsumer = other.create().unwrap();
    other.subscribe(&[&deployment.topic("events")]).unwrap();
    wait_until("somebody to be in the group", DEADLINE, || {
        other.poll(Duration::from_millis(100));
        let n_owned = other.assignment().unwrap().count();
        (n_owned == N_AFTER).then_some(()).ok_or_else(|| n_owned.to_string())
    });
    let refused = deployment.command("repartition", &["--write"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("still has the members `somebody`"), "{}", text(&refused));
}

/// Goal: where producers place keys in a way that neither partitioner explains, nothing is moved.
#[test]
fn customers_that_no_partitioner_explains_are_not_moved() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    let state = deployment.topic("state");
    let order = |n: usize| Outgoing {
        key: Some(Key::Customer(&format!("customer {n}")).write()),
        payload: Some(vec![1, 0, 0, 0, 0, 0]),
        timestamp_ms: None,
    };
    // By its changelog key, tag and all, a customer lies elsewhere than by its id.
    deployment.topics.produce(&state, (0..100).map(order));
    deployment.topics.grow(&deployment.topic("events"), N_AFTER);
    let refused = deployment.command("repartition", &["--accept-loss"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("is unknown; start with a new group"), "{}", text(&refused));
}

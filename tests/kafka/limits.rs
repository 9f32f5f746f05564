//! What does not fit: poison before all else, records too large to be kept whole, transactions
//! larger than the way out, and topics of which a part is gone or too much is there. The output is
//! read with `read_committed`.

use crate::equality::Outcome;
use crate::support::cluster::Cluster;
use crate::support::deployment::Deployment;
use crate::support::load::{Load, Order};

/// Of the load.
const SEED: u64 = 1034;
/// Larger than a dead letter keeps, and as much as the test's producer takes.
const PAYLOAD_BYTES: usize = 960_000;
/// Larger than a dead letter keeps of a key.
const KEY_BYTES: usize = 90_000;

/// Goal: what cannot be used, and cannot even be kept whole, holds nothing up.
#[test]
fn poison_before_all_else_and_larger_than_a_letter_goes_to_the_dead_letters() {
    let Some(cluster) = Cluster::shared() else { return };
    let deployment = Deployment::new(&cluster.address());
    let mut load = Load::new(Order::Time, SEED);
    load.put_before(Load::oversize(SEED, PAYLOAD_BYTES, KEY_BYTES));
    let mut instance = deployment.instance("poisoned", 1);
    deployment.feed().send(load.stream.clone());
    instance.run_to_end(&deployment);

    let input = deployment.topics.read_all(&deployment.topic("events"));
    for first in input.into_iter().filter(|record| record.offset == 0) {
        let content = (first.key, first.payload);
        assert!(load.poison.contains_key(&content), "partition {} has none", first.partition);
    }
    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_restore(&mut instance);
}

/// Goal: a way out that is full is waited for, inside the transaction.
#[test]
fn transactions_larger_than_the_queue_of_the_producer_wait_for_room() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let narrow =
        ["kafka.client.queue.buffering.max.messages=16", "processing.transaction_events_max=2000"];
    let mut instance = deployment.instance("narrow", 2).with(&narrow);
    deployment.feed().send(load.stream.clone());
    instance.run_to_end(&deployment);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_signals_of_replay();
}

#[test]
fn events_that_were_deleted_before_they_were_read_are_missed_aloud() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let (early, late) = load.stream.split_at(load.stream.len() / 2);
    let mut instance = deployment.instance("retained", 1);
    let feed = deployment.feed();
    feed.send(early.to_vec());
    instance.run_to_end(&deployment);
    feed.send(late.to_vec());
    deployment.topics.delete_all(&deployment.topic("events"));
    let committed = deployment.watch().committed();
    let words =
        ["events were deleted before they were read", "start with a new group and changelog topic"];
    // Not the second time either.
    instance.start().wait_for_refusal(&words);
    instance.start().wait_for_refusal(&words);
    assert_eq!(deployment.watch().committed(), committed);
}

#[test]
fn a_changelog_of_which_records_were_deleted_is_refused() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let mut instance = deployment.instance("truncated", 1);
    deployment.feed().send(load.stream.clone());
    instance.run_to_end(&deployment);
    let state = deployment.topic("state");
    deployment.topics.configure(&state, "cleanup.policy", "delete");
    deployment.topics.delete_all(&state);
    let committed = deployment.watch().committed();
    let words = ["failed to restore partition", "start with a new group and changelog topic"];
    instance.start().wait_for_refusal(&words);
    assert_eq!(deployment.watch().committed(), committed);
}

/// Goal: more partitions would take customers away from their state, so nothing goes on with them:
/// neither a process that runs, nor a start, nor one after which the changelog has as many.
#[test]
fn an_input_topic_that_has_more_partitions_is_refused_in_flight_and_at_the_start() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let often = ["kafka.client.topic.metadata.refresh.interval.ms=1000"];
    let mut instance = deployment.instance("grows", 1).with(&often);
    deployment.feed().send(load.stream.clone());
    let mut process = instance.start();
    deployment.wait_for_end(&mut [&mut process]);
    let committed = deployment.watch().committed();

    deployment.topics.add_partitions(&deployment.topic("events"), 5);
    // Whoever notices first says it in their own words.
    let remedy = "run `lifetide repartition`";
    process.wait_for_refusal(&["partition", "`4`", remedy]);
    instance.start().wait_for_refusal(&["has `5` partitions", "has `4`", remedy]);
    deployment.topics.add_partitions(&deployment.topic("state"), 5);
    instance.start().wait_for_refusal(&["partition count was `4` and is now `5`", remedy]);
    assert_eq!(deployment.watch().committed()[..4], committed);
}

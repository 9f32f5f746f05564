//! Commits whose outcome nobody knows for a while: the broker dies with its answer, or has promised
//! the commit and not yet marked the partitions. One node, and three. The output is read with
//! `read_committed`.

use std::time::Duration;

use crate::equality::Outcome;
use crate::support::cluster::Cluster;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::proxy::{Api, Moment};
use crate::support::wait_until;

/// Of the load.
const SEED: u64 = 10_876;
/// One transaction for all that was sent, so that state of every node waits for its marker.
const LARGE: [&str; 2] =
    ["processing.commit_interval_ms=1500", "processing.transaction_events_max=100000"];
/// With a client that hangs and is given up after twice the stall timeout and the grace.
const DEADLINE: Duration = Duration::from_mins(5);
const N_PARTITIONS: i32 = 12;

/// Goal: the outcome is learnt from the broker that comes back, by asking again or by a restart;
/// the transaction counts once.
#[test]
fn a_commit_whose_answer_dies_with_the_broker_counts_once() {
    let Some(mut cluster) = Cluster::start(1, 1) else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let way = cluster.way();
    let mut instance = deployment.instance("doubts", 1).through(&way);
    let mut parts = load.stream.chunks(load.stream.len().div_ceil(2));
    deployment.feed().send(parts.next().unwrap().to_vec());

    let aim = way.gate.aim(Api::EndTxn, Moment::Reply, 3);
    let mut process = instance.start();
    aim.wait(&mut process);
    cluster.node(0).kill_9();
    aim.cut();
    cluster.node(0).restart();
    deployment.feed().send(parts.next().unwrap().to_vec());
    let (watch, ends) =
        (deployment.watch(), deployment.topics.end_offsets(&deployment.topic("events")));
    wait_until("all that was sent to be processed", DEADLINE, || {
        instance.keep_running(&mut process);
        watch.has_reached(&ends)
    });
    Instance::stop(process);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_restore(&mut instance);
}

/// Goal: the group's offsets are marked as committed, the changelog is not yet, and whoever was
/// told so is dead. A committed reader is shown an end that lies before the state: the heir waits.
#[test]
fn who_inherits_between_a_commit_and_its_markers_waits_for_the_state() {
    let Some(cluster) = Cluster::start(3, 1) else { return };
    let deployment = Deployment::of_partitions(&cluster.address(), N_PARTITIONS);
    let load = Load::new(Order::Time, SEED);
    let way = cluster.way();
    let mut dies = deployment.instance("dies", 1).through(&way).with(&LARGE);
    let mut inherits = deployment.instance("inherits", 1);
    let (early, late) = load.stream.split_at(load.stream.len() / 2);
    let feed = deployment.feed();
    feed.send(early.to_vec());
    let mut process = dies.start();
    deployment.wait_for_end(&mut [&mut process]);

    let group_node = way.gate.node_of(Api::TxnOffsetCommit).unwrap();
    let dam = cluster.among().dam_but(Api::WriteTxnMarkers, Moment::Request, group_node);
    feed.send(late.to_vec());
    dam.wait(&mut process);
    process.kill_9();
    let mut heir = inherits.start();
    heir.wait_for_log("restore waits for an open transaction to end", 1);
    dam.open();
    let (watch, ends) =
        (deployment.watch(), deployment.topics.end_offsets(&deployment.topic("events")));
    wait_until("all that was sent to be processed", DEADLINE, || {
        // Brokers that are slow to answer end it; the next one goes on.
        inherits.keep_running(&mut heir);
        watch.has_reached(&ends)
    });
    Instance::stop(heir);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_signals_of_replay();
    outcome.check_restore(&mut inherits);
}

/// Goal: the node that has committed a transaction dies with its answer, another node answers for
/// it, and a process dies too. Three processes share twelve partitions.
#[test]
fn three_processes_over_three_brokers_lose_nothing_with_one_of_each() {
    let Some(mut cluster) = Cluster::start(3, 1) else { return };
    let deployment = Deployment::of_partitions(&cluster.address(), N_PARTITIONS);
    let load = Load::new(Order::Time, SEED);
    let way = cluster.way();
    let mut doubts = deployment.instance("doubts", 1).through(&way);
    let (mut dies, mut lives) = (deployment.instance("dies", 1), deployment.instance("lives", 1));
    let feed = deployment.feed();
    let mut parts = load.stream.chunks(load.stream.len().div_ceil(4));
    let mut first = doubts.start();
    doubts.wait_until_ready(&mut first);
    let (mut second, mut third) = (dies.start(), lives.start());
    feed.send(parts.next().unwrap().to_vec());
    dies.wait_until_ready(&mut second);
    lives.wait_until_ready(&mut third);

    let aim = way.gate.aim(Api::EndTxn, Moment::Reply, 1);
    feed.send(parts.next().unwrap().to_vec());
    let node = aim.wait(&mut first);
    cluster.node(node).kill_9();
    aim.cut();
    feed.send(parts.next().unwrap().to_vec());
    second.kill_9();
    let mut second = dies.start();
    feed.send(parts.next().unwrap().to_vec());
    let (watch, ends) =
        (deployment.watch(), deployment.topics.end_offsets(&deployment.topic("events")));
    wait_until("all that was sent to be processed", DEADLINE, || {
        doubts.keep_running(&mut first);
        dies.keep_running(&mut second);
        lives.keep_running(&mut third);
        watch.has_reached(&ends)
    });
    cluster.node(node).restart();
    for process in [first, second, third] {
        Instance::stop(process);
    }

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_signals_of_replay();
    outcome.check_restore(&mut lives);
}

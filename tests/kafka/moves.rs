//! Partitions move at bad moments: while they are restored, while the broker is slow to take
//! records, and among more lanes than there are partitions. The output is read with
//! `read_committed`.

use crate::equality::Outcome;
use crate::support::cluster::Cluster;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::proxy::{Api, Moment};

/// Of the load.
const SEED: u64 = 1146;
/// Records that are in one transaction.
const PIECE: usize = 200;
/// Enough that each new member takes some from the first.
const N_PARTITIONS: i32 = 6;
/// Below the bound by what a slow machine adds to a callback, and not if it is spent twice.
const REVOKE_BUDGET: &str = "kafka.revoke_budget_ms=6000";
/// The bound, of the metrics' own.
const REVOKES_IN_TIME: &str = "lifetide_revoke_seconds_bucket{le=\"10\"}";

/// Goal: a restore that is cut short twice ends for all partitions, wherever they are then, and
/// nothing of them is processed before.
#[test]
fn two_members_who_join_during_a_restore_leave_no_partition_behind() {
    let Some(cluster) = Cluster::shared() else { return };
    let deployment = Deployment::of_partitions(&cluster.address(), N_PARTITIONS);
    let load = Load::new(Order::Time, SEED);
    let way = cluster.way();
    let mut restores = deployment.instance("restores", 1).through(&way);
    let (mut joins, mut follows) =
        (deployment.instance("joins", 1), deployment.instance("follows", 1));
    let (early, late) = load.stream.split_at(load.stream.len() / 2);
    let feed = deployment.feed();
    feed.send(early.to_vec());
    restores.run_to_end(&deployment);

    let n_before = way.gate.n_requests(Api::AddPartitionsToTxn);
    let (mut first, dam) = way.start_into_restore(&mut restores, Moment::Reply);
    dam.wait(&mut first);
    first.wait_for_log("partitions assigned", 1);
    feed.send(late.to_vec());
    let mut second = joins.start();
    first.wait_for_log("partitions revoked", 1);
    joins.wait_until_ready(&mut second);
    let mut third = follows.start();
    first.wait_for_log("partitions revoked", 2);
    assert!(!first.log().contains("restored partition"), "{}", first.log());
    dam.open();
    deployment.wait_for_end(&mut [&mut first, &mut second, &mut third]);
    restores.wait_until_ready(&mut first);
    joins.wait_until_ready(&mut second);
    follows.wait_until_ready(&mut third);
    assert!(way.gate.n_requests(Api::AddPartitionsToTxn) > n_before, "the first did nothing");
    for process in [first, second, third] {
        Instance::stop(process);
    }

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_restore(&mut restores);
}

/// Goal: the group waits no longer than the budget for a member whose broker is slow. Whoever takes
/// over has no part of the open transaction to wait for, and when the broker takes it after all,
/// its owner must not commit what has moved meanwhile; what has not moved it reads again.
#[test]
fn a_revoke_while_the_broker_acknowledges_slowly_keeps_its_budget_and_aborts() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let way = cluster.way();
    // One transaction of all partitions that lives as long as the test wants.
    let patient = [
        "kafka.session_timeout_ms=120000",
        "kafka.transaction_timeout_ms=100000",
        "processing.commit_interval_ms=500",
        "processing.transaction_events_max=2000",
        REVOKE_BUDGET,
    ];
    let mut gives = deployment.instance("gives", 1).through(&way).with(&patient);
    let mut takes = deployment.instance("takes", 1);
    let (early, late) = load.stream.split_at(load.stream.len() / 2);
    let (open, late) = late.split_at(PIECE);
    let feed = deployment.feed();
    feed.send(early.to_vec());
    let mut first = gives.start();
    deployment.wait_for_end(&mut [&mut first]);

    // It heartbeats and rejoins on a connection of its own.
    let dam = way.gate.dam(Api::Produce, Moment::Request);
    feed.send(open.to_vec());
    dam.wait(&mut first);
    let mut second = takes.start();
    second.wait_for_log("restored partition", 2);
    assert!(first.log().contains("the revoke budget is spent"), "{}", first.log());
    let [n_in_time, n_revokes] =
        [REVOKES_IN_TIME, "lifetide_revoke_seconds_count"].map(|name| gives.metric(name));
    assert!(n_revokes > 0 && n_in_time == n_revokes, "{n_in_time} of {n_revokes} in time");
    dam.open();
    first.wait_for_log("transaction aborted", 1);
    feed.send(late.to_vec());
    deployment.wait_for_end(&mut [&mut first, &mut second]);
    Instance::stop(first);
    Instance::stop(second);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_restore(&mut gives);
}

/// Goal: a member that is given nothing, and has nothing to give up, is no trouble to anyone.
#[test]
fn lanes_without_a_partition_stand_idle_and_take_over_when_they_must() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let mut crowd = deployment.instance("crowd", 6);
    let mut other = deployment.instance("other", 1);
    let feed = deployment.feed();
    let mut parts = load.stream.chunks(load.stream.len().div_ceil(3));

    let mut first = crowd.start();
    crowd.wait_until_ready(&mut first);
    feed.send(parts.next().unwrap().to_vec());
    let mut second = other.start();
    other.wait_until_ready(&mut second);
    feed.send(parts.next().unwrap().to_vec());
    deployment.wait_for_end(&mut [&mut first, &mut second]);
    first.kill_9();
    // The dead lanes' sessions end, and one lane has it all.
    feed.send(parts.next().unwrap().to_vec());
    deployment.wait_for_end(&mut [&mut second]);
    let mut first = crowd.start();
    crowd.wait_until_ready(&mut first);
    Instance::stop(first);
    Instance::stop(second);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_restore(&mut crowd);
}

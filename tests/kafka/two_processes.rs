//! Two processes share a group; one of them stops and comes back while events arrive. Its
//! partitions move to the other and return. The output is read with `read_committed`.

use std::time::Duration;

use crate::equality::Outcome;
use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::process::Process;
use crate::support::topics::{Feed, Outgoing};
use crate::support::wait_until;

/// Of the load.
const SEED: u64 = 1998;
/// With a session timeout of six seconds in it.
const DEADLINE: Duration = Duration::from_mins(2);
/// Records that are sent at a time.
const PIECE: usize = 20;

#[test]
fn a_process_that_stops_and_comes_back_during_the_load_loses_and_doubles_nothing() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let (mut stays, mut leaves) =
        (deployment.instance("stays", 1), deployment.instance("leaves", 1));
    let feed = deployment.feed();
    let mut parts = load.stream.chunks(load.stream.len().div_ceil(4));
    let mut part = || parts.next().unwrap();

    let mut first = stays.start();
    stays.wait_until_ready(&mut first);
    let mut second = leaves.start();
    send(&feed, part());
    wait_for_partitions(&mut second, 2);
    send(&feed, part());
    Instance::stop(second);
    // The stopped process is a static member: what it owned waits for its session to end.
    send(&feed, part());
    deployment.wait_for_end(&mut [&mut first]);
    let mut second = leaves.start();
    wait_for_partitions(&mut second, 2);
    send(&feed, part());
    deployment.wait_for_end(&mut [&mut first, &mut second]);
    Instance::stop(first);
    Instance::stop(second);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_signals_of_replay();
}

/// Goal: who leaves for good does not keep its partitions until its session times out, which would
/// be longer than this test waits.
#[test]
fn a_process_that_leaves_for_good_hands_its_partitions_over_at_once() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let patient = ["kafka.session_timeout_ms=300000"];
    let mut stays = deployment.instance("stays", 1).with(&patient);
    let mut leaves = deployment.instance("leaves", 1).with(&patient);
    let feed = deployment.feed();

    let mut first = stays.start();
    stays.wait_until_ready(&mut first);
    let mut second = leaves.start();
    wait_for_partitions(&mut second, 2);
    let (before, after) = load.stream.split_at(load.stream.len() / 2);
    send(&feed, before);
    Instance::leave(second);
    send(&feed, after);
    deployment.wait_for_end(&mut [&mut first]);
    Instance::stop(first);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
}

/// Goal: what a revoke has no time to commit is aborted while records are still under way, and the
/// process goes on with what it keeps.
#[test]
fn a_revoke_that_outlasts_its_budget_aborts_and_nothing_else_ends() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    // Each commit writes, and what it writes waits longer on its way out than the group waits for
    // it. No time ends a transaction here, only so many events.
    let slow = [
        "kafka.session_timeout_ms=120000",
        "kafka.transaction_timeout_ms=100000",
        "processing.commit_interval_ms=50000",
        "processing.transaction_events_max=500",
        "kafka.client.linger.ms=1500",
        "kafka.revoke_budget_ms=100",
    ];
    let mut gives = deployment.instance("gives", 1).with(&slow);
    let mut takes = deployment.instance("takes", 1);
    let (feed, scores) = (deployment.feed(), deployment.topic("scores"));
    let (open, rest) = load.stream.split_at(PIECE);
    let committed = "lifetide_transactions_total{outcome=\"committed\"}";

    let mut first = gives.start();
    gives.wait_until_ready(&mut first);
    feed.send(open.to_vec());
    wait_until("a transaction to be open", DEADLINE, || {
        first.assert_runs();
        let n_written: i64 = deployment.topics.end_offsets(&scores).iter().sum();
        (n_written > 0).then_some(()).ok_or_else(|| "no score".to_owned())
    });
    let mut second = takes.start();
    first.wait_for_log("transaction aborted", 1);
    assert_eq!(gives.metric(committed), 0);
    feed.send(rest.to_vec());
    wait_until("what is kept to be committed", DEADLINE, || {
        first.assert_runs();
        (gives.metric(committed) > 0).then_some(()).ok_or_else(|| first.log())
    });
    Instance::leave(first);
    deployment.wait_for_end(&mut [&mut second]);
    Instance::stop(second);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
}

/// In pieces, so that whoever processes them never has them all.
fn send(feed: &Feed, part: &[Outgoing]) {
    part.chunks(PIECE).for_each(|piece| feed.send(piece.to_vec()));
}

fn wait_for_partitions(process: &mut Process, n_partitions: usize) {
    wait_until(format!("the process to own {n_partitions} partitions"), DEADLINE, || {
        process.assert_runs();
        let n_restored = process.log().matches("restored partition").count();
        let seen = || format!("{n_restored} partitions restored");
        (n_restored >= n_partitions).then_some(()).ok_or_else(seen)
    });
}

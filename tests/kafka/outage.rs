//! The broker fails while the processor works: it is killed with kill -9 and started again, or it
//! refuses records for a while. Transactions abort or end with an outcome that nobody was told; no
//! event may be lost or counted twice. The output is read with `read_committed`.

use std::time::Duration;

use crate::equality::Outcome;
use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Dice, Load, Order};
use crate::support::process::Process;
use crate::support::{pause, wait_until};

/// Of the load, and of the moments of the outages.
const SEED: u64 = 4;
const N_OUTAGES: usize = 2;
const N_REFUSALS: usize = 3;
const DEADLINE: Duration = Duration::from_mins(2);
/// Records that are sent at a time.
const PIECE: usize = 20;

/// Goal: the processor goes on, or ends with exit code 1 and is started again.
#[test]
fn a_broker_that_is_killed_and_comes_back_costs_nothing() {
    let Some(mut broker) = Broker::start() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let mut instance = deployment.instance("outlives", 2);
    let mut dice = Dice::new(SEED);
    let mut parts = load.stream.chunks(load.stream.len().div_ceil(N_OUTAGES + 1));

    let mut process = instance.start();
    instance.wait_until_ready(&mut process);
    for part in parts.by_ref().take(N_OUTAGES) {
        let feed = deployment.feed();
        for piece in part.chunks(PIECE) {
            feed.send(piece.to_vec());
        }
        drop(feed);
        pause(Duration::from_millis(dice.below(100)));
        broker.kill_9();
        broker.restart();
    }
    let feed = deployment.feed();
    parts.for_each(|part| feed.send(part.to_vec()));

    let outcome = finish(&deployment, &load, &mut instance, process);
    outcome.check_restore(&mut instance);
}

/// Goal: who reads the log of an outage finds when it began and ended, not each failed connection
/// of each client.
#[test]
fn an_outage_is_told_once_and_so_is_its_end() {
    let Some(mut broker) = Broker::start() else { return };
    let deployment = Deployment::new(&broker.address());
    let mut instance = deployment.instance("tells", 2);
    let mut process = instance.start();
    instance.wait_until_ready(&mut process);
    broker.kill_9();
    process.wait_for_log("the brokers do not answer", 1);
    broker.restart();
    process.wait_for_log("the brokers answer again", 1);
    Instance::stop(process);
    let logs = instance.logs();
    let n_told = |words: &str| logs.matches(words).count();
    assert_eq!([n_told("do not answer"), n_told("answer again")], [1, 1], "{logs}");
    assert_eq!([n_told("Connect to"), n_told("AllBrokersDown")], [0, 0], "{logs}");
    assert!(logs.lines().count() < 60, "{logs}");
}

/// Waits until all that was sent is processed, stops, and holds what is there against the load.
fn finish<'a>(
    deployment: &'a Deployment,
    load: &'a Load,
    instance: &mut Instance,
    mut process: Process,
) -> Outcome<'a> {
    let watch = deployment.watch();
    let ends = deployment.topics.end_offsets(&deployment.topic("events"));
    wait_until("all that was sent to be processed", DEADLINE, || {
        instance.keep_running(&mut process);
        watch.has_reached(&ends)
    });
    Instance::stop(process);
    let outcome = Outcome::read(deployment, load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome
}

/// Goal: a transaction that aborts leaves nothing behind, and its events are read again, in order.
/// The process may end over it: what librdkafka resends after a refusal can outlast a transaction.
#[test]
fn a_topic_that_refuses_records_for_a_while_aborts_transactions_and_costs_nothing() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let mut instance = deployment.instance("aborts", 2);
    let feed = deployment.feed();
    let scores = deployment.topic("scores");
    let n_aborted = |instance: &Instance| instance.logs().matches("transaction aborted").count();
    let mut parts = load.stream.chunks(load.stream.len().div_ceil(2 * N_REFUSALS + 1));

    let mut process = instance.start();
    instance.wait_until_ready(&mut process);
    for _ in 0..N_REFUSALS {
        let n_before = n_aborted(&instance);
        for piece in parts.next().unwrap().chunks(PIECE) {
            feed.send(piece.to_vec());
        }
        deployment.topics.configure(&scores, "max.message.bytes", "100");
        feed.send(parts.next().unwrap().to_vec());
        wait_until("a transaction to abort", DEADLINE, || {
            instance.keep_running(&mut process);
            (n_aborted(&instance) > n_before).then_some(()).ok_or_else(|| instance.logs())
        });
        deployment.topics.configure(&scores, "max.message.bytes", "1048588");
    }
    parts.for_each(|part| feed.send(part.to_vec()));
    finish(&deployment, &load, &mut instance, process);
}

//! A partition that stalls: a proxy holds back what the broker answers to the reader, while all
//! else goes on, so that records wait and nothing fails. Read with `read_committed`.

use std::time::Duration;

use crate::equality::Outcome;
use crate::support::cluster::{Cluster, Way};
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::process::Process;
use crate::support::proxy::{Api, Moment};
use crate::support::wait_until;

const SEED: u64 = 60;
const DEADLINE: Duration = Duration::from_mins(2);

/// A process whose way to the broker is a proxy.
fn instance(deployment: &Deployment, way: &Way, timeout_s: u32) -> Instance {
    let timeout = format!("processing.stall_timeout_s={timeout_s}");
    deployment.instance("stalls", 2).with(&[&timeout]).through(way)
}

/// Processes half of the load, then stalls and gets the other half.
fn stall(deployment: &Deployment, load: &Load, instance: &Instance, process: &mut Process) {
    let (feed, watch) = (deployment.feed(), deployment.watch());
    let (first, _) = load.stream.split_at(load.stream.len() / 2);
    instance.wait_until_ready(process);
    feed.send(first.to_vec());
    wait_until_reached(deployment, process, &watch);
}

fn wait_until_reached(
    deployment: &Deployment,
    process: &mut Process,
    watch: &crate::support::topics::Watch,
) {
    let ends = deployment.topics.end_offsets(&deployment.topic("events"));
    wait_until("all that was sent to be processed", DEADLINE, || {
        process.assert_runs();
        watch.has_reached(&ends)
    });
}

#[test]
fn a_partition_that_stalls_is_named_and_goes_on_when_it_can() {
    let Some(cluster) = Cluster::shared() else { return };
    let (way, deployment) = (cluster.way(), Deployment::new(&cluster.address()));
    let load = Load::new(Order::Time, SEED);
    let mut instance = instance(&deployment, &way, 15);
    let mut process = instance.start();
    stall(&deployment, &load, &instance, &mut process);

    let dam = way.gate.dam(Api::Fetch, Moment::Reply);
    deployment.feed().send(load.stream[load.stream.len() / 2..].to_vec());
    wait_until("the stall to be seen", DEADLINE, || {
        process.assert_runs();
        match instance.get("/ready") {
            Ok((503, body)) if body.contains("records wait and none was processed for") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(matches!(instance.get("/live"), Ok((200, _))));
    assert!(process.log().contains("reading it again"), "{}", process.log());
    dam.open();

    wait_until_reached(&deployment, &mut process, &deployment.watch());
    instance.wait_until_ready(&mut process);
    Instance::stop(process);
    Outcome::read(&deployment, &load).check();
}

#[test]
fn a_partition_that_stalls_for_good_ends_the_process_and_a_restart_goes_on() {
    let Some(cluster) = Cluster::shared() else { return };
    let (way, deployment) = (cluster.way(), Deployment::new(&cluster.address()));
    let load = Load::new(Order::Time, SEED);
    let mut instance = instance(&deployment, &way, 5);
    let mut process = instance.start();
    stall(&deployment, &load, &instance, &mut process);

    let dam = way.gate.dam(Api::Fetch, Moment::Reply);
    deployment.feed().send(load.stream[load.stream.len() / 2..].to_vec());
    let status = wait_until("the process to end", DEADLINE, || {
        process.exit_status().ok_or_else(|| process.log())
    });
    assert_eq!(status.code(), Some(1), "{}", process.log());
    let log = process.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("partition `") && last.contains("a restart begins anew"), "{log}");
    dam.open();

    let mut process = instance.start();
    wait_until_reached(&deployment, &mut process, &deployment.watch());
    Instance::stop(process);
    Outcome::read(&deployment, &load).check();
}

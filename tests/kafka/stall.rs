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

/// Of those who have work: a broker that is busy for longer is none of what is shown here.
const PATIENT: &str = "processing.stall_timeout_s=60";

/// Processes half of the load, and starts what stalls when it gets the other half: until then it
/// has nothing to do. Its way to the broker is a proxy.
fn start(deployment: &Deployment, load: &Load, way: &Way, timeout_s: u32) -> (Instance, Process) {
    let mut instance = deployment.instance("stalls", 2).through(way).with(&[PATIENT]);
    deployment.feed().send(load.stream[..load.stream.len() / 2].to_vec());
    instance.run_to_end(deployment);
    let mut instance = instance.with(&[&format!("processing.stall_timeout_s={timeout_s}")]);
    let mut process = instance.start();
    instance.wait_until_ready(&mut process);
    (instance, process)
}

#[test]
fn a_partition_that_stalls_is_named_and_goes_on_when_it_can() {
    let Some(cluster) = Cluster::shared() else { return };
    let (way, deployment) = (cluster.way(), Deployment::new(&cluster.address()));
    let load = Load::new(Order::Time, SEED);
    let (instance, mut process) = start(&deployment, &load, &way, 15);

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

    deployment.wait_for_end(&mut [&mut process]);
    instance.wait_until_ready(&mut process);
    Instance::stop(process);
    Outcome::read(&deployment, &load).check();
}

#[test]
fn a_partition_that_stalls_for_good_ends_the_process_and_a_restart_goes_on() {
    let Some(cluster) = Cluster::shared() else { return };
    let (way, deployment) = (cluster.way(), Deployment::new(&cluster.address()));
    let load = Load::new(Order::Time, SEED);
    let (instance, mut process) = start(&deployment, &load, &way, 5);

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

    instance.with(&[PATIENT]).run_to_end(&deployment);
    Outcome::read(&deployment, &load).check();
}

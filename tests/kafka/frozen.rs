//! A process that is frozen for longer than its group waits (SIGSTOP), and goes on as if no time
//! had passed. What it held is another's by then. The output is read with `read_committed`.

use std::time::Duration;

use serde_json::Value;

use crate::equality::Outcome;
use crate::support::cluster::Cluster;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::proxy::{Api, Moment};
use crate::support::wait_until;

/// Of the load.
const SEED: u64 = 19;
const DEADLINE: Duration = Duration::from_mins(2);
/// What a foreign transaction may cost who takes over: its timeout, which the deployment sets, and
/// as much again for the broker to notice.
const BLOCKED_MS_MAX: u64 = 2 * 5000;

/// Goal: a zombie's transaction, whose commit arrives after all, is never seen.
#[test]
fn a_zombie_inside_a_transaction_shows_nothing_once_its_partitions_have_moved() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let way = cluster.way();
    let mut freezes = deployment.instance("zombie", 1).through(&way);
    let mut inherits = deployment.instance("heir", 1);
    let (early, late) = load.stream.split_at(load.stream.len() / 2);
    let feed = deployment.feed();
    feed.send(early.to_vec());

    let aim = way.gate.aim(Api::EndTxn, Moment::Request, 2);
    let mut zombie = freezes.start();
    aim.wait(&mut zombie);
    zombie.freeze();
    let mut heir = inherits.start();
    feed.send(late.to_vec());
    deployment.wait_for_end(&mut [&mut heir]);
    let blocked_ms = restores_ms(&heir.log());
    assert_eq!(blocked_ms.len(), 4);
    assert!(blocked_ms.iter().all(|ms| *ms < BLOCKED_MS_MAX), "{blocked_ms:?}");

    aim.open();
    zombie.thaw();
    wait_until("the zombie to learn what it is", DEADLINE, || {
        let has_ended = zombie.exit_status().is_some();
        let has_learnt = has_ended || zombie.log().contains("transaction aborted");
        has_learnt.then_some(()).ok_or_else(|| zombie.log())
    });
    freezes.keep_running(&mut zombie);
    freezes.wait_until_ready(&mut zombie);
    Instance::stop(zombie);
    Instance::stop(heir);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_signals_of_replay();
    outcome.check_restore(&mut inherits);
}

/// How long each restore took.
fn restores_ms(log: &str) -> Vec<u64> {
    let lines = log.lines().filter(|line| line.contains("restored partition"));
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    lines.map(|text| line(text)["duration_ms"].as_u64().unwrap()).collect()
}

/// Goal: who has lost everything commits nothing of it and takes part again, in the same process;
/// once while nothing comes in, and once with events waiting that it reads before it learns.
#[test]
fn a_process_that_the_group_gave_up_commits_nothing_and_joins_again() {
    let Some(cluster) = Cluster::shared() else { return };
    let (deployment, load) = (Deployment::new(&cluster.address()), Load::new(Order::Time, SEED));
    let way = cluster.way();
    let mut instance = deployment.instance("given-up", 1).through(&way);
    let mut parts = load.stream.chunks(load.stream.len().div_ceil(3));
    let feed = deployment.feed();
    let has_left = || {
        wait_until("the group to give the process up", DEADLINE, || {
            let n_members = deployment.topics.n_members(deployment.group());
            (n_members == 0).then_some(()).ok_or_else(|| format!("{n_members} members"))
        });
    };

    let mut process = instance.start();
    feed.send(parts.next().unwrap().to_vec());
    deployment.wait_for_end(&mut [&mut process]);
    let n_commits = way.gate.n_requests(Api::TxnOffsetCommit);
    process.freeze();
    has_left();
    process.thaw();
    process.wait_for_log("partitions lost to another member", 1);
    process.wait_for_log("partitions assigned", 2);
    assert_eq!(way.gate.n_requests(Api::TxnOffsetCommit), n_commits);

    feed.send(parts.next().unwrap().to_vec());
    deployment.wait_for_end(&mut [&mut process]);
    process.freeze();
    has_left();
    feed.send(parts.next().unwrap().to_vec());
    process.thaw();
    process.wait_for_log("partitions lost to another member", 2);
    deployment.wait_for_end(&mut [&mut process]);
    Instance::stop(process);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_restore(&mut instance);
}

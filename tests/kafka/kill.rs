//! The processor is killed with kill -9 again and again, while it works and while it starts, and
//! restarted under the same identity. In the end everything is there exactly once. Its output is
//! read with `read_committed`.

use std::time::Duration;

use crate::equality::Outcome;
use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Dice, Load, Order};
use crate::support::{pause, wait_until};

/// Of loads, and of the moments of the kills.
const SEED: u64 = 1997;
const FIRST_COMMIT_DEADLINE: Duration = Duration::from_mins(1);
const END_DEADLINE: Duration = Duration::from_mins(2);
/// Records that are sent at a time while the processor works.
const PIECE: usize = 20;

/// Goal: with the whole history shuffled only what depends on the order may differ from a recount
/// in order of time.
#[test]
fn a_shuffled_history_survives_ten_kills() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Shuffled, SEED));
    let mut instance = deployment.instance("killed", 2);
    process_through_kills(&deployment, &load, &mut instance, 10);

    let n_aborted = n_aborted_scores(&deployment);
    assert!(n_aborted > 0, "no kill has hit a transaction: this run shows little");
    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&["trend.state", "trend.since", "trend.driver", "segment.lifecycle"]);
    outcome.check_restore(&mut instance);
}

#[test]
fn a_history_in_order_of_time_equals_its_replay_through_four_kills() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let mut instance = deployment.instance("killed", 2);
    process_through_kills(&deployment, &load, &mut instance, 4);

    let outcome = Outcome::read(&deployment, &load);
    outcome.check();
    outcome.check_replay(&[]);
    outcome.check_signals_of_replay();
    outcome.check_restore(&mut instance);
}

fn process_through_kills(
    deployment: &Deployment,
    load: &Load,
    instance: &mut Instance,
    n_kills: usize,
) {
    let mut dice = Dice::new(SEED);
    let (feed, watch) = (deployment.feed(), deployment.watch());
    let mut lives = load.stream.chunks(load.stream.len().div_ceil(n_kills + 1));
    for life in lives.by_ref().take(n_kills) {
        let n_before = watch.n_committed();
        let mut process = instance.start();
        let (at_start, at_work) = life.split_at(life.len() / 2);
        feed.send(at_start.to_vec());
        if dice.below(3) == 0 {
            pause(Duration::from_millis(100 + dice.below(900)));
            feed.send(at_work.to_vec());
        } else {
            wait_until("the first commit after a kill", FIRST_COMMIT_DEADLINE, || {
                process.assert_runs();
                let n_committed = watch.n_committed();
                let seen = || format!("{n_committed} committed, as before");
                (n_committed > n_before).then_some(()).ok_or_else(seen)
            });
            at_work.chunks(PIECE).for_each(|piece| feed.send(piece.to_vec()));
            pause(Duration::from_millis(dice.below(40)));
        }
        process.kill_9();
    }
    let mut process = instance.start();
    lives.for_each(|rest| feed.send(rest.to_vec()));
    let ends = deployment.topics.end_offsets(&deployment.topic("events"));
    wait_until("the end of the history", END_DEADLINE, || {
        process.assert_runs();
        watch.has_reached(&ends)
    });
    Instance::stop(process);
}

/// Scores that lie in the topic and are not committed.
fn n_aborted_scores(deployment: &Deployment) -> usize {
    let topic = deployment.topic("scores");
    let n_written = deployment.topics.read_all_uncommitted(&topic).len();
    n_written - deployment.topics.read_all(&topic).len()
}

/// Goal: a second process joins, the first gives partitions up for it, and both are killed before
/// the second has them. Restarted as static members they are not told to share out again.
#[test]
fn partitions_on_their_way_between_two_killed_processes_find_an_owner() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let mut gives = deployment.instance("gives", 1);
    let mut takes = deployment.instance("takes", 1);
    let (feed, watch) = (deployment.feed(), deployment.watch());
    let mut first = gives.start();
    gives.wait_until_ready(&mut first);
    let second = takes.start();
    feed.send(load.stream.clone());
    wait_until("partitions to be on their way", END_DEADLINE, || {
        first.assert_runs();
        first.log().contains("partitions revoked").then_some(()).ok_or_else(|| first.log())
    });
    first.kill_9();
    second.kill_9();

    let (mut first, mut second) = (gives.start(), takes.start());
    let ends = deployment.topics.end_offsets(&deployment.topic("events"));
    wait_until("the end of the history", END_DEADLINE, || {
        first.assert_runs();
        second.assert_runs();
        watch.has_reached(&ends)
    });
    Instance::stop(first);
    Instance::stop(second);
    Outcome::read(&deployment, &load).check();
}

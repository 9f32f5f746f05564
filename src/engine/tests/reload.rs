//! Other rules and another model come while the lane works: whatever the commit at which they come,
//! all goes on as if the process had been started anew under them there.

use super::outcome::Outcome;
use super::workload::Shop;
use super::world::{Setup, World};
use crate::config::Emit;
use crate::engine::remodel::Remodel;
use crate::engine::{Input, Topic};

/// Two years of some 30 customers.
const SHOP: Shop =
    Shop { seed: 11, n_partitions: 2, n_customers: 16, n_days: 730, is_in_order: false };

/// Stands after so many commits, with nothing open.
fn stand_at(setup: &Setup, n_committed: usize) -> World {
    let mut world = World::new(setup, &SHOP.logs());
    world.run_to(n_committed).unwrap();
    world.commit();
    world
}

/// Every partition as it would be judged under `setup`.
fn prepared(world: &World, setup: &Setup) -> Vec<Input> {
    let pipeline = setup.pipeline();
    let prepare = |partition| {
        let customers = world.store.customers(partition).unwrap();
        Input::Model(Remodel::prepare(partition, customers, &pipeline))
    };
    world.source.partitions().into_iter().map(prepare).collect()
}

fn changed(mut world: World, setup: &Setup, remodels: Vec<Input>) -> Outcome {
    for remodel in remodels {
        world.give(remodel).unwrap();
        world.commit();
    }
    world.setup = setup.clone();
    finished(world)
}

/// The counter of what a change of the model moved knows of no restart.
fn finished(mut world: World) -> Outcome {
    world.run().unwrap();
    let mut outcome = world.outcome();
    outcome.counts.retain(|line| !line.contains("driver=\"model\""));
    outcome
}

fn restarted(mut world: World, setup: &Setup) -> Outcome {
    world.setup = setup.clone();
    world.restart();
    finished(world)
}

fn check(setup: &Setup, stride: usize) {
    let new = Setup { is_changed: true, ..setup.clone() };
    let mut whole = World::new(setup, &SHOP.logs());
    whole.run().unwrap();
    let (n_committed, unchanged) = (whole.n_committed(), whole.outcome());
    assert!(n_committed > 50, "{n_committed}");
    let mut n_signals = Vec::new();
    for at in (1..n_committed).step_by(stride) {
        let how = format!("changed after {at} of {n_committed} commits");
        let world = stand_at(setup, at);
        let remodels = prepared(&world, &new);
        let changed_here = changed(world, &new, remodels);
        changed_here.assert_same(&restarted(stand_at(setup, at), &new), &how);
        n_signals.push(changed_here.n_written(Topic::Signals));

        // What was judged beside the engine is stale where customers have changed since.
        let mut world = stand_at(setup, at);
        let remodels = prepared(&world, &new);
        world.run_to(at + 7).unwrap();
        world.commit();
        let n_here = world.n_committed();
        let stale = changed(world, &new, remodels);
        let mut other = stand_at(setup, at);
        other.run_to(at + 7).unwrap();
        other.commit();
        assert_eq!(other.n_committed(), n_here);
        stale.assert_same(&restarted(other, &new), &format!("{how}, 7 commits later"));
    }
    // The earlier it comes, the more comes of it.
    let n_unchanged = unchanged.n_written(Topic::Signals);
    assert!(n_signals[0] > n_unchanged, "{n_signals:?} {n_unchanged}");
}

#[test]
fn a_change_of_the_rules_and_the_model_at_any_commit_is_as_a_restart_there() {
    check(&Setup::new(Emit::Event), 17);
}

#[test]
fn the_same_where_commits_are_scored_and_transactions_are_small() {
    let small = Setup { n_batch: 3, events_max: 4, ..Setup::new(Emit::Commit) };
    check(&small, 71);
}

#[test]
fn the_same_without_a_model() {
    check(&Setup { has_model: false, ..Setup::new(Emit::Event) }, 29);
}

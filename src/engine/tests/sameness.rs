//! Whatever fails, whenever it commits and wherever it is restarted: the same outcome.

use super::broker::{Written, abort, fatal};
use super::outcome::Outcome;
use super::source::Logs;
use super::workload::Shop;
use super::world::{Setup, World};
use crate::config::Emit;
use crate::engine::Topic;

/// Small enough to fail at each of its calls.
const SMALL: Shop =
    Shop { seed: 24, n_partitions: 2, n_customers: 4, n_days: 420, is_in_order: false };

/// Two years of some 30 customers.
const LARGE: Shop =
    Shop { seed: 7, n_partitions: 2, n_customers: 16, n_days: 730, is_in_order: false };

fn run(setup: &Setup, logs: &Logs) -> World {
    let mut world = World::new(setup, logs);
    world.run().unwrap();
    world
}

/// The number of calls of an undisturbed run, and its outcome.
fn undisturbed(setup: &Setup, logs: &Logs) -> (u64, Outcome) {
    let world = run(setup, logs);
    let n_calls = world.broker.0.borrow().n_calls;
    assert_eq!(world.broker.0.borrow().n_aborts, 0);
    (n_calls, world.outcome())
}

fn with_small_transactions(emit: Emit) -> Setup {
    Setup { n_batch: 3, events_max: 4, ..Setup::new(emit) }
}

/// The value of an unlabelled counter.
fn count(outcome: &Outcome, name: &str) -> u64 {
    let value = outcome.counts.iter().find_map(|line| line.strip_prefix(name)).unwrap();
    value.trim().parse().unwrap()
}

#[test]
fn the_workload_has_all_that_can_go_wrong() {
    for (shop, at_least) in [(SMALL, 1), (LARGE, 5)] {
        let (_, outcome) = undisturbed(&Setup::new(Emit::Event), &shop.logs());
        for name in ["duplicates", "erased_events", "dead_letters"] {
            let n = count(&outcome, &format!("lifetide_{name}_total"));
            assert!(n >= at_least, "{name} {n} {shop:?}");
        }
        let n_fired = count(&outcome, "lifetide_timers_fired_total");
        assert!(n_fired >= 60 * at_least, "{n_fired}");
        assert!(outcome.n_written(Topic::Signals) as u64 >= 6 * at_least);
        let is_tombstone = |written: &Written| written.value.is_none();
        assert!(outcome.topics.values().flatten().any(is_tombstone));
    }
}

fn check_aborts(setup: &Setup, shop: Shop, stride: usize) {
    let logs = shop.logs();
    let (n_calls, expect) = undisturbed(setup, &logs);
    for n_call in (1..=n_calls).step_by(stride) {
        let mut world = World::new(setup, &logs);
        world.fail_at(n_call, abort());
        world.run().unwrap();
        assert!(world.broker.0.borrow().faults.is_empty());
        world.outcome().assert_same(&expect, &format!("aborted at call {n_call} of {n_calls}"));
    }
}

#[test]
fn an_abort_at_any_call_changes_nothing_when_every_event_is_scored() {
    check_aborts(&with_small_transactions(Emit::Event), SMALL, 1);
}

#[test]
fn an_abort_at_any_call_changes_no_state_signal_or_last_score_when_commits_are_scored() {
    check_aborts(&Setup::new(Emit::Commit), SMALL, 1);
}

#[test]
fn an_abort_in_two_years_of_thirty_customers_changes_nothing() {
    check_aborts(&Setup::new(Emit::Event), LARGE, 401);
}

#[test]
fn one_abort_after_the_other_changes_nothing() {
    let setup = with_small_transactions(Emit::Event);
    let logs = LARGE.logs();
    let (n_calls, expect) = undisturbed(&setup, &logs);
    let mut world = World::new(&setup, &logs);
    for n_call in (1..2 * n_calls).step_by(29) {
        world.fail_at(n_call, abort());
    }
    world.run().unwrap();
    assert!(world.broker.0.borrow().n_aborts > 100);
    world.outcome().assert_same(&expect, "aborted at every 29th call");
}

fn check_batches(emit: Emit) {
    let logs = LARGE.logs();
    // All in one transaction.
    let whole = Setup { n_batch: 1_000_000, commit_interval_ms: 1_000_000, ..Setup::new(emit) };
    let expect = run(&whole, &logs);
    assert_eq!(expect.n_committed(), 1);
    let expect = expect.outcome();
    for (n_batch, events_max, commit_interval_ms) in
        [(1, 1, 0), (1, 2, 0), (7, 3, 1), (2, 1000, 0), (3, 1000, 2), (64, 5, 0), (200, 50, 3)]
    {
        let setup = Setup { n_batch, events_max, commit_interval_ms, ..whole.clone() };
        let how =
            format!("{n_batch} records a batch, {events_max} events, {commit_interval_ms} ms");
        let world = run(&setup, &logs);
        assert!(world.n_committed() > 10);
        world.outcome().assert_same(&expect, &how);
    }
}

#[test]
fn batches_and_interrupted_timers_change_nothing_when_every_event_is_scored() {
    check_batches(Emit::Event);
}

#[test]
fn batches_and_interrupted_timers_change_no_last_score_when_commits_are_scored() {
    check_batches(Emit::Commit);
}

#[test]
fn commits_after_any_number_of_records_change_nothing() {
    let logs = SMALL.logs();
    let setup = Setup::new(Emit::Event);
    let (_, expect) = undisturbed(&setup, &logs);
    let n_records = logs.values().map(Vec::len).max().unwrap();
    for n_batch in 1..=n_records {
        let setup = Setup { n_batch, commit_interval_ms: 0, ..setup.clone() };
        run(&setup, &logs).outcome().assert_same(&expect, &format!("{n_batch} records"));
    }
}

#[test]
fn a_restart_after_any_commit_changes_nothing() {
    for emit in [Emit::Event, Emit::Commit] {
        let setup = with_small_transactions(emit);
        let logs = SMALL.logs();
        let expect = run(&setup, &logs);
        let n_committed = expect.n_committed();
        let expect = expect.outcome();
        for n in 0..n_committed {
            let mut world = World::new(&setup, &logs);
            world.run_to(n).unwrap();
            world.restart();
            world.run().unwrap();
            world.outcome().assert_same(&expect, &format!("restarted after commit {n}"));
        }
    }
}

#[test]
fn a_failure_at_any_call_ends_the_run_and_the_next_one_goes_on_from_the_last_commit() {
    let setup = with_small_transactions(Emit::Event);
    let logs = SMALL.logs();
    let (n_calls, expect) = undisturbed(&setup, &logs);
    for n_call in (1..=n_calls).step_by(7) {
        let mut world = World::new(&setup, &logs);
        world.fail_at(n_call, fatal());
        assert_eq!(world.run(), Err("told to fail".to_owned()));
        world.restart();
        world.run().unwrap();
        world.outcome().assert_same(&expect, &format!("failed at call {n_call}"));
    }
}

#[test]
fn a_restart_at_every_commit_changes_nothing_over_two_years() {
    let setup = Setup { events_max: 20, ..Setup::new(Emit::Event) };
    let logs = LARGE.logs();
    let (_, expect) = undisturbed(&setup, &logs);
    let mut world = World::new(&setup, &logs);
    let mut n_committed = 0;
    loop {
        n_committed += 5;
        world.run_to(n_committed).unwrap();
        if world.n_committed() < n_committed {
            break;
        }
        world.restart();
    }
    assert!(n_committed > 100, "{n_committed}");
    world.outcome().assert_same(&expect, "restarted at every 5th commit");
}

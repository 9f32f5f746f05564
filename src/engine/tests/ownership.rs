//! Partitions come and go: epochs, restored states, revocations, losses, and the end of a lane.

use crossbeam_channel::{Receiver, bounded};

use super::broker::{abort, fatal};
use super::source::Logs;
use super::workload::{Shop, log, order};
use super::world::{Setup, World};
use crate::config::Emit;
use crate::engine::{Command, Flow, Input};

/// Six orders of one customer, one a week.
fn weekly() -> Logs {
    log(&(0..6).map(|week| order("0-a", week * 7, 4000)).collect::<Vec<_>>())
}

/// Commits when told to.
fn setup() -> Setup {
    Setup { commit_interval_ms: 1000, ..Setup::new(Emit::Event) }
}

/// Two partitions of which the first records are in an open transaction.
fn two_partitions() -> World {
    let shop = Shop { seed: 1, n_partitions: 2, n_customers: 2, n_days: 200, is_in_order: false };
    let mut world = World::new(&setup(), &shop.logs());
    for partition in [0, 1] {
        let records = world.records(partition, 3);
        world.give(records).unwrap();
    }
    assert!(world.broker.0.borrow().is_open());
    world
}

/// Tells the engine that partition 0 goes to another member; gives what it said and the answer.
fn take_away(world: &mut World, is_lost: bool) -> (Result<Flow, String>, Receiver<()>) {
    let (acknowledge, answered) = bounded(1);
    world.broker.0.borrow_mut().not_after = Some(answered.clone());
    let partitions = vec![0];
    let said = world.give(if is_lost {
        Input::Lost { partitions, acknowledge }
    } else {
        Input::Revoked { partitions, acknowledge }
    });
    world.broker.0.borrow_mut().not_after = None;
    (said, answered)
}

#[test]
fn a_partition_that_stalls_is_read_again_from_where_it_stands() {
    let mut world = World::new(&setup(), &weekly());
    let first = world.records(0, 2);
    world.give(first).unwrap();
    world.commit();
    let late = world.records(0, 1);
    world.give(Input::Stalled { partition: 0, offset_low: 0 }).unwrap();
    world.give(late).unwrap();
    assert!(!world.broker.0.borrow().is_open(), "dropped until the reader has rewound");
    assert_eq!(world.obey(), 1);
    let rest = world.records(0, 4);
    world.give(rest).unwrap();
    world.commit();
}

#[test]
fn what_is_staged_of_a_partition_that_stalls_is_dropped_and_read_again() {
    let mut world = World::new(&setup(), &weekly());
    let first = world.records(0, 2);
    world.give(first).unwrap();
    assert!(world.broker.0.borrow().is_open());
    world.give(Input::Stalled { partition: 0, offset_low: 0 }).unwrap();
    assert!(!world.broker.0.borrow().is_open());
    assert_eq!(world.obey(), 1);
    let all = world.records(0, 6);
    world.give(all).unwrap();
    world.commit();
}

#[test]
fn records_read_before_a_rewind_are_dropped() {
    let mut world = World::new(&setup(), &weekly());
    let [first, ahead, behind] = [2, 2, 1].map(|n| world.records(0, n));
    world.give(first).unwrap();
    world.fail_next(abort());
    world.commit();
    world.give(ahead).unwrap();
    assert!(!world.broker.0.borrow().is_open(), "dropped until the reader has rewound");
    assert_eq!(world.obey(), 1);
    let again = world.records(0, 2);
    world.give(again).unwrap();
    world.give(behind).unwrap();
    world.commit();
    assert_eq!(world.broker.0.borrow().offsets, [(0, 2)].into());
    world.run().unwrap();
    let mut expect = World::new(&setup(), &weekly());
    expect.run().unwrap();
    world.outcome().assert_same(&expect.outcome(), "rewound");
}

#[test]
fn the_first_abort_rewinds_to_where_the_partition_began() {
    let mut logs = weekly();
    logs.get_mut(&0).unwrap().drain(..2);
    let mut world = World::new(&setup(), &logs);
    let records = world.records(0, 2);
    world.give(records).unwrap();
    world.fail_next(abort());
    world.commit();
    let epoch = world.source.epoch(0);
    assert_eq!(world.commands(), [Command::Rewind { partition: 0, epoch, offset_next: 2 }]);
}

#[test]
fn a_state_restored_for_an_earlier_assignment_is_ignored() {
    let mut world = World::idle(&setup(), weekly());
    let first = world.source.assign(0);
    world.give(world.assigned(0, first)).unwrap();
    let stale = world.restored(0, first);
    take_away(&mut world, false).0.unwrap();
    world.give(Input::Restored(Box::new(world.restored(0, first)))).unwrap();
    assert_eq!((world.engine.n_running(), world.commands()), (0, vec![]));
    let second = world.source.assign(0);
    world.give(world.assigned(0, second)).unwrap();
    world.give(Input::Restored(Box::new(stale))).unwrap();
    assert_eq!((world.engine.n_running(), world.commands()), (0, vec![]));
    world.give(Input::Restored(Box::new(world.restored(0, second)))).unwrap();
    assert_eq!((world.engine.n_running(), world.store.owned()), (1, vec![0]));
    let resume = Command::Resume { partition: 0, epoch: second, offset_next: None };
    assert_eq!(world.commands(), [resume]);
}

#[test]
fn a_state_restored_before_its_assignment_is_heard_of_is_kept_for_it() {
    let mut world = World::idle(&setup(), weekly());
    let epoch = world.source.assign(0);
    world.give(Input::Restored(Box::new(world.restored(0, epoch)))).unwrap();
    assert_eq!((world.engine.n_running(), world.commands()), (0, vec![]));
    world.give(world.assigned(0, epoch)).unwrap();
    assert_eq!(world.engine.n_running(), 1);
    assert_eq!(world.commands(), [Command::Resume { partition: 0, epoch, offset_next: None }]);
}

/// Found by `lifetide simulate`: with a full queue, a revoke and the next assignment of the same
/// partition wait while its restore, which hands over by itself, is done.
#[test]
fn a_state_that_overtakes_a_revoke_and_its_assignment_is_kept() {
    for is_lost in [false, true] {
        let mut world = World::new(&setup(), &weekly());
        let epoch = world.source.assign(0);
        world.give(Input::Restored(Box::new(world.restored(0, epoch)))).unwrap();
        take_away(&mut world, is_lost).0.unwrap();
        world.give(world.assigned(0, epoch)).unwrap();
        assert_eq!((world.engine.n_running(), world.store.owned()), (1, vec![0]));
    }
}

#[test]
fn nothing_is_processed_before_the_state_is_restored() {
    let mut world = World::new(&setup(), &weekly());
    let early = world.records(0, 2);
    take_away(&mut world, false).0.unwrap();
    let epoch = world.source.epoch(0);
    world.give(world.assigned(0, epoch)).unwrap();
    world.give(early).unwrap();
    world.give(Input::Tick { partition: 0, epoch, until_ms: i64::MAX }).unwrap();
    assert!(!world.broker.0.borrow().is_open());
}

#[test]
fn a_revoke_commits_what_is_open_before_it_acknowledges() {
    let mut world = two_partitions();
    let after = world.records(0, 3);
    let (said, answered) = take_away(&mut world, false);
    assert_eq!((said, answered.try_recv()), (Ok(Flow::Continue), Ok(())));
    assert_eq!(world.broker.0.borrow().budget_ms, 700);
    assert_eq!(world.broker.0.borrow().committed[0].offsets.len(), 2);
    assert_eq!(world.store.owned(), [1]);
    world.source.release(0);
    let offsets = world.broker.0.borrow().offsets.clone();
    world.give(after).unwrap();
    assert!(!world.broker.0.borrow().is_open(), "another member reads this partition");
    world.run().unwrap();
    assert_eq!(world.broker.0.borrow().offsets[&0], offsets[&0]);
    assert!(world.broker.0.borrow().offsets[&1] > offsets[&1]);
}

#[test]
fn a_revoke_over_its_budget_aborts_and_what_stays_is_read_again() {
    let mut world = two_partitions();
    world.source.release(0);
    let (said, answered) = take_away(&mut world, false);
    assert_eq!((said, answered.try_recv()), (Ok(Flow::Continue), Ok(())));
    assert_eq!(world.n_committed(), 0);
    assert_eq!(world.metric("lifetide_transaction_aborts_total{cause=\"revoke_budget\"}"), 1);
    world.obey();
    world.run().unwrap();
    let mut expect = two_partitions();
    expect.run().unwrap();
    let (outcome, mut expect) = (world.outcome(), expect.outcome());
    expect.topics.retain(|(_, partition), _| *partition == 1);
    expect.state.retain(|(partition, _), _| *partition == 1);
    expect.offsets.remove(&0);
    expect.counts.clone_from(&outcome.counts);
    outcome.assert_same(&expect, "partition 1 after the abort");
}

#[test]
fn a_loss_aborts_and_never_commits() {
    let mut world = two_partitions();
    let after = world.records(0, 3);
    world.source.release(0);
    let (said, answered) = take_away(&mut world, true);
    assert_eq!((said, answered.try_recv()), (Ok(Flow::Continue), Ok(())));
    assert_eq!((world.n_committed(), world.broker.0.borrow().n_aborts), (0, 1));
    assert_eq!(world.metric("lifetide_transaction_aborts_total{cause=\"assignment_lost\"}"), 1);
    assert_eq!(world.store.owned(), [1]);
    world.give(after).unwrap();
    world.obey();
    world.run().unwrap();
    let partitions: Vec<i32> = world.broker.0.borrow().offsets.keys().copied().collect();
    assert_eq!(partitions, [1]);
    let offset_next = world.broker.0.borrow().offsets[&1];
    assert!(world.source.read(1, 1).is_none() && offset_next > 3);
}

#[test]
fn a_partition_that_comes_back_goes_on_where_it_was_committed() {
    let mut world = World::new(&setup(), &weekly());
    let records = world.records(0, 2);
    world.give(records).unwrap();
    take_away(&mut world, false).0.unwrap();
    world.restart();
    world.run().unwrap();
    let mut expect = World::new(&setup(), &weekly());
    expect.run().unwrap();
    world.outcome().assert_same(&expect.outcome(), "came back");
}

#[test]
fn a_failed_lane_says_why_and_commits_nothing() {
    let mut world = two_partitions();
    let said = world.give(Input::Failed("the topic is gone".to_owned()));
    assert_eq!(said, Err("the topic is gone".to_owned()));
    assert_eq!((world.n_committed(), world.broker.0.borrow().n_aborts), (0, 1));
    assert_eq!(world.metric("lifetide_transactions_total{outcome=\"failed\"}"), 1);
}

#[test]
fn a_shutdown_commits_what_is_open_or_aborts_it() {
    let mut world = two_partitions();
    assert_eq!(world.give(Input::Shutdown), Ok(Flow::Stop));
    assert_eq!((world.n_committed(), world.broker.0.borrow().n_aborts), (1, 0));
    let mut world = two_partitions();
    world.fail_next(abort());
    assert_eq!(world.give(Input::Shutdown), Ok(Flow::Stop));
    assert_eq!((world.n_committed(), world.broker.0.borrow().n_aborts), (0, 1));
    assert!(!world.broker.0.borrow().is_open());
}

#[test]
fn twenty_aborts_in_a_row_are_borne_and_no_more() {
    let mut world = World::new(&setup(), &weekly());
    (1..=20).for_each(|n_call| world.fail_at(n_call, abort()));
    world.run().unwrap();
    assert_eq!(world.broker.0.borrow().offsets, [(0, 6)].into());
    let mut world = World::new(&setup(), &weekly());
    (1..=21).for_each(|n_call| world.fail_at(n_call, abort()));
    let said = world.run().unwrap_err();
    assert_eq!(said, "20 transactions in a row were aborted: told to abort");
    assert_eq!(world.metric("lifetide_transactions_total{outcome=\"failed\"}"), 1);
}

#[test]
fn a_fatal_failure_is_counted_once_wherever_it_strikes() {
    let check = |strike: fn(&mut World) -> Result<(), String>| {
        let mut world = two_partitions();
        world.fail_next(fatal());
        assert_eq!(strike(&mut world), Err("told to fail".to_owned()));
        assert_eq!(world.metric("lifetide_transactions_total{outcome=\"failed\"}"), 1);
        assert_eq!(world.n_committed(), 0);
    };
    check(World::run);
    check(|world| take_away(world, false).0.map(|_| ()));
    check(|world| world.give(Input::Shutdown).map(|_| ()));
}

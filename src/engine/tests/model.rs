//! A model comes while the lane works: each partition changes over between two transactions, its
//! timers with it, and a restart goes on with what the marker names.

use std::sync::Arc;

use super::broker::{Written, abort};
use super::workload::{log, order};
use super::world::{Setup, World};
use crate::churn::testing::model;
use crate::clv::Model;
use crate::config::Emit;
use crate::engine::remodel::Remodel;
use crate::engine::{Input, Topic};
use crate::pipeline::Pipeline;
use crate::record::changelog::Key;
use crate::record::marker::Marker;
use crate::record::score::Score;

/// Some customers of one partition: regular buyers who stop at different times.
fn world() -> World {
    let setup = Setup { has_model: false, ..Setup::new(Emit::Event) };
    let mut events = Vec::new();
    for day in 0..40 {
        for (n, gap) in [(0, 3), (1, 5), (2, 7), (3, 11)] {
            if day % gap == 0 && day < 10 + 8 * n {
                events.push(order(&format!("0-{n}"), day, 4000));
            }
        }
    }
    World::new(&setup, &log(&events))
}

pub(super) fn remodel(world: &World, model: &Arc<Model>) -> Input {
    let customers = world.store.customers(0).unwrap();
    let pipeline = Pipeline::new(world.setup.rules(), Some(Arc::clone(model)));
    Input::Model(Remodel::prepare(0, customers, &pipeline))
}

/// The model of the partition.
fn label(world: &World) -> String {
    let plan = world.store.customers(0).unwrap().plan().unwrap();
    plan.model_label().to_owned()
}

/// The model that each marker names, as often as it is named in a row.
fn marked(world: &World) -> Vec<String> {
    let broker = world.broker.0.borrow();
    let markers = broker.visible().filter(|written| written.key == Key::Marker.write());
    let mut labels: Vec<String> =
        markers.map(|it| Marker::read(it.value.as_ref().unwrap()).unwrap().model).collect();
    labels.dedup();
    labels
}

/// The model of each score, in the order in which they were written.
fn scored(world: &World) -> Vec<String> {
    let broker = world.broker.0.borrow();
    let is_score = |written: &&Written| written.topic == Topic::Scores;
    let scores = broker.visible().filter(is_score);
    scores.map(|it| Score::read(it.value.as_ref().unwrap()).unwrap().model.into_owned()).collect()
}

#[test]
fn a_partition_changes_its_model_between_two_transactions_and_its_timers_with_it() {
    let (mut world, model) = (world(), Arc::new(model("mbg-nbd", true)));
    let records = world.records(0, 7);
    world.give(records).unwrap();
    // What was judged before the last record is stale by the time it is taken.
    world.commit();
    let prepared = remodel(&world, &model);
    let records = world.records(0, 5);
    world.give(records).unwrap();
    world.give(prepared).unwrap();
    assert_eq!(label(&world), "none", "a transaction is open");
    world.commit();
    assert_eq!(label(&world), model.label());
    // Holds every timer against the model of its partition.
    world.outcome();
    world.run().unwrap();
    world.outcome();
    assert_eq!(marked(&world), ["none", model.label()]);
    let scored = scored(&world);
    let n_before = scored.iter().take_while(|label| *label == "none").count();
    assert_eq!(n_before, 12, "{scored:?}");
    assert!(scored[n_before..].iter().all(|label| label == model.label()), "{scored:?}");

    world.restart();
    assert_eq!(label(&world), model.label());
    world.outcome();
}

#[test]
fn an_abort_does_not_lose_the_model_that_waits() {
    let (mut world, model) = (world(), Arc::new(model("bg-nbd", true)));
    let records = world.records(0, 7);
    world.give(records).unwrap();
    let prepared = remodel(&world, &model);
    world.give(prepared).unwrap();
    {
        let mut broker = world.broker.0.borrow_mut();
        let next = broker.n_calls + 1;
        broker.faults.insert(next, abort());
    }
    world.commit();
    world.run().unwrap();
    assert_eq!(label(&world), model.label());
    assert_eq!(marked(&world), [model.label()], "nothing was committed before");
    world.outcome();
}

#[test]
fn what_was_prepared_for_an_earlier_ownership_is_dropped() {
    let (mut world, model) = (world(), Arc::new(model("bg-nbd", true)));
    world.run().unwrap();
    let prepared = remodel(&world, &model);
    world.restart();
    world.give(prepared).unwrap();
    world.commit();
    assert_eq!(label(&world), "none");
    world.outcome();
}

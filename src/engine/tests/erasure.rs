//! A customer asks to be forgotten: what is left, what is dropped, and when that too is forgotten.

use super::broker::abort;
use super::workload::{event, log, noon_ms, order};
use super::world::{Setup, World};
use crate::config::Emit;
use crate::engine::Topic;
use crate::event::{Body, Event};
use crate::record::changelog::Key;
use crate::record::erased;
use crate::record::erased::hash_of;
use crate::record::score::Score;

const MEMORY_DAYS: i32 = 365;

fn setup(commit_interval_ms: u64) -> Setup {
    let emit = Emit::Event;
    let erasure_memory_days = MEMORY_DAYS;
    Setup { n_batch: 1, commit_interval_ms, erasure_memory_days, ..Setup::new(emit) }
}

fn erasure(day: i32) -> Event {
    event("0-a", noon_ms(day), Body::CustomerErased)
}

fn cart(day: i32) -> Event {
    event("0-a", noon_ms(day), Body::CartAbandoned)
}

/// Runs the events in transactions of one record each, then all in one: the result is the same.
fn run(events: &[Event]) -> World {
    let [world, whole] = [0, 1_000_000].map(|commit_interval_ms| {
        let mut world = World::new(&setup(commit_interval_ms), &log(events));
        world.run().unwrap();
        world
    });
    assert_eq!(whole.n_committed(), 1);
    whole.outcome().assert_same(&world.outcome(), "in one transaction");
    world
}

/// When the customer was erased, as the changelog remembers it.
fn remembered(world: &World) -> Option<i64> {
    let key = Key::Erased(hash_of("0-a")).write();
    let state = world.broker.0.borrow().state();
    state.get(&(0, key)).map(|value| erased::decode(value).unwrap())
}

#[test]
fn an_erasure_leaves_tombstones_and_when_it_was() {
    let world = run(&[order("0-a", 0, 4000), order("0-a", 5, 4000), erasure(10)]);
    let broker = world.broker.0.borrow();
    let scores = broker.values(Topic::Scores, "0-a");
    assert_eq!((scores.len(), scores.last()), (3, Some(&None)));
    let values = broker.visible().filter(|it| it.key == Key::Customer("0-a").write());
    assert_eq!(values.map(|it| it.value.is_some()).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(remembered(&world), Some(noon_ms(10)));
    assert!(world.store.find("0-a").is_none());
    let keys: Vec<_> = broker.state().into_keys().map(|(_, key)| key).collect();
    assert_eq!(keys, [Key::Erased(hash_of("0-a")).write(), Key::Marker.write()]);
}

#[test]
fn who_was_erased_has_no_timer_any_more() {
    let world = run(&[order("0-a", 0, 4000), erasure(10), order("0-b", 400, 4000)]);
    assert_eq!(world.metric("lifetide_timers_fired_total"), 0);
}

#[test]
fn what_is_dated_up_to_the_erasure_is_dropped_and_what_is_later_starts_anew() {
    let mut at_once = cart(10);
    at_once.occurred_at_ms += 1;
    let events = [order("0-a", 0, 4000), erasure(10), cart(9), cart(10), erasure(3), at_once];
    let world = run(&events);
    assert_eq!(world.metric("lifetide_erased_events_total"), 3);
    assert_eq!(world.metric("lifetide_duplicates_total"), 0);
    let scores = world.broker.0.borrow().values(Topic::Scores, "0-a");
    let [Some(_), None, Some(anew)] = &scores[..] else { panic!("{scores:?}") };
    let history = Score::read(anew).unwrap().history;
    assert_eq!((history.orders, history.carts_abandoned), (0, 1));
    assert_eq!(remembered(&world), Some(noon_ms(10)));
    assert_eq!(world.broker.0.borrow().offsets, [(0, 6)].into());
}

#[test]
fn an_identity_from_before_the_erasure_is_not_remembered() {
    let mut order_with_id = order("0-a", 0, 4000);
    order_with_id.event_id = Some("e1".into());
    let again = Event { occurred_at_ms: noon_ms(20), ..order_with_id.clone() };
    let world = run(&[order_with_id, erasure(10), again]);
    assert_eq!(world.metric("lifetide_duplicates_total"), 0);
    assert!(world.store.find("0-a").is_some());
}

#[test]
fn an_erasure_is_forgotten_when_its_memory_is_over() {
    let last_day = 10 + MEMORY_DAYS;
    let start = [order("0-a", 0, 4000), erasure(10), order("0-b", last_day, 4000), cart(9)];
    let world = run(&start);
    assert_eq!(remembered(&world), Some(noon_ms(10)));
    assert_eq!(world.metric("lifetide_erased_events_total"), 1);
    let next = [order("0-b", last_day + 1, 4000), cart(9)];
    let world = run(&[&start[..], &next].concat());
    assert_eq!(remembered(&world), None);
    assert_eq!(world.metric("lifetide_erased_events_total"), 1);
    assert!(world.store.find("0-a").is_some());
}

#[test]
fn a_later_erasure_outlasts_the_memory_of_the_first() {
    let events = [
        erasure(10),
        order("0-a", 20, 4000),
        erasure(300),
        order("0-b", 10 + MEMORY_DAYS + 1, 4000),
        cart(299),
    ];
    let world = run(&events);
    assert_eq!(remembered(&world), Some(noon_ms(300)));
    assert_eq!(world.metric("lifetide_erased_events_total"), 1);
}

#[test]
fn an_aborted_erasure_has_not_happened() {
    let mut world = World::new(&setup(1000), &log(&[order("0-a", 0, 4000), erasure(10), cart(9)]));
    let records = world.records(0, 1);
    world.give(records).unwrap();
    world.commit();
    let records = world.records(0, 1);
    world.give(records).unwrap();
    world.fail_next(abort());
    world.commit();
    assert!(world.store.find("0-a").is_some());
    let figures = world.engine.partitions[&0].state.figures(&world.engine.calendar);
    assert_eq!(figures.n_timers_pending, 1);
    world.obey();
    world.run().unwrap();
    assert_eq!(remembered(&world), Some(noon_ms(10)));
    assert_eq!(world.metric("lifetide_erased_events_total"), 1);
}

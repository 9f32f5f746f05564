//! Time passes: timers fire by events and by ticks, and a transaction may end between two of them.

use super::broker::{Written, abort, fatal};
use super::workload::{day, event, log, noon_ms, order, rules};
use super::world::{Setup, World};
use crate::config::Emit;
use crate::engine::{Input, Topic};
use crate::event::Body;
use crate::record::changelog::Key;
use crate::record::marker::Marker;
use crate::record::score::Score;
use crate::record::signal::Signal;

/// Without a model: one order lapses 180 days later, and nothing else happens by itself but that
/// the customer is at risk from day 122 on.
fn setup() -> Setup {
    Setup { has_model: false, commit_interval_ms: 1000, ..Setup::new(Emit::Event) }
}

fn start_ms(of: i32) -> i64 {
    rules(365).calendar.start_ms(day(of))
}

/// The marker's offset and stream time in each transaction.
fn markers(world: &World) -> Vec<(i64, Option<i64>)> {
    let broker = world.broker.0.borrow();
    let markers = broker.visible().filter(|written| written.key == Key::Marker.write());
    let markers = markers.map(|written| Marker::read(written.value.as_ref().unwrap()).unwrap());
    markers.map(|marker| (marker.offset_next, marker.stream_time_ms)).collect()
}

/// The scores and signals committed for a customer, as `score cause` and `kind clock` with the day.
fn published(world: &World, id: &str) -> Vec<String> {
    let broker = world.broker.0.borrow();
    let of_customer = broker.visible().filter(|written| written.key == id.as_bytes());
    let calendar = rules(365).calendar;
    let day_of = |at_ms| calendar.day(at_ms).days_since(day(0));
    let line = |written: &Written| {
        let value = written.value.as_ref().unwrap();
        if written.topic == Topic::Scores {
            let score = Score::read(value).unwrap();
            format!("{} score {}", day_of(score.as_of.0), score.cause)
        } else {
            let signal = Signal::read(value).unwrap();
            format!("{} {} {}", day_of(signal.raised_at.0), signal.kind, signal.clock)
        }
    };
    of_customer.map(line).collect()
}

fn tick(world: &mut World, until_day: i32) {
    let epoch = world.source.epoch(0);
    world.give(Input::Tick { partition: 0, epoch, until_ms: noon_ms(until_day) }).unwrap();
}

#[test]
fn timers_due_by_an_event_fire_before_it() {
    let mut world = World::new(&setup(), &log(&[order("0-a", 0, 4000), order("0-a", 300, 4000)]));
    world.run().unwrap();
    let expect = [
        "0 score event",
        "122 score time",
        "180 lapse event",
        "180 score time",
        "300 recovered event",
        "300 score event",
    ];
    assert_eq!(published(&world, "0-a"), expect);
}

#[test]
fn a_timer_fires_at_the_first_local_midnight_and_not_a_moment_earlier() {
    let mut world = World::new(&setup(), &log(&[order("0-a", 0, 4000)]));
    world.run().unwrap();
    let epoch = world.source.epoch(0);
    let mut tick_at = |until_ms| {
        world.give(Input::Tick { partition: 0, epoch, until_ms }).unwrap();
        world.commit();
        published(&world, "0-a").len()
    };
    assert_eq!([start_ms(122) - 1, start_ms(122)].map(&mut tick_at), [1, 2]);
}

#[test]
fn a_tick_fires_what_is_due_with_the_idle_clock_and_commits_offsets() {
    let mut world = World::new(&setup(), &log(&[order("0-a", 0, 4000), order("0-b", 1, 4000)]));
    world.run().unwrap();
    tick(&mut world, 180);
    world.commit();
    let expect = ["0 score event", "122 score time", "180 lapse idle", "180 score time"];
    assert_eq!(published(&world, "0-a"), expect);
    assert_eq!(published(&world, "0-b"), ["1 score event", "123 score time"]);
    assert_eq!(markers(&world), [(2, Some(noon_ms(1))), (2, Some(start_ms(180)))]);
    assert_eq!(world.broker.0.borrow().committed[1].offsets, [(0, 2)].into());
    tick(&mut world, 180);
    assert!(!world.broker.0.borrow().is_open(), "nothing is due twice");
}

/// Use of twelve weeks that stops: two weeks without are an alarm, whoever moves time, also after a
/// restart in between.
#[test]
fn a_decline_of_use_is_due_at_the_midnight_after_a_week() {
    let used =
        |week| event("0-a", noon_ms(4 + 7 * week), Body::UsageRecorded { thousandths: 9000 });
    let mut events: Vec<_> = (0..12).map(used).collect();
    events.insert(0, order("0-a", 0, 4000));
    let signal = |world: &World| {
        let lines = published(world, "0-a").into_iter();
        lines.filter(|line| line.contains("usage_decline")).collect::<Vec<_>>()
    };
    let mut live = World::new(&setup(), &log(&events));
    live.run().unwrap();
    live.restart();
    live.run().unwrap();
    for (until_day, expect) in [(100, None), (101, Some("101 usage_decline idle"))] {
        tick(&mut live, until_day);
        live.commit();
        assert_eq!(signal(&live).first().map(String::as_str), expect);
    }
    events.push(order("0-b", 150, 4000));
    let mut replayed = World::new(&setup(), &log(&events));
    replayed.run().unwrap();
    assert_eq!(signal(&replayed), ["101 usage_decline event"]);
}

#[test]
fn an_aborted_tick_leaves_its_timers_due() {
    let mut world = World::new(&setup(), &log(&[order("0-a", 0, 4000)]));
    world.run().unwrap();
    for n_call in 1..=7 {
        let n_calls = world.broker.0.borrow().n_calls;
        world.fail_at(n_calls + n_call, abort());
        tick(&mut world, 200);
        world.commit();
        assert_eq!(world.n_committed(), 1, "{n_call}");
        // The reader rewinds to its end, and only then is the next tick of its present epoch.
        assert_eq!(world.obey(), 1);
    }
    tick(&mut world, 200);
    world.commit();
    let expect = ["0 score event", "122 score time", "180 lapse idle", "180 score time"];
    assert_eq!(published(&world, "0-a"), expect);
    assert_eq!(world.metric("lifetide_timers_fired_total"), 2);
}

#[test]
fn a_tick_of_an_old_epoch_fires_nothing() {
    let mut world = World::new(&setup(), &log(&[order("0-a", 0, 4000), order("0-b", 1, 4000)]));
    let old = world.source.epoch(0);
    let records = world.records(0, 1);
    world.give(records).unwrap();
    world.commit();
    let records = world.records(0, 1);
    world.give(records).unwrap();
    world.fail_next(abort());
    world.commit();
    let tick = |epoch| Input::Tick { partition: 0, epoch, until_ms: noon_ms(400) };
    world.give(tick(old)).unwrap();
    assert!(!world.broker.0.borrow().is_open(), "the reader has not rewound yet");
    world.obey();
    let records = world.records(0, 1);
    world.give(records).unwrap();
    world.commit();
    world.give(tick(old)).unwrap();
    assert!(!world.broker.0.borrow().is_open());
    world.give(tick(world.source.epoch(0))).unwrap();
    assert!(world.broker.0.borrow().is_open());
}

#[test]
fn a_transaction_may_end_between_two_timers_and_stream_time_is_then_that_of_the_last() {
    let names = ["0-a", "0-b", "0-c"];
    let mut events: Vec<_> = (0..).zip(names).map(|(day, id)| order(id, day, 4000)).collect();
    events.push(order("0-d", 150, 4000));
    let setup = Setup { events_max: 1, n_batch: 1, commit_interval_ms: 0, ..setup() };
    let mut world = World::new(&setup, &log(&events));
    // Each of the first five transactions is a beginning, a score, two of the changelog, a commit.
    world.fail_at(26, fatal());
    world.run().unwrap_err();
    let before =
        [(1, 0), (2, 1), (3, 2)].map(|(offset_next, day)| (offset_next, Some(noon_ms(day))));
    let between = [122, 123].map(|day| (3, Some(start_ms(day))));
    assert_eq!(markers(&world)[..], [&before[..], &between].concat());
    world.restart();
    world.run().unwrap();
    assert_eq!(markers(&world)[5..], [(3, Some(start_ms(124))), (4, Some(noon_ms(150)))]);
    for (day, id) in (0..).zip(names) {
        let expect = [format!("{day} score event"), format!("{} score time", 122 + day)];
        assert_eq!(published(&world, id), expect);
    }
}

#[test]
fn a_transaction_is_full_after_that_many_records_and_timers() {
    let mut events: Vec<_> = (0..5).map(|day| order(&format!("0-{day}"), day, 4000)).collect();
    events.push(order("0-5", 150, 4000));
    events.push(order("0-5", 150, 5000));
    let setup = Setup { events_max: 3, n_batch: 10, ..setup() };
    let mut world = World::new(&setup, &log(&events));
    world.run().unwrap();
    // Three orders; two orders and a timer; three timers; a timer and two orders. The order that
    // waits for its timers counts when it is read.
    let offsets: Vec<i64> = markers(&world).iter().map(|(offset_next, _)| *offset_next).collect();
    assert_eq!(offsets, [3, 5, 5, 7]);
}

#[test]
fn stream_time_does_not_go_back() {
    let mut late = order("0-b", 20, 4000);
    late.occurred_at_ms -= 1;
    let mut world = World::new(&setup(), &log(&[order("0-a", 30, 4000), late]));
    world.run().unwrap();
    assert_eq!(markers(&world), [(2, Some(noon_ms(30)))]);
    assert_eq!(published(&world, "0-b"), ["30 score event"]);
}

#[test]
fn a_duplicate_moves_no_time_and_writes_nothing() {
    let mut first = order("0-a", 0, 4000);
    first.event_id = Some("e1".into());
    let again = crate::event::Event { occurred_at_ms: noon_ms(300), ..first.clone() };
    let mut world = World::new(&setup(), &log(&[first, again]));
    world.run().unwrap();
    assert_eq!(published(&world, "0-a"), ["0 score event"]);
    assert_eq!(markers(&world), [(2, Some(noon_ms(0)))]);
    assert_eq!(world.metric("lifetide_duplicates_total"), 1);
}

//! What cannot be accepted goes to the dead letters, with its offset, and is counted when
//! committed.

use super::broker::abort;
use super::source::Stored;
use super::workload::{GROUND_PARTITIONS, log, noon_ms, order};
use super::world::{Setup, World};
use crate::config::Emit;
use crate::engine::Topic;
use crate::event::Reason;
use crate::record::changelog::Key;
use crate::record::dead_letter::DeadLetter;
use crate::record::marker::Marker;

fn poison(offset: i64) -> Stored {
    let (key, payload) = (b"0-a".to_vec(), b"\xffnothing".to_vec());
    Stored { offset, timestamp_ms: noon_ms(1), key, payload }
}

fn setup() -> Setup {
    Setup { commit_interval_ms: 1000, ..Setup::new(Emit::Event) }
}

#[test]
fn poison_becomes_a_dead_letter_in_the_transaction_that_passes_it() {
    let mut logs = log(&[order("0-a", 0, 4000), order("0-a", 1, 4000), order("0-a", 2, 4000)]);
    logs.get_mut(&0).unwrap()[1] = poison(1);
    let mut world = World::new(&setup(), &logs);
    world.fail_at(5, abort());
    world.run().unwrap();
    let broker = world.broker.0.borrow();
    assert_eq!((broker.n_aborts, broker.committed.len()), (1, 1));
    assert_eq!(broker.offsets, [(0, 3)].into());
    let letters = broker.visible().filter(|written| written.topic == Topic::DeadLetters);
    let letters: Vec<_> = letters.cloned().collect();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    let (key, payload) = (Some(letter.key.clone()), letter.value.clone());
    assert_eq!(key.as_deref(), Some(&b"0-a"[..]));
    assert_eq!(payload.as_deref(), Some(&b"\xffnothing"[..]));
    let origin = DeadLetter { key, payload, headers: letter.headers.clone() }.read().unwrap();
    assert_eq!(origin.rejection.reason, Reason::NotJson);
    assert_eq!((origin.topic.as_str(), origin.partition, origin.offset), ("checkout.events", 0, 1));
    assert_eq!(origin.n_partitions, Some(GROUND_PARTITIONS));
    assert_eq!(origin.headers, [("from".to_owned(), Some(b"shop".to_vec()))]);
    assert_eq!(world.metric("lifetide_dead_letters_total"), 1);
    assert_eq!(world.metric("lifetide_rejections_total{reason=\"not_json\"}"), 1);
}

#[test]
fn nothing_but_poison_moves_the_offset_and_no_time() {
    let mut world = World::new(&setup(), &[(0, vec![poison(0), poison(1)])].into());
    world.run().unwrap();
    let broker = world.broker.0.borrow();
    assert_eq!(broker.offsets, [(0, 2)].into());
    let state = broker.state();
    let [(place, marker)] = &state.iter().collect::<Vec<_>>()[..] else { panic!("{state:?}") };
    assert_eq!(**place, (0, Key::Marker.write()));
    let marker = Marker::read(marker).unwrap();
    assert_eq!((marker.offset_next, marker.stream_time_ms), (2, None));
}

#[test]
fn what_is_aborted_is_not_counted() {
    let mut logs = log(&[order("0-a", 0, 4000), order("0-a", 1, 4000), order("0-a", 300, 4000)]);
    logs.get_mut(&0).unwrap()[1] = poison(1);
    let mut world = World::new(&setup(), &logs);
    let records = world.records(0, 3);
    world.give(records).unwrap();
    world.fail_next(abort());
    world.commit();
    let counts = world.outcome().counts;
    assert!(counts.iter().all(|line| line.ends_with(" 0")), "{counts:#?}");
    let transactions =
        |outcome: &str| format!("lifetide_transactions_total{{outcome=\"{outcome}\"}}");
    assert_eq!(world.metric(&transactions("committed")), 0);
    assert_eq!(world.metric(&transactions("aborted")), 1);
    assert_eq!(world.metric("lifetide_transaction_events_count"), 0);
    world.obey();
    world.run().unwrap();
    assert_eq!(world.metric("lifetide_events_total{type=\"order.completed\"}"), 2);
    assert_eq!(world.metric(&transactions("committed")), 1);
}

//! The recount of a history says of each customer what the engine has said.

use std::collections::BTreeMap;

use super::source::Stored;
use super::workload::Shop;
use super::world::{Setup, World};
use crate::config::Emit;
use crate::engine::Topic;
use crate::record::score::Score;
use crate::replay::{self, Replay};

const SHOP: Shop =
    Shop { seed: 11, n_partitions: 1, n_customers: 30, n_days: 730, is_in_order: true };

/// All that the engine published under each customer's id, erased ones left out.
fn published(world: &World, topic: Topic) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut by_customer: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for written in world.broker.0.borrow().visible().filter(|written| written.topic == topic) {
        let id = String::from_utf8(written.key.clone()).unwrap();
        match &written.value {
            Some(value) => by_customer.entry(id).or_default().push(value.clone()),
            None => {
                by_customer.remove(&id);
            }
        }
    }
    by_customer
}

/// A score without what a recount cannot know.
fn comparable(json: &[u8]) -> Vec<u8> {
    Score { cause: "".into(), source: None, ..Score::read(json).unwrap() }.to_json()
}

#[test]
fn the_recount_of_a_history_in_order_gives_the_scores_and_signals_of_the_engine() {
    let logs = SHOP.logs();
    let setup = Setup::new(Emit::Event);
    let mut world = World::new(&setup, &logs);
    world.run().unwrap();
    let scores = published(&world, Topic::Scores);
    let mut signals = published(&world, Topic::Signals);
    let as_of_ms = |id: &str| Score::read(scores[id].last().unwrap()).unwrap().as_of.0;

    let intake = setup.rules().intake.clone();
    let mut history = Replay::default();
    let decoded = |stored: &Stored| stored.read(&intake).decoded.ok();
    logs[&0].iter().filter_map(decoded).for_each(|event| history.push(event));
    let mut pipeline = setup.pipeline();
    let until_ms = |id: &str| scores.get(id).map_or(0, |_| as_of_ms(id));
    let recounted: Vec<_> = history.play(&mut pipeline, until_ms).collect();
    let ids: Vec<&str> = recounted.iter().map(|recounted| &*recounted.id).collect();
    assert_eq!(ids, scores.keys().collect::<Vec<_>>());
    let mut n_signals = 0;
    for mut recounted in recounted {
        let id = recounted.id.to_string();
        let score = replay::score(&mut pipeline, &mut recounted, as_of_ms(&id));
        let text = |json: &[u8]| String::from_utf8(comparable(json)).unwrap();
        assert_eq!(text(&score), text(scores[&id].last().unwrap()));
        n_signals += recounted.signals.len();
        let raised: Vec<_> = recounted.signals.into_iter().map(|signal| signal.json).collect();
        assert_eq!(raised, signals.remove(&id).unwrap_or_default(), "{id}");
    }
    assert!(n_signals > 50, "{n_signals}");
    assert!(world.broker.0.borrow().visible().any(|written| written.value.is_none()));
}

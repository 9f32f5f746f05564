//! What the customers are worth together, as the gauges show it, is what a recount of the committed
//! states gives, wherever a lane was interrupted; and what the counters attribute adds up to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::bounded;

use super::broker::abort;
use super::model::remodel;
use super::workload::{Shop, log, order};
use super::world::{Setup, World};
use crate::churn::testing::{model, tiers};
use crate::churn::{Cause, Lifecycle};
use crate::clv::Forecaster;
use crate::config::Emit;
use crate::customer::Customer;
use crate::engine::Input;
use crate::pipeline::Pipeline;
use crate::record::changelog;
use crate::record::score::Score;

const CHANGE: &str = "lifetide_population_clv_change_minor_units_total";

/// The values of a family by its labels.
fn family(world: &World, name: &str) -> BTreeMap<String, i128> {
    let text = world.metrics.text(true);
    let of_line = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
        Some((labels.to_owned(), value.parse().unwrap()))
    };
    text.lines().filter_map(of_line).collect()
}

/// What all drivers have added to the population's value.
fn attributed(world: &World) -> i128 {
    let sign = |labels: &str| if labels.contains(r#"direction="up""#) { 1 } else { -1 };
    family(world, CHANGE).iter().map(|(labels, minor)| sign(labels) * minor).sum()
}

fn worth(world: &World) -> i128 {
    family(world, "lifetide_population_clv_minor_units").values().sum()
}

/// The customer's predicted value in minor units.
#[expect(clippy::cast_possible_truncation, reason = "values of these customers are small")]
#[expect(clippy::cast_precision_loss, reason = "sums of these customers are small")]
fn value_minor(customer: &Customer, pipeline: &Pipeline) -> i128 {
    let rules = pipeline.rules();
    let today = rules.calendar.day(customer.path.as_of_ms);
    let purchases = customer.ledger.purchases(today);
    let Some((model, purchases)) = pipeline.model().zip(purchases) else { return 0 };
    let alive =
        Forecaster::new(Arc::clone(model), rules.horizon).alive(purchases.x, purchases.t_days);
    let mean = customer.ledger.repeat_net_minor() as f64 / 100.0 / f64::from(purchases.x);
    let value = model.expected_value(purchases.x, mean).unwrap() * alive.discounted_orders;
    libm::round(value * model.p_alive(&purchases) * 100.0) as i128
}

/// Holds the gauges against the committed states.
pub(super) fn check(world: &World) {
    let mut expect: BTreeMap<String, [i128; 2]> = BTreeMap::new();
    for name in tiers().names() {
        for lifecycle in Lifecycle::ALL {
            let labels = format!(r#"lifecycle="{}",segment="{name}""#, lifecycle.as_str());
            expect.insert(labels, [0, 0]);
        }
    }
    for owned in world.engine.partitions.values() {
        let pipeline = owned.pipeline.borrow();
        owned.state.customers().visit_all(|entry| {
            let customer = changelog::decode(entry.value).unwrap();
            let as_of_ms = customer.path.as_of_ms;
            let json = pipeline.score(entry.id, &customer, as_of_ms, Cause::Time, None);
            let segment = Score::read(&json).unwrap().segment;
            let labels =
                format!(r#"lifecycle="{}",segment="{}""#, segment.lifecycle, segment.value);
            let [n_customers, clv] = expect.get_mut(&labels).unwrap();
            *n_customers += 1;
            if segment.lifecycle != "lapsed" {
                *clv += value_minor(&customer, &pipeline);
            }
        });
    }
    let column = |i: usize| expect.iter().map(|(labels, it)| (labels.clone(), it[i])).collect();
    assert_eq!(family(world, "lifetide_population_customers"), column(0));
    assert_eq!(family(world, "lifetide_population_clv_minor_units"), column(1));
}

fn setup() -> Setup {
    Setup { commit_interval_ms: 1000, ..Setup::new(Emit::Commit) }
}

#[test]
fn what_is_attributed_adds_up_to_the_gauges_at_every_commit_and_over_restarts() {
    let shop = Shop { seed: 5, n_partitions: 3, n_customers: 12, n_days: 730, is_in_order: false };
    let mut world = World::new(&Setup::new(Emit::Commit), &shop.logs());
    for n_committed in 1.. {
        world.run_to(n_committed).unwrap();
        check(&world);
        assert_eq!(attributed(&world), worth(&world));
        if n_committed % 40 == 0 {
            let before = family(&world, "lifetide_population_clv_minor_units");
            world.restart();
            assert_eq!(family(&world, "lifetide_population_clv_minor_units"), before);
        }
        if world.n_committed() < n_committed {
            break;
        }
    }
    let changes = family(&world, CHANGE);
    for driver in ["retention", "frequency", "basket", "new", "lost", "recovered", "erased"] {
        let named = format!(r#"driver="{driver}""#);
        let moved: i128 = changes.iter().filter(|it| it.0.contains(&named)).map(|it| it.1).sum();
        assert!(moved > 0, "nothing was attributed to {driver}");
    }
}

#[test]
fn an_aborted_transaction_moves_neither_gauges_nor_counters() {
    let events: Vec<_> = (0..6).map(|week| order("0-a", week * 7, 4000)).collect();
    let mut world = World::new(&setup(), &log(&events));
    let first = world.records(0, 3);
    world.give(first).unwrap();
    world.commit();
    let before = (worth(&world), family(&world, CHANGE));
    assert!(before.0 > 0);
    let second = world.records(0, 3);
    world.give(second).unwrap();
    world.fail_next(abort());
    world.commit();
    assert_eq!((worth(&world), family(&world, CHANGE)), before);
    world.obey();
    world.run().unwrap();
    assert!(worth(&world) > before.0);
    assert_eq!(attributed(&world), worth(&world));
    check(&world);
}

#[test]
fn a_partition_that_goes_takes_its_customers_out_of_the_gauges() {
    let shop = Shop { seed: 2, n_partitions: 2, n_customers: 6, n_days: 300, is_in_order: true };
    let mut world = World::new(&setup(), &shop.logs());
    world.run().unwrap();
    let (all, changes) = (worth(&world), family(&world, CHANGE));
    let (acknowledge, answered) = bounded(1);
    world.give(Input::Revoked { partitions: vec![0], acknowledge }).unwrap();
    answered.try_recv().unwrap();
    check(&world);
    assert!(worth(&world) < all);
    assert_eq!(family(&world, CHANGE), changes, "nobody was lost");
}

#[test]
fn another_model_is_a_driver_of_its_own() {
    let events: Vec<_> = (0..6).map(|week| order("0-a", week * 7, 4000)).collect();
    let setup = Setup { has_model: false, ..setup() };
    let mut world = World::new(&setup, &log(&events));
    let first = world.records(0, 4);
    world.give(first).unwrap();
    world.commit();
    assert_eq!((worth(&world), attributed(&world)), (0, 0), "without a model nothing is predicted");
    for name in ["mbg-nbd", "bg-nbd"] {
        let prepared = remodel(&world, &Arc::new(model(name, true)));
        // Who changes between the preparation and the switch is judged at the switch.
        let record = world.records(0, 1);
        world.give(record).unwrap();
        world.give(prepared).unwrap();
        world.commit();
        check(&world);
        assert_eq!(attributed(&world), worth(&world), "{name}");
    }
    let of_model: i128 = family(&world, CHANGE)
        .iter()
        .filter(|(labels, _)| labels.contains(r#"driver="model""#))
        .map(|(_, minor)| minor)
        .sum();
    assert!(of_model > 0);
}

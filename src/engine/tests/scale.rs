//! What a change of the model costs a partition of many customers. `LIFETIDE_MODEL_CUSTOMERS` sets
//! how many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::calendar::Day;
use crate::customer::{Customer, DayEntry};
use crate::dice::Dice;
use crate::engine::remodel::Remodel;
use crate::pipeline::testing::plan;
use crate::record::changelog;
use crate::store::testing::{few_shards, n_done_during};

/// How long a partition may be held up.
const HELD_UP_MAX: Duration = Duration::from_secs(1);

/// One of so many customers has changed since they were judged.
const CHANGED_EVERY: usize = 20;

fn customer(dice: &mut Dice) -> Customer {
    let mut customer = Customer::default();
    let mut day = Day(19_000);
    for _ in 0..=dice.below(4) {
        customer.ledger.days.push(DayEntry { day, net_minor: 4000, n_orders: 1 });
        day = day.plus(1 + i32::try_from(dice.below(60)).unwrap());
    }
    customer.path.as_of_ms = i64::from(day.0) * 86_400_000;
    customer
}

#[test]
fn a_change_of_the_model_holds_a_large_partition_up_for_less_than_a_second() {
    let n_customers = std::env::var("LIFETIDE_MODEL_CUSTOMERS").ok();
    let n_customers: u32 = n_customers.map_or(20_000, |n| n.parse().unwrap());
    let mut dice = Dice::new(3, 1);
    let customers = few_shards();
    let values: Vec<_> = (0..n_customers)
        .map(|i| (format!("{i:08}"), changelog::encode(&customer(&mut dice))))
        .collect();
    for (id, value) in &values {
        customers.put(id, None, value);
    }
    let pipeline = plan(Some("mbg-nbd")).pipeline();
    let began = Instant::now();
    let mut puts = values.iter().cycle();
    let put = || {
        let (id, value) = puts.next().unwrap();
        customers.put(id, None, value);
    };
    let (n_puts, remodel) =
        n_done_during(put, || Remodel::prepare(0, Arc::clone(&customers), &pipeline));
    let prepared = began.elapsed();
    for (id, _) in values.iter().step_by(CHANGED_EVERY) {
        customers.put(id, None, &changelog::encode(&customer(&mut dice)));
    }
    let began = Instant::now();
    let (timers, population) = remodel.take_stock(&pipeline);
    let held_up = began.elapsed();
    println!("{n_customers} customers: judged in {prepared:?}, held up for {held_up:?}");
    assert!(n_puts > u64::from(n_customers / 2), "{n_puts} puts in {prepared:?}");
    assert!(timers.len() * 10 > n_customers as usize * 9, "{}", timers.len());
    assert_eq!(population.total().n_customers, i64::from(n_customers));
    assert!(held_up < HELD_UP_MAX, "{held_up:?}");
}

//! Tests of what a real finder answers.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::calendar::Day;
use crate::customer::{Customer, DayEntry};
use crate::lifecycle::LaneState;
use crate::pipeline::testing::plan;
use crate::store::Customers;

/// A finder of one lane at work, whose input has two partitions.
fn finder() -> Finder {
    let lanes = Lanes::new(1, Duration::from_mins(1));
    lanes.lane(0).set(LaneState::Ready);
    Finder::new(Arc::default(), lanes, 2, &plan(None))
}

/// Shows a partition where one customer bought once.
fn show(finder: &Finder, partition: i32, id: &str) -> Arc<Customers> {
    let mut customer = Customer::default();
    customer.ledger.days.push(DayEntry { day: Day(19_000), net_minor: 4000, n_orders: 1 });
    customer.path.as_of_ms = 19_000 * 86_400_000;
    let customers = Arc::new(Customers::default());
    customers.put(id, None, &changelog::encode(&customer));
    customers.set_plan(plan(Some("mbg-nbd")));
    finder.store.insert(partition, Arc::clone(&customers));
    customers
}

fn document(lookup: Lookup) -> Value {
    let Lookup::Found(document) = lookup else { panic!("{lookup:?}") };
    serde_json::from_slice(&document).unwrap()
}

#[test]
fn a_customer_is_described_by_the_plan_of_their_partition() {
    let finder = finder();
    show(&finder, 0, "ada");
    let document = document(finder.find("ada"));
    assert_eq!(document["score"]["customer_id"], "ada");
    assert_eq!(document["score"]["model"], "mbg-nbd/1");
}

#[test]
fn who_is_not_found_is_unknown_only_where_every_partition_is_here() {
    let finder = finder();
    show(&finder, 0, "ada");
    assert_eq!(finder.find("bob"), Lookup::Elsewhere);
    assert_eq!(finder.owned_partitions(), [0]);
    show(&finder, 1, "eve");
    assert_eq!(finder.find("bob"), Lookup::Unknown);
}

#[test]
fn while_partitions_are_read_back_who_is_there_is_found_and_nobody_is_unknown() {
    let finder = finder();
    show(&finder, 0, "ada");
    finder.lanes.lane(0).set(LaneState::Restoring);
    assert_eq!(finder.find("bob"), Lookup::Restoring);
    document(finder.find("ada"));
}

#[test]
fn a_partition_that_stalls_changes_no_answer() {
    let finder = finder();
    show(&finder, 0, "ada");
    finder.lanes.lane(0).set_stall(0, Some("partition `0` stalls".to_owned()));
    document(finder.find("ada"));
    assert_eq!(finder.find("bob"), Lookup::Elsewhere);
    show(&finder, 1, "eve");
    assert_eq!(finder.find("bob"), Lookup::Unknown);
}

#[test]
fn a_partition_that_is_revoked_after_a_customer_was_found_makes_nobody_unknown() {
    let finder = finder();
    let customers = show(&finder, 0, "ada");
    show(&finder, 1, "eve");
    let found = finder.store.find("ada").unwrap();
    finder.store.remove(0, &customers);
    document(finder.answer("ada", &found));
}

#[test]
fn a_customer_whose_state_cannot_be_read_is_not_called_unknown() {
    let finder = finder();
    let customers = show(&finder, 0, "ada");
    customers.put("ada", None, b"\xff");
    let expect = changelog::decode(b"\xff").unwrap_err().to_string();
    assert_eq!(finder.find("ada"), Lookup::Unreadable(expect));
}

//! Each process of a group tells where the customers of the others are asked for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::{Load, Order};
use crate::support::wait_until;

/// Of the load.
const SEED: u64 = 19;
/// With several rebalances in it.
const DEADLINE: Duration = Duration::from_mins(2);

fn document(instance: &Instance, path: &str) -> Result<(u16, Value), String> {
    let (status, body) = instance.get(path)?;
    Ok((status, serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?))
}

/// Waits until `instance` tells both addresses and two partitions for each; returns what it tells.
fn told(instance: &Instance, addresses: [Option<&str>; 2]) -> Value {
    wait_until("the group to tell where each process is", DEADLINE, || {
        let (status, shares) = document(instance, "/partitions")?;
        assert_eq!(status, 200, "{shares}");
        let members = shares["members"].as_array().cloned().unwrap_or_default();
        let told: Vec<_> = members.iter().map(|it| it["address"].as_str()).collect();
        let is_shared = members.iter().all(|it| it["partitions"].as_array().unwrap().len() == 2);
        let is_here = shares["owned_partitions"].as_array().unwrap().len() == 2;
        (told == addresses && is_shared && is_here)
            .then(|| shares.clone())
            .ok_or(shares.to_string())
    })
}

/// Goal: a process that is restarted at another address before its session ends takes its place in
/// the group without the group's hearing of the address; it then joins anew.
#[test]
fn who_asks_the_wrong_process_is_told_the_right_one_also_after_it_has_moved() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, load) = (Deployment::new(&broker.address()), Load::new(Order::Time, SEED));
    let mut first = deployment.instance("first", 1).with(&["kafka.session_timeout_ms=60000"]);
    let second = || deployment.instance("second", 1).with(&["kafka.session_timeout_ms=60000"]);
    let (mut before, mut after) =
        (second().with(&["http.advertise=before:1"]), second().with(&["http.advertise=after:2"]));
    deployment.feed().send(load.stream.clone());

    let mut stays = first.start();
    first.wait_until_ready(&mut stays);
    let mut moves = before.start();
    let shares = told(&first, [None, Some("before:1")]);
    assert_eq!((&shares["instance"], &shares["n_partitions"]), (&json!("first"), &json!(4)));
    assert_eq!(shares["members"][0]["partitions"], shares["owned_partitions"]);
    deployment.wait_for_end(&mut [&mut stays, &mut moves]);

    let elsewhere = load.stream.iter().find_map(|record| {
        let id = std::str::from_utf8(record.key.as_deref()?).ok()?;
        let (status, answer) = document(&first, &format!("/customers/{id}")).ok()?;
        (status == 404 && answer["members"].is_array()).then_some((id.to_owned(), answer))
    });
    let (id, answer) = elsewhere.expect("somebody's partition is at the other process");
    assert_eq!(answer["members"], shares["members"]);
    // What moved there may still be read back.
    let customer = wait_until("the customer at the other process", DEADLINE, || {
        let (status, customer) = document(&before, &format!("/customers/{id}"))?;
        if status == 200 { Ok(customer) } else { Err(customer.to_string()) }
    });
    assert_eq!(customer["score"]["customer_id"], json!(id), "{customer}");

    Instance::stop(moves);
    let moves = after.start();
    told(&first, [None, Some("after:2")]);
    Instance::stop(moves);
    Instance::stop(stays);
}

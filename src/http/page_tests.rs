//! Tests of what a page is made of: the overview and the lists, through real TCP connections.

use serde_json::{Value, json};

use super::Limits;
use super::tests::{LONG, start, started, token};
use crate::churn::Lifecycle;
use crate::lifecycle::LaneState;
use crate::metrics::{Figures, Tally};
use crate::population::{Census, Effect, Factors, Place, Share};

#[test]
fn the_overview_tells_of_partitions_population_and_drivers_and_needs_no_token() {
    let server = start(Some(token()), Limits::default(), LONG);
    let (running, restoring) = (server.metrics.own_partition(0), server.metrics.own_partition(3));
    restoring.restore_from(0, 4);
    restoring.restored_to(1, 1);
    running.run_from(5);
    server.metrics.input_ends(0, 8, 8);
    let place = Place { tier: 2, lifecycle: Lifecycle::AtRisk, value_minor: 1250 };
    let mut population = Census::default();
    population.add(&place);
    running.set_figures(Figures { n_customers: 1, ..Figures::default() }, &population);
    let before = server.get("/overview").json();
    assert_eq!((&before["ready"], before.get("last_commit_at")), (&json!(false), None));
    assert_eq!(before["lanes"], json!([{ "lane": 0, "state": "starting" }]));
    server.metrics.sample_drivers();
    let mut tally = Tally::new();
    tally.event(crate::event::Kind::ALL[0]);
    let factors = Factors { retention: 0.5, frequency: 1.0, basket: 2500.0 };
    tally.population(None, Some(&Share::new(2, Lifecycle::AtRisk, true, Some((1250.0, factors)))));
    server.metrics.transaction_committed(&tally);
    server.lanes.lane(0).set(LaneState::Ready);

    let answer = server.get("/overview");
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    let body = answer.json();
    let facts = json!({
        "version": env!("CARGO_PKG_VERSION"), "instance": "shop-1", "ready": true, "stalls": [],
        "currency": "USD", "n_partitions": 4, "events": 1, "signals": 0, "customers": 1,
        "tiers": ["bronze", "silver", "gold"],
    });
    for (name, value) in facts.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
    let [own, other] = &body["partitions"].as_array().unwrap()[..] else { panic!("{body}") };
    assert_eq!((&own["state"], &own["lag_records"]), (&json!("running"), &json!(3)));
    assert_eq!((&own["customers"], own.get("restore")), (&json!(1), None));
    assert_eq!((&other["state"], other.get("lag_records")), (&json!("restoring"), None));
    assert_eq!(other["restore"]["progress_ratio"], json!(0.25));
    let cells = body["population"].as_array().unwrap();
    let held = json!({"segment": "gold", "lifecycle": "at_risk", "customers": 1, "clv": 12.5});
    assert_eq!(cells.len(), 3 * Lifecycle::ALL.len());
    assert!(cells.contains(&held), "{body}");
    let [first, now] = &body["drivers"].as_array().unwrap()[..] else { panic!("{body}") };
    let gained = |point: &Value| (point["up"]["new"].clone(), point["down"]["new"].clone());
    assert_eq!(gained(first), (json!(0.0), json!(0.0)));
    assert_eq!(gained(now), (json!(12.5), json!(0.0)));
    assert_eq!(now["up"].as_object().unwrap().len(), Effect::ALL.len());
    assert_eq!(now["at"], body["at"]);
    assert!(body["last_commit_at"].as_str().unwrap() <= body["at"].as_str().unwrap(), "{body}");
}

#[test]
fn a_list_is_read_page_by_page_and_says_what_it_is() {
    let server = started();
    let query = "/customers?lifecycle=at_risk,declining&segment=gold%2Csilver&limit=30";
    let answer = server.get(query);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    let body = answer.json();
    assert_eq!((&body["total"], &body["listed_max"]), (&json!(200), &json!(1000)));
    assert_eq!((&body["sort"], &body["currency"]), (&json!("value_at_risk"), &json!("USD")));
    assert_eq!(body["restoring"], json!(true));
    let first = json!({
        "customer_id": "c-0596", "value_at_risk": 5.96, "historic": "123.40", "predicted": 45.6,
        "segment": { "value": "gold", "lifecycle": "declining" },
        "last_order_on": "2024-10-04", "driver": "silence",
    });
    assert_eq!(body["customers"][0], first);
    let (mut seen, mut page) = (Vec::new(), body);
    for _ in 0..10 {
        let customers = page["customers"].as_array().unwrap();
        seen.extend(customers.iter().map(|it| it["customer_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        page = server.get(&format!("{query}&after={next}")).json();
    }
    assert_eq!(seen.len(), 200);
    assert!(seen.is_sorted_by(|one, other| one > other), "{seen:?}");
    assert_eq!(server.get("/customers").json()["customers"].as_array().unwrap().len(), 50);
}

#[test]
fn a_request_for_a_list_that_says_nonsense_is_told_what_to_say() {
    let server = started();
    for (query, words) in [
        ("lifecycle=dead", &["`lifecycle`", "`dead`", "`lapsed`, `at_risk`"] as &[_]),
        ("segment=", &["`segment`", "`bronze`, `silver`, `gold`"]),
        ("sort=name", &["`sort`", "`name`", "`value_at_risk`"]),
        ("limit=0", &["`limit`", "`0`", "1 to 200"]),
        ("limit=201", &["`limit`", "`201`"]),
        ("limit=many", &["`limit`", "`many`"]),
        ("after=xyz", &["`after`", "`xyz`", "`next`"]),
        ("limit=5&limit=6", &["`limit`", "twice"]),
        ("segmnet=gold", &["`segmnet`", "`gold`", "`segment`"]),
        ("segment=%ff", &["`segment=%ff`", "UTF-8"]),
    ] {
        let answer = server.get(&format!("/customers?{query}"));
        let sentence = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400, "{query}");
        assert!(words.iter().all(|word| sentence.contains(word)), "{query}: {sentence}");
    }
}

#[test]
fn a_list_is_for_who_may_see_customers() {
    let server = start(Some(token()), Limits::default(), LONG);
    assert_eq!(server.get("/customers").status, 401);
    let header = "Authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(server.send("GET /customers", header).status, 200);
    assert_eq!(started().send("GET /customers", "Host: evil.example\r\n").status, 403);
}

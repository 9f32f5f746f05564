//! Without a model file the processor fits one to its changelog, publishes it and goes on with it,
//! on and on across a kill; a fit that is not to be trusted waits. Read with `read_committed`.

use std::time::Duration;

use lifetide::clv::ModelFile;
use lifetide::record::model::{CURRENT, Entry, read};
use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::process::Process;
use crate::support::topics::{Outgoing, last_per_key};
use crate::support::wait_until;

const CDNOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cdnow_sample.csv");
const DEADLINE: Duration = Duration::from_mins(3);

/// CDNOW lies in the input, and the configuration names no file.
fn deployment(broker: &Broker) -> (Deployment, Instance) {
    let deployment = Deployment::new(&broker.address());
    deployment.topics.create(&deployment.topic("models"), 1, &[("cleanup.policy", "compact")]);
    let history = ["--input", CDNOW, "--map", "occurred_at=date"];
    let from = ["--set", "churn.signals_from=2000-01-01T00:00:00Z"];
    let output = deployment.command("import", &[&history[..], &from].concat()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let sets = ["model.file=", "model.fit_every_days=0"];
    // All is known before the first fit, at whatever speed.
    let mut reads = deployment.instance("reads", 2).with(&sets);
    let process = reads.start();
    population(&reads, 6_919.0);
    Instance::stop(process);
    let sets = ["model.file=", "processing.transaction_events_max=2000", "processing.emit=commit"];
    let instance = deployment.instance("learns", 2).with(&sets);
    (deployment, instance)
}

/// The newest score of every customer.
fn scores(deployment: &Deployment) -> Vec<Value> {
    let scores = deployment.topics.read_all(&deployment.topic("scores"));
    let values = last_per_key(&scores).into_values();
    values.map(|it| serde_json::from_slice(it.payload.as_deref().unwrap()).unwrap()).collect()
}

/// The models that lie in the topic, and the label of the one to go on with.
fn published(deployment: &Deployment) -> (Vec<ModelFile>, Option<String>) {
    let (mut files, mut current) = (Vec::new(), None);
    for record in deployment.topics.read_all(&deployment.topic("models")) {
        match read(record.key.as_deref().unwrap(), record.payload.as_deref().unwrap()).unwrap() {
            Entry::Model(file, _) => files.push(*file),
            Entry::Current(label) => current = Some(label),
        }
    }
    (files, current)
}

/// A cart of a hundred customers: reason enough for a score.
fn carts(deployment: &Deployment, day: u32) {
    let cart = |n: u32| {
        let customer = format!("{n:05}");
        let payload = format!(
            r#"{{"type":"cart.abandoned","customer_id":"{customer}","occurred_at":"1998-07-{day:02}T12:00:00Z"}}"#
        );
        let (key, payload) = (Some(customer.into_bytes()), Some(payload.into_bytes()));
        Outgoing { key, payload, timestamp_ms: None }
    };
    deployment.feed().send((1..=100).map(cart));
}

fn has_processed_all(deployment: &Deployment, process: &mut Process) {
    deployment.wait_for_end(&mut [process]);
}

/// The sum of a family's series in a text of metrics, of those whose labels contain `label`.
fn sum(text: &str, family: &str, label: &str) -> f64 {
    let series = text.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
    let values = series.filter(|it| it.contains(label)).map(|it| it.rsplit_once(' ').unwrap().1);
    values.map(|value| value.parse::<f64>().unwrap()).sum()
}

/// What the customers are worth together, by tier and lifecycle, once `n_events` are committed.
fn population(instance: &Instance, n_events: f64) -> Vec<String> {
    wait_until("the last commit to be shown", DEADLINE, || {
        let (_, text) = instance.get("/metrics")?;
        let n_counted = sum(&text, "lifetide_events_total", "");
        let n_committed = sum(&text, "lifetide_transactions_total", "committed");
        let n_shown = sum(&text, "lifetide_transaction_phase_seconds_count", "apply");
        let is_shown = n_counted >= n_events && n_shown >= n_committed;
        is_shown.then_some(()).ok_or_else(|| format!("{n_counted} {n_committed} {n_shown}"))
    });
    let (_, text) = instance.get("/metrics").unwrap();
    let gauges = ["lifetide_population_clv_minor_units{", "lifetide_population_customers{"];
    let is_gauge = |line: &&str| gauges.iter().any(|gauge| line.starts_with(gauge));
    text.lines().filter(is_gauge).map(str::to_owned).collect()
}

/// How many scores are of this model.
fn n_scored_by(deployment: &Deployment, label: &str) -> usize {
    scores(deployment).iter().filter(|score| score["model"] == label).count()
}

#[test]
fn a_model_is_fitted_published_and_gone_on_with_also_after_a_kill() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, instance) = deployment(&broker);
    let mut instance = instance.with(&["model.fit_every_days=30"]);
    let mut process = instance.start();
    process.wait_for_log("changed the model", 4);
    let (files, current) = published(&deployment);
    let label = current.expect("a model was published");
    let file = files.iter().find(|file| label.ends_with(&file.version)).unwrap();
    // All of CDNOW, to its last days: other customers and days than the published fits.
    let evidence = file.evidence.clone().unwrap();
    assert_eq!(evidence.identifiable, Some(true), "{file:?}");
    assert!((0.2..2.0).contains(&file.parameters.r.unwrap()), "{file:?}");
    carts(&deployment, 10);
    has_processed_all(&deployment, &mut process);
    let n_scored = n_scored_by(&deployment, &label);
    assert!(n_scored > 0);
    let has_bought = |score: &&Value| score["history"]["purchase_days"].as_u64() > Some(0);
    let of_model = |score: &&Value| score["model"] == *label && has_bought(score);
    for score in scores(&deployment).iter().filter(of_model) {
        assert!(score["clv"]["predicted"].is_number(), "{score}");
    }

    let worth = population(&instance, 100.0);
    assert!(sum(&worth.join("\n"), "lifetide_population_clv_minor_units", "") > 0.0, "{worth:?}");
    process.kill_9();
    let mut process = instance.start();
    instance.wait_until_ready(&mut process);
    assert_eq!(population(&instance, 0.0), worth, "a restore counts the same");
    carts(&deployment, 20);
    has_processed_all(&deployment, &mut process);
    let log = process.log();
    assert!(!log.contains("changed the model"), "it went on with another: {log}");
    assert!(n_scored_by(&deployment, &label) >= n_scored);
    assert_eq!(published(&deployment).1.as_ref(), Some(&label), "nothing new was due");

    // By the clock on the wall the next would be due in a month, and a process that has just begun
    // need not wait until it tries again.
    Instance::stop(process);
    let mut process = instance.start();
    carts(&deployment, 31);
    process.wait_for_log("changed the model", 4);
    let newer = published(&deployment).1.unwrap();
    assert!(newer.ends_with("/1998-07-31"), "{newer} after {label}");
    Instance::stop(process);
}

#[test]
fn a_fit_that_foresees_something_else_altogether_waits_and_a_pin_takes_it() {
    let Some(broker) = Broker::shared() else { return };
    let (deployment, mut instance) = deployment(&broker);
    // Published months ago: by it nobody leaves, and everybody buys each day.
    let wild = r#"{"schema":"lifetide.model/1","name":"mbg-nbd","version":"wild","unit":"week","parameters":{"r":70.0,"alpha":10.0,"a":0.001,"b":100.0}}"#;
    let old = |key: &str, value: &str| Outgoing {
        key: Some(key.as_bytes().to_vec()),
        payload: Some(value.as_bytes().to_vec()),
        timestamp_ms: Some(1_000_000_000_000),
    };
    let records = [old("mbg-nbd/wild", wild), old(CURRENT, "mbg-nbd/wild")];
    deployment.topics.feed(&deployment.topic("models")).send(records);
    let mut process = instance.start();
    process.wait_for_log("held a model back", 1);
    let log = process.log();
    assert!(log.contains("times the orders of the model in use"), "{log}");
    let (files, current) = published(&deployment);
    assert_eq!(current.as_deref(), Some("mbg-nbd/wild"));
    let fitted = files.iter().find(|file| file.version != "wild").expect("it lies there");
    let metrics = || instance.get("/metrics").unwrap().1;
    let held = "lifetide_model_fits_total{result=\"wildly_different\"} 1";
    wait_until("the metrics", DEADLINE, || {
        let text = metrics();
        if text.contains(held) { Ok(()) } else { Err(text) }
    });
    Instance::stop(process);

    let label = format!("{}/{}", fitted.name, fitted.version);
    let mut pinned = deployment.instance("pinned", 2).with(&[
        "model.file=",
        &format!("model.pin={label}"),
        "processing.emit=commit",
    ]);
    let mut process = pinned.start();
    process.wait_for_log("changed the model", 4);
    carts(&deployment, 10);
    has_processed_all(&deployment, &mut process);
    assert!(n_scored_by(&deployment, &label) > 0);
    Instance::stop(process);

    let mut unknown = deployment.instance("unknown", 1);
    unknown = unknown.with(&["model.file=", "model.pin=bg-nbd/nowhere"]);
    let refusal = unknown.refusal();
    for words in ["`model.pin` is `bg-nbd/nowhere`", "`mbg-nbd/wild`", &format!("`{label}`")] {
        assert!(refusal.contains(words), "{refusal}");
    }
}

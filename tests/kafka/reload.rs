//! The configuration, the token, the model and what is logged change under a running processor: by
//! SIGHUP and by themselves, all of it or nothing. Read with `read_committed`.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::process::Process;
use crate::support::topics::Outgoing;
use crate::support::wait_until;

const DEADLINE: Duration = Duration::from_mins(2);
/// A process is frozen while its files change, and its group waits for it.
const PATIENT: &str = "kafka.session_timeout_ms=60000";
const FIRST: &str = "0123456789abcdef0123456789abcdef";
const SECOND: &str = "fedcba9876543210fedcba9876543210";
const BROKEN: &str = "short";
const MODEL: &str = include_str!("../data/models/bg-nbd.toml");

/// What changes in the configuration, and the text of it as the deployment wrote it.
struct Written<'a> {
    deployment: &'a Deployment,
    text: String,
}

impl Written<'_> {
    /// As an editor does it: beside its place, then moved there.
    fn put(&self, more: &str) {
        let text = self.text.replace("commit_interval_ms = 20", "commit_interval_ms = 30");
        let text = if more.is_empty() { self.text.clone() } else { format!("{text}{more}") };
        let beside = self.deployment.write("beside.toml", [text.as_bytes()]);
        fs::rename(beside, self.deployment.config()).unwrap();
    }
}

/// As one change, however long it takes: no look at the files falls between its parts.
fn at_once(running: &Process, change: impl FnOnce()) {
    running.freeze();
    change();
    running.thaw();
}

fn event(kind: &str, customer: &str, at: &str) -> Outgoing {
    let payload = format!(
        r#"{{"type":"{kind}","customer_id":"{customer}","occurred_at":"{at}T12:00:00Z","amount":"40.00"}}"#
    );
    let (key, payload) = (Some(customer.into()), Some(payload.into_bytes()));
    Outgoing { key, payload, timestamp_ms: None }
}

fn process(deployment: &Deployment, process: &mut Process, event: Outgoing) {
    deployment.feed().send([event]);
    deployment.wait_for_end(&mut [process]);
}

/// Customer, kind and instant of each signal.
fn signals(deployment: &Deployment) -> Vec<String> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    let signal = |payload: &[u8]| {
        let value: Value = serde_json::from_slice(payload).unwrap();
        ["customer_id", "kind", "raised_at"].map(|field| text(&value, field)).join(" ")
    };
    let signals = deployment.topics.read_all(&deployment.topic("signals"));
    signals.iter().map(|record| signal(record.payload.as_deref().unwrap())).collect()
}

fn status(instance: &Instance, token: &str) -> u16 {
    let header = format!("Authorization: Bearer {token}\r\n");
    instance.get_with("/customers/ana", &header).unwrap().0
}

fn is_taken(instance: &Instance) -> bool {
    let (_, metrics) = instance.get("/metrics").unwrap();
    metrics.contains("\nlifetide_config_last_reload_successful 1\n")
}

/// The lines of the log that hold these words, as fields.
fn lines(process: &Process, words: &str) -> Vec<Value> {
    let log = process.log();
    let lines = log.lines().filter(|line| line.contains(words));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn limits_token_and_log_level_change_while_it_runs_and_what_is_wrong_changes_nothing() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::of_partitions(&broker.address(), 1);
    let token = deployment.write("token", [FIRST.as_bytes()]);
    let text = fs::read_to_string(deployment.config()).unwrap();
    let text = format!("{text}[http]\ntoken_file = '{}'\n", token.display());
    let written = Written { deployment: &deployment, text };
    written.put("");
    let mut instance = deployment.instance("reloads", 1).with(&[PATIENT]);
    let mut running = instance.start();
    instance.wait_until_ready(&mut running);
    // Nobody's second order: by 180 days Ana has not lapsed when Ben buys.
    process(&deployment, &mut running, event("order.completed", "ana", "2024-01-01"));
    process(&deployment, &mut running, event("order.completed", "ben", "2024-03-01"));
    assert_eq!(status(&instance, FIRST), 200);
    assert_eq!(signals(&deployment), [""; 0]);
    assert!(is_taken(&instance));

    // Two faults, on request, and a broken token, found without one.
    at_once(&running, || {
        written.put("[churn]\nlapse_days_single = 0\nlapse_days_max = 9\n");
        running.signal("HUP");
    });
    running.wait_for_log("failed to reload", 1);
    assert!(!is_taken(&instance));
    at_once(&running, || {
        deployment.write("token", [BROKEN.as_bytes()]);
        written.put("");
    });
    running.wait_for_log("failed to reload", 2);
    let faults = lines(&running, "failed to reload");
    let faults: Vec<_> = faults.iter().map(|line| line["faults"].as_str().unwrap()).collect();
    assert!(faults[0].contains("`churn.lapse_days_single` is `0`"), "{faults:?}");
    assert!(faults[0].contains("`churn.lapse_days_max` is `9`"), "{faults:?}");
    assert!(faults[1].contains("has `5` characters"), "{faults:?}");
    assert_eq!((status(&instance, FIRST), status(&instance, BROKEN)), (200, 401));
    process(&deployment, &mut running, event("cart.abandoned", "ben", "2024-03-02"));
    assert_eq!(signals(&deployment), [""; 0]);

    at_once(&running, || {
        deployment.write("token", [SECOND.as_bytes()]);
        let secret = "[kafka.client]\n'sasl.password' = 'hunter2'\n";
        written.put(&format!("[churn]\nlapse_days_single = 20\n{secret}"));
        running.signal("HUP");
    });
    running.wait_for_log("changed the model or the rules", 1);
    let reloads = lines(&running, "\"reloaded\"");
    let [reload] = &reloads[..] else { panic!("{reloads:?}") };
    let expect = "`churn.lapse_days_single` `180` -> `20`, the token";
    assert_eq!(reload["taken"], expect);
    assert!(is_taken(&instance));
    let left = lines(&running, "wait for a restart");
    let [left] = &left[..] else { panic!("{left:?}") };
    let expect = "`kafka.client.sasl.password` `` -> `***`, \
                  `processing.commit_interval_ms` `20` -> `30`";
    assert_eq!(left["keys"], expect);
    assert_eq!((status(&instance, FIRST), status(&instance, SECOND)), (401, 200));
    // What is due by the new line fires before the next event, as after a restart.
    process(&deployment, &mut running, event("cart.abandoned", "ben", "2024-03-03"));
    assert_eq!(signals(&deployment), ["ana lapse 2024-03-02T12:00:00.000Z"]);

    assert!(!running.log().contains("\"DEBUG\""), "{}", running.log());
    written.put("[churn]\nlapse_days_single = 20\n[log]\nlevel = 'debug'\n");
    running.wait_for_log("`log.level` `` -> `debug`", 1);
    process(&deployment, &mut running, event("cart.abandoned", "ben", "2024-03-04"));
    running.wait_for_log("\"DEBUG\"", 1);
    assert_eq!(signals(&deployment).len(), 1, "once");
    assert_eq!(lines(&running, "failed to reload").len(), 2, "each fault is told once");
    running.signal("HUP");
    running.wait_for_log("nothing to take has changed", 1);
    wait_until("the processor to go on", DEADLINE, || match instance.get("/ready") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(!running.log().contains("hunter2"));
    Instance::stop(running);
}

/// The model under another version.
fn model(version: &str) -> String {
    MODEL.replace("\"cdnow-1997-09-30\"", &format!("\"{version}\""))
}

/// The models of all scores, each once in a row.
fn models(deployment: &Deployment) -> Vec<String> {
    let scores = deployment.topics.read_all(&deployment.topic("scores"));
    let model = |payload: &[u8]| {
        let value: Value = serde_json::from_slice(payload).unwrap();
        value["model"].as_str().unwrap().to_owned()
    };
    let mut models: Vec<_> =
        scores.iter().map(|score| model(score.payload.as_deref().unwrap())).collect();
    models.dedup();
    models
}

#[test]
fn model_and_pin_change_while_it_runs_also_by_what_changed_while_it_started() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::of_partitions(&broker.address(), 1);
    let text = fs::read_to_string(deployment.config()).unwrap();
    let (text, _) = text.split_once("file = ").unwrap();
    let written = Written { deployment: &deployment, text: text.to_owned() };
    let [pipe, one, two] = ["pipe", "one", "two"].map(|name| deployment.write(name, []));
    let name = |path: &Path| format!("file = '{}'\n", path.display());
    fs::remove_file(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    written.put(&name(&pipe));
    let mut instance = deployment.instance("remodels", 1).with(&[PATIENT]);
    let mut running = instance.start();
    // It has read its configuration when it opens the model, and starts for as long as that lasts.
    let (opened, is_opened) = mpsc::channel();
    let way = pipe.clone();
    thread::spawn(move || opened.send(File::options().write(true).open(way)));
    let mut way = is_opened.recv_timeout(DEADLINE).expect("the model to be read").unwrap();
    fs::write(&one, model("one")).unwrap();
    written.put(&name(&one));
    way.write_all(model("pipe").as_bytes()).unwrap();
    drop(way);
    running.wait_for_log("\"reloaded\"", 1);
    process(&deployment, &mut running, event("order.completed", "ana", "2024-01-01"));

    // Another file that is no model, which then becomes one where it lies, and then another.
    let pinned = name(&two) + "pin = 'bg-nbd/two'\n";
    written.put(&pinned);
    running.wait_for_log("failed to reload", 1);
    at_once(&running, || fs::write(&two, model("two")).unwrap());
    running.wait_for_log("\"model\":\"bg-nbd/two\"", 1);
    process(&deployment, &mut running, event("order.completed", "ana", "2024-01-02"));
    at_once(&running, || fs::write(&two, model("three")).unwrap());
    running.wait_for_log("failed to reload", 2);
    process(&deployment, &mut running, event("order.completed", "ana", "2024-01-03"));
    written.put(&name(&two));
    running.wait_for_log("\"model\":\"bg-nbd/three\"", 1);
    process(&deployment, &mut running, event("order.completed", "ana", "2024-01-04"));

    let taken = lines(&running, "\"reloaded\"");
    let taken: Vec<_> = taken.iter().map(|line| line["taken"].as_str().unwrap()).collect();
    let [pipe, one, two] = [pipe, one, two].map(|path| path.display().to_string());
    let expect = [
        format!("`model.file` `{pipe}` -> `{one}`, the model `bg-nbd/one`"),
        format!(
            "`model.file` `{one}` -> `{two}`, `model.pin` `` -> `bg-nbd/two`, the model \
             `bg-nbd/two`"
        ),
        "`model.pin` `bg-nbd/two` -> ``, the model `bg-nbd/three`".to_owned(),
    ];
    assert_eq!(taken, expect);
    let faults = lines(&running, "failed to reload");
    let fault = faults[1]["faults"].as_str().unwrap();
    assert!(fault.contains("it holds `bg-nbd/three` and `model.pin` is `bg-nbd/two`"), "{fault}");
    // The first event may have come before the partition had changed over.
    assert_eq!(models(&deployment)[1..], ["bg-nbd/two", "bg-nbd/three"]);
    Instance::stop(running);
}

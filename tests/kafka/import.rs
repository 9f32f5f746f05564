//! A history goes from a file into the input topic, through kills, a stop and a second copy: each
//! row once. The input and what the processor makes of it are read with `read_committed`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::process::Output;
use std::time::Duration;

use lifetide::kafka::placement::Partitioner;
use lifetide::record::signal::Signal;
use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::Dice;
use crate::support::process::Process;
use crate::support::topics::{Outgoing, Record, last_per_key};
use crate::support::{pause, wait_until};

const CDNOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cdnow_sample.csv");
/// Of the moments of the kills.
const SEED: u64 = 1998;
/// So many kills, and on until one has hit a transaction.
const N_KILLS_MIN: u32 = 5;
const N_KILLS_MAX: u32 = 20;
const DEADLINE: Duration = Duration::from_mins(2);

/// So small that each kill leaves most of the file to be sent.
const SMALL: [&str; 2] = ["--set", "processing.transaction_events_max=10"];
const HISTORY: [&str; 4] = ["--input", CDNOW, "--map", "occurred_at=date"];

/// Customer, date and amount of each row.
fn rows() -> impl Iterator<Item = (String, String, String)> {
    include_str!("../data/cdnow_sample.csv").lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split(',').collect();
        // Some amounts lack the zeros that an event has.
        let (whole, decimals) = columns[4].split_once('.').unwrap_or((columns[4], ""));
        (columns[0].to_owned(), columns[2].to_owned(), format!("{whole}.{decimals:0<2}"))
    })
}

fn start(deployment: &Deployment, log: &str) -> Process {
    deployment.start(deployment.command("import", &[&HISTORY[..], &SMALL].concat()), log)
}

fn import(deployment: &Deployment, arguments: &[&str]) -> (Output, String, String) {
    let output = deployment.command("import", arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// The records that lie in the input, aborted ones too.
fn n_written(deployment: &Deployment) -> i64 {
    deployment.topics.end_offsets(&deployment.topic("events")).iter().sum()
}

/// The records that lie in the input and are not committed.
fn n_aborted(deployment: &Deployment) -> usize {
    let topic = deployment.topic("events");
    let n_written = deployment.topics.read_all_uncommitted(&topic).len();
    n_written - deployment.topics.read_all(&topic).len()
}

fn wait_for_more(deployment: &Deployment, process: &mut Process) {
    let n_before = n_written(deployment);
    wait_until("rows in the topic", DEADLINE, || {
        process.assert_runs();
        let n = n_written(deployment);
        (n > n_before + 40).then_some(()).ok_or_else(|| format!("{n_before} and then {n}"))
    });
}

fn json(record: &Record) -> Value {
    serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap()
}

fn process_to_the_end(deployment: &Deployment, instance: &mut Instance) {
    let mut process = instance.start();
    // Not the ends of the topic: behind the last record lies the end of its transaction.
    let mut ends = deployment.topics.end_offsets(&deployment.topic("events"));
    ends.fill(0);
    for record in deployment.topics.read_all(&deployment.topic("events")) {
        ends[usize::try_from(record.partition).unwrap()] = record.offset + 1;
    }
    let watch = deployment.watch();
    wait_until("the end of the input", DEADLINE, || {
        process.assert_runs();
        watch.has_reached(&ends)
    });
    Instance::stop(process);
}

#[test]
fn an_import_that_is_killed_stopped_and_overtaken_leaves_each_row_once() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    let mut dice = Dice::new(SEED);
    for kill in 1..=N_KILLS_MAX {
        let mut process = start(&deployment, &format!("killed-{kill}.log"));
        if dice.below(3) > 0 {
            wait_for_more(&deployment, &mut process);
        }
        pause(Duration::from_millis(dice.below(60)));
        process.assert_runs();
        process.kill_9();
        if kill >= N_KILLS_MIN && n_aborted(&deployment) > 0 {
            break;
        }
    }
    let mut stopped = start(&deployment, "stopped.log");
    wait_for_more(&deployment, &mut stopped);
    let log = stopped.log_path().to_owned();
    assert_eq!(stopped.end_by("TERM", DEADLINE).code(), Some(1));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("left: stopped; the same command goes on there"), "{log}");

    let mut first = start(&deployment, "first.log");
    wait_for_more(&deployment, &mut first);
    let mut second = start(&deployment, "second.log");
    wait_until("the first to be fenced", DEADLINE, || first.exit_status().ok_or("it runs".into()));
    assert_eq!(first.exit_status().unwrap().code(), Some(1));
    assert!(first.log().contains("let one such command run at a time"), "{}", first.log());
    let status = wait_until("the second to end", DEADLINE, || {
        second.exit_status().ok_or_else(|| "it runs".to_owned())
    });
    assert!(status.success(), "{}", second.log());

    assert!(n_aborted(&deployment) > 0, "no kill has hit a transaction: this run shows little");
    check_rows(&deployment.topics.read_all(&deployment.topic("events")));
    check_scores(&deployment);
}

/// Each row of the file is there once, with an id of its own, in order of time.
fn check_rows(input: &[Record]) {
    let mut found: Vec<(String, String, String)> = Vec::new();
    let mut ids = BTreeSet::new();
    let mut newest: BTreeMap<i32, String> = BTreeMap::new();
    for record in input {
        let event = json(record);
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        assert_eq!(record.key.as_deref(), Some(text("customer_id").as_bytes()));
        assert!(ids.insert(text("event_id")), "twice: {event}");
        let at = text("occurred_at");
        let (date, _) = at.split_once('T').unwrap();
        found.push((text("customer_id"), date.to_owned(), text("amount")));
        let before = newest.insert(record.partition, at.clone()).unwrap_or_default();
        assert!(before <= at, "{at} comes after {before}");
    }
    let mut expected: Vec<(String, String, String)> = rows().collect();
    expected.sort();
    found.sort();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "the rows are not those of the file");
}

/// What the processor makes of it equals the replay of the same file.
fn check_scores(deployment: &Deployment) {
    process_to_the_end(deployment, &mut deployment.instance("reads", 2));
    let scores = deployment.topics.read_all(&deployment.topic("scores"));
    let last = last_per_key(&scores);
    let lines = last.values().map(|record| record.payload.as_deref().unwrap());
    let scores = deployment.write("scores.jsonl", lines);
    let mut replay = deployment.command("replay", &HISTORY);
    let output = replay.arg("--against").arg(scores).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let customers: BTreeSet<String> = rows().map(|(customer, ..)| customer).collect();
    assert!(text.starts_with(&format!("{} ", customers.len())), "{text}");
}

/// Goal: five years of history send no mail, and the first live event after them may.
#[test]
fn an_imported_history_raises_no_signal_and_live_events_after_it_do() {
    const FROM: &str = "1998-08-01T00:00:00.000Z";
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    let from = format!("churn.signals_from={FROM}");
    let (output, out, err) = import(&deployment, &[&HISTORY[..], &["--set", &from]].concat());
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(err, "", "nothing is to be warned of");
    let signals = || deployment.topics.read_all(&deployment.topic("signals"));
    let mut instance = deployment.instance("reads", 1).with(&[&from]);
    process_to_the_end(&deployment, &mut instance);
    assert_eq!(signals(), [], "signals about the past");

    let customers: BTreeSet<String> = rows().map(|(customer, ..)| customer).collect();
    let live = customers.iter().take(100).map(|customer| {
        let payload = format!(
            r#"{{"type":"cart.abandoned","customer_id":"{customer}","occurred_at":"1998-10-01T12:00:00Z"}}"#
        );
        Outgoing {
            key: Some(customer.clone().into_bytes()),
            payload: Some(payload.into_bytes()),
            timestamp_ms: None,
        }
    });
    deployment.feed().send(live);
    process_to_the_end(&deployment, &mut instance);
    let raised: Vec<String> = signals()
        .iter()
        .map(|record| {
            let signal = Signal::read(record.payload.as_deref().unwrap()).unwrap();
            lifetide::calendar::rfc3339(signal.raised_at.0).to_string()
        })
        .collect();
    assert!(!raised.is_empty(), "nobody lapses in two months");
    assert!(raised.iter().all(|at| at.as_str() >= FROM), "{raised:?}");
}

#[test]
fn a_file_is_imported_once_and_what_cannot_be_used_is_said_by_line() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    let file = |name: &str, rows: &[&[u8]]| {
        let header: &[u8] = b"customer_id,occurred_at,amount,event_id";
        let path = deployment.write(name, [header].into_iter().chain(rows.iter().copied()));
        path.to_str().unwrap().to_owned()
    };
    let long = format!("{},2024-01-02,1.00,", "x".repeat(129));
    let bad = file(
        "bad.csv",
        &[
            b"c1,2024-01-02,1.00,",
            b"c2,2150-01-01,2.00,",
            long.as_bytes(),
            b"c1,2024-01-01,3.00,",
            b"c3,2024-01-01,-4.00,e4",
            b"c4,2024-01-01,1.005,",
        ],
    );
    let n = || n_written(&deployment);
    let (output, out, err) = import(&deployment, &["--input", &bad, "--strict"]);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(err.contains("has `3` rows that cannot be read"), "{err}");
    assert_eq!(n(), 0, "--strict sends nothing");

    let (output, out, err) = import(&deployment, &["--input", &bad]);
    assert!(output.status.success(), "{out}{err}");
    for line in [
        "skipped line `3`: future",
        "skipped line `4`: bad_value",
        "skipped line `7`: bad_value",
        "warning: `churn.signals_from` is not set",
    ] {
        assert!(err.contains(line), "{err}");
    }
    assert!(out.contains("3 events, 2024-01-01 to 2024-01-02\n"), "{out}");
    assert!(out.contains("3   sent\n") && out.contains("2 customers\n"), "{out}");
    let input = deployment.topics.read_all(&deployment.topic("events"));
    let mut found: Vec<(String, String)> = input
        .iter()
        .map(|record| {
            let event = json(record);
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            let id: String = text("event_id").chars().take(16).collect();
            (id, format!("{} {}", text("type"), text("amount")))
        })
        .collect();
    found.sort();
    let expected = [
        ("e4", "order.refunded 4.00"),
        ("row-000000000001", "order.completed 1.00"),
        ("row-000000000004", "order.completed 3.00"),
    ];
    assert_eq!(found, expected.map(|(id, event)| (id.to_owned(), event.to_owned())));

    let n_first = n();
    let (output, out, err) = import(&deployment, &["--input", &bad]);
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("3   in the topic before\n") && out.contains("0   sent\n"), "{out}");
    assert!(!err.contains("warning"), "nothing is sent, so nothing is to be warned of: {err}");
    assert_eq!(n(), n_first, "the second time sends nothing");

    let other = file("other.csv", &[b"c1,2024-01-02,1.00,", b"c1,2024-01-02,1.00,"]);
    let (output, out, err) = import(&deployment, &["--input", &other]);
    assert!(output.status.success(), "{out}{err}");
    assert!(!err.contains("late"), "it goes on where the first has ended: {err}");
    assert!(out.contains("2   sent\n"), "another file is another import: {out}");
    let input = deployment.topics.read_all(&deployment.topic("events"));
    let ids: BTreeSet<String> = input.iter().map(|it| json(it)["event_id"].to_string()).collect();
    assert_eq!(ids.len(), 5, "rows of two files share an id: {ids:?}");
}

/// Goal: who imports after live traffic is told what that makes of the figures, before anything is
/// sent; an event that is refused, as one of 2150, is nobody's time.
#[test]
fn a_history_that_comes_after_live_events_is_told_to_be_late() {
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::new(&broker.address());
    let visit = |at: &str| Outgoing {
        key: Some(b"c1".to_vec()),
        payload: Some(
            format!(r#"{{"type":"cart.abandoned","customer_id":"c1","occurred_at":"{at}"}}"#)
                .into_bytes(),
        ),
        timestamp_ms: None,
    };
    let day = |name: &str, date: &str| {
        let rows = [b"customer_id,occurred_at,amount".as_slice(), date.as_bytes()];
        deployment.write(name, rows).to_str().unwrap().to_owned()
    };
    // Two days late is put right.
    let sets = ["--set", "processing.lateness_days=2"];
    let import_file = |file: &str, more: &[&str]| {
        let (output, out, err) =
            import(&deployment, &[&["--input", file], &sets[..], more].concat());
        assert!(output.status.success() && out.contains("1   sent\n"), "{out}{err}");
        err
    };
    deployment.feed().send([visit("2024-01-03T00:00:00Z"), visit("2150-01-01T00:00:00Z")]);
    let err = import_file(&day("near.csv", "c1,2024-01-01,1.00"), &[]);
    assert!(!err.contains("late"), "{err}");
    for (name, told) in [("far.csv", &[][..]), ("told.csv", &["--partitioner", "murmur2"])] {
        let err = import_file(&day(name, &format!("{name},2023-12-31,1.00")), told);
        let line = format!(
            "warning: `{}` has an event of `2024-01-03T00:00:00.000Z`, and the first row to send \
             is of `2023-12-31T00:00:00.000Z`: older rows are late",
            deployment.topic("events")
        );
        assert!(err.contains(&line), "{err}");
        assert!(err.contains("a group and topics of their own"), "{err}");
    }
}

/// Goal: rows go where live producers put the same customer, or nowhere.
#[test]
fn rows_lie_where_the_newest_records_say_that_keys_are_placed() {
    const N_PARTITIONS: i32 = 4;
    let Some(broker) = Broker::shared() else { return };
    let deployment = Deployment::of_partitions(&broker.address(), N_PARTITIONS);
    let dir = tempfile::tempdir().unwrap();
    let import_day = |day: u32, told: &[&str]| {
        let path = dir.path().join(format!("{day}.csv"));
        let rows = (0..50).map(|n| format!("c{n},2024-01-0{day},1.00\n"));
        let header = "customer_id,occurred_at,amount\n".to_owned();
        std::fs::write(&path, iter::once(header).chain(rows).collect::<String>()).unwrap();
        import(&deployment, &[&["--input", path.to_str().unwrap()], told].concat())
    };
    let is_placed = |partitioner: Partitioner| {
        let input = deployment.topics.read_all(&deployment.topic("events"));
        let place = |record: &Record| partitioner.place(record.key.as_ref().unwrap(), N_PARTITIONS);
        input.iter().all(|record| place(record) == record.partition)
    };

    // The first is what a producer of librdkafka sends.
    for (day, told) in [(1, &["--partitioner", "crc32"][..]), (2, &[])] {
        let (output, out, err) = import_day(day, told);
        assert!(output.status.success() && out.contains("50   sent\n"), "{out}{err}");
        assert!(is_placed(Partitioner::Crc32), "after day {day}");
    }
    let (output, out, err) = import_day(3, &["--partitioner", "murmur2"]);
    assert!(output.status.success() && out.contains("50   sent\n"), "{out}{err}");
    let n = n_written(&deployment);
    let (output, out, err) = import_day(4, &[]);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(err.contains("say with `--partitioner` how they place keys now"), "{err}");
    assert_eq!(n_written(&deployment), n, "nothing is sent");
}

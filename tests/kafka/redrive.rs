//! Refused records go through again: by filter, through kills, each once. The input and the
//! dead-letter topic are read with `read_committed`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::support::broker::Broker;
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::Dice;
use crate::support::topics::{Outgoing, Record};
use crate::support::{pause, wait_until};

/// Of the moments of the kills.
const SEED: u64 = 1999;
const DEADLINE: Duration = Duration::from_mins(2);
/// So many kills, and on until one has hit a transaction.
const N_KILLS_MIN: u32 = 3;
const N_KILLS_MAX: u32 = 12;
/// Letters of a currency that has no rate.
const N_FOREIGN: usize = 1000;
/// Letters of an amount with too many decimals.
const N_BAD: usize = 40;
/// Longer than what a dead letter keeps.
const LONG_BYTES: usize = 920_000;
/// With it those letters become right.
const RATE: [&str; 2] = ["--set", "processing.rates.EUR=1.25"];
const SMALL: [&str; 2] = ["--set", "processing.transaction_events_max=4"];

/// A shop whose processor has refused all that was sent to it.
struct Refused {
    deployment: Deployment,
    instance: Instance,
    /// What lay in the input before anything was sent again.
    n_input: usize,
}

fn order(customer: &str, n: usize, money: &str) -> Outgoing {
    let payload = format!(
        r#"{{"type":"order.completed","event_id":"{customer}-{n}","customer_id":"{customer}","occurred_at":"2024-01-01T00:00:00Z",{money}}}"#
    );
    outgoing(customer, payload)
}

fn outgoing(key: &str, payload: String) -> Outgoing {
    Outgoing {
        key: Some(key.as_bytes().to_vec()),
        payload: Some(payload.into_bytes()),
        timestamp_ms: None,
    }
}

impl Refused {
    /// Among the refused are one that was cut, and one of a customer who is erased afterwards.
    fn new(address: &str) -> Refused {
        let deployment = Deployment::new(address);
        let mut instance = deployment.instance("refuses", 1);
        let foreign =
            |n: usize| order(&format!("c{}", n % 50), n, r#""amount":"8","currency":"EUR""#);
        let bad = |n: usize| order(&format!("c{}", n % 50), n, r#""amount":"1.005""#);
        let mut records: Vec<Outgoing> = (0..N_FOREIGN).map(foreign).collect();
        records.extend((N_FOREIGN..N_FOREIGN + N_BAD).map(bad));
        records.push(outgoing("c0", "x".repeat(LONG_BYTES)));
        records.push(order("gone", 0, r#""amount":"8","currency":"EUR""#));
        records.push(Outgoing { key: None, ..order("gone", 1, r#""amount":"8""#) });
        let n_input = records.len() + 1;
        deployment.feed().send(records);
        process(&deployment, &mut instance);
        // Dated now, when the letters are written.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let erasure =
            format!(r#"{{"type":"customer.erased","customer_id":"gone","occurred_at":{now}}}"#);
        deployment.feed().send([outgoing("gone", erasure)]);
        process(&deployment, &mut instance);
        Refused { deployment, instance, n_input }
    }

    /// What the command printed; it must have done what it was asked.
    fn redrive(&self, arguments: &[&str]) -> String {
        let output = self.deployment.command("redrive", arguments).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
        out
    }

    fn letters(&self) -> Vec<Record> {
        let records = self.deployment.topics.read_all(&self.deployment.topic("refused"));
        records.into_iter().filter(|record| header(record, "lifetide.reason").is_some()).collect()
    }

    /// What was sent again, by the letter that it was made of. None is there twice.
    fn redriven(&self) -> BTreeMap<String, Record> {
        let input = self.deployment.topics.read_all(&self.deployment.topic("events"));
        let mut redriven = BTreeMap::new();
        for record in input {
            let Some(letter) = header(&record, "lifetide.redriven") else { continue };
            let other = redriven.insert(letter, record);
            assert_eq!(other, None, "sent twice");
        }
        redriven
    }

    /// Exactly these letters were sent, each as its record was.
    fn check_sent(&self, letters: &[&Record]) {
        let mut redriven = self.redriven();
        for letter in letters {
            let place = self.place(letter);
            let sent = redriven.remove(&place).unwrap_or_else(|| panic!("{place} was not sent"));
            assert_eq!((&sent.key, &sent.payload), (&letter.key, &letter.payload));
            let partition = header(letter, "lifetide.partition").unwrap();
            assert_eq!(sent.partition.to_string(), partition);
            assert_eq!(sent.headers, [("lifetide.redriven".to_owned(), place.into_bytes())]);
        }
        assert_eq!(redriven.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "none asked for it");
    }

    /// The records that lie in the input and are not committed.
    fn n_aborted(&self) -> usize {
        let topic = self.deployment.topic("events");
        let n_written = self.deployment.topics.read_all_uncommitted(&topic).len();
        n_written - self.deployment.topics.read_all(&topic).len()
    }

    fn place(&self, letter: &Record) -> String {
        format!("{}/{}/{}", self.deployment.topic("refused"), letter.partition, letter.offset)
    }
}

fn header(record: &Record, name: &str) -> Option<String> {
    let value = record.headers.iter().find(|(header, _)| header == name);
    value.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
}

fn reason(record: &Record) -> String {
    header(record, "lifetide.reason").unwrap()
}

fn process(deployment: &Deployment, instance: &mut Instance) {
    let mut process = instance.start();
    let mut ends = vec![0; 4];
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

/// Whether the summary says so many of it.
fn assert_says(out: &str, count: usize, what: &str) {
    let line = format!("{count:>10} {what}");
    assert!(out.lines().any(|found| found.starts_with(&line)), "no line `{line}` in\n{out}");
}

#[test]
fn a_redrive_sends_what_its_filters_say_and_never_twice() {
    let Some(broker) = Broker::shared() else { return };
    let mut shop = Refused::new(&broker.address());
    let letters = shop.letters();
    assert_eq!(letters.len(), N_FOREIGN + N_BAD + 3);
    let ends = |kind: &str| shop.deployment.topics.end_offsets(&shop.deployment.topic(kind));
    let before = (ends("events"), ends("refused"));

    let out = shop.redrive(&[]);
    assert_says(&out, letters.len(), "dead letters in");
    assert_says(&out, letters.len(), "match");
    assert_says(&out, 1, "  cut to fit a message");
    assert_says(&out, 2, "  of erased customers");
    let n_refused = N_FOREIGN + N_BAD;
    let why = format!("{N_BAD} bad_value, {N_FOREIGN} unknown_currency");
    assert_says(&out, n_refused, &format!("  would be refused again today: {why}"));
    assert_says(&out, 0, "  can be sent");
    assert!(out.contains("as in: amount: `1.005`"), "{out}");
    let out = shop.redrive(&RATE);
    assert_says(&out, N_BAD, &format!("  would be refused again today: {N_BAD} bad_value"));
    assert_says(&out, N_FOREIGN, "  can be sent");
    for nobody in [
        &["--since", "2150-01-01T00:00:00Z"][..],
        &["--until", "1990-01-01T00:00:00Z"],
        &["--reason", "bad_value"],
        &["--reason", "unknown_currency"],
    ] {
        assert_says(&shop.redrive(&[nobody, &["--send"]].concat()), 0, "sent to");
    }
    assert_eq!((ends("events"), ends("refused")), before, "nothing was to be sent");

    let is_foreign = |letter: &&Record| {
        reason(letter) == "unknown_currency" && letter.key.as_deref() != Some(b"gone".as_slice())
    };
    let is_of = |letter: &Record| header(letter, "lifetide.partition").as_deref() == Some("1");
    let some: Vec<&Record> = letters.iter().filter(|it| is_foreign(it) && is_of(it)).collect();
    let all: Vec<&Record> = letters.iter().filter(is_foreign).collect();
    assert!(!some.is_empty() && some.len() < all.len());
    let send = [&RATE[..], &["--reason", "unknown_currency", "--send"]].concat();
    let out = shop.redrive(&[&send[..], &["--partition", "1"]].concat());
    assert_says(&out, some.len(), "sent to");
    shop.check_sent(&some);
    let out = shop.redrive(&send);
    assert_says(&out, some.len(), "  sent before");
    assert_says(&out, all.len() - some.len(), "sent to");
    shop.check_sent(&all);

    // Refused again by a processor without the rate, they are new letters, which can be sent again
    // once.
    process(&shop.deployment, &mut shop.instance);
    let again: Vec<Record> = shop.letters();
    let again: Vec<&Record> =
        again.iter().filter(|it| header(it, "lifetide.redriven").is_some()).collect();
    assert_eq!(again.len(), all.len());
    let out = shop.redrive(&send);
    assert_says(&out, all.len(), "  sent before");
    assert_says(&out, all.len(), "sent to");
    shop.check_sent(&[&all[..], &again].concat());
}

/// Goal: with the rate that was missing they are accepted, each once, whatever the kills.
#[test]
fn a_redrive_that_is_killed_sends_each_letter_once() {
    let Some(broker) = Broker::shared() else { return };
    let shop = Refused::new(&broker.address());
    let mut dice = Dice::new(SEED);
    let written = || -> i64 {
        shop.deployment.topics.end_offsets(&shop.deployment.topic("events")).iter().sum()
    };
    let send = [&SMALL[..], &RATE, &["--reason", "unknown_currency", "--send"]].concat();
    for kill in 1..=N_KILLS_MAX {
        let n_before = written();
        let command = shop.deployment.command("redrive", &send);
        let mut process = shop.deployment.start(command, &format!("killed-{kill}.log"));
        wait_until("letters in the input", DEADLINE, || {
            process.assert_runs();
            let n = written();
            (n > n_before + 8).then_some(()).ok_or_else(|| format!("{n_before} and then {n}"))
        });
        pause(Duration::from_millis(dice.below(40)));
        process.assert_runs();
        process.kill_9();
        if kill >= N_KILLS_MIN && shop.n_aborted() > 0 {
            break;
        }
    }
    let command = shop.deployment.command("redrive", &send);
    let (n_before, mut stopped) = (written(), shop.deployment.start(command, "stopped.log"));
    wait_until("letters in the input", DEADLINE, || {
        stopped.assert_runs();
        (written() > n_before + 8).then_some(()).ok_or_else(|| "none".to_owned())
    });
    let log = stopped.log_path().to_owned();
    assert_eq!(stopped.end_by("TERM", DEADLINE).code(), Some(1));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("stopped before the end; the same command sends the rest"), "{log}");

    shop.redrive(&send);
    let letters = shop.letters();
    let is_wanted = |it: &&Record| {
        reason(it) == "unknown_currency" && it.key.as_deref() != Some(b"gone".as_slice())
    };
    let wanted: Vec<&Record> = letters.iter().filter(is_wanted).collect();
    assert_eq!(wanted.len(), N_FOREIGN);
    shop.check_sent(&wanted);
    assert!(shop.n_aborted() > 0, "no kill has hit a transaction: this run shows little");
    assert_says(&shop.redrive(&send), 0, "sent to");

    let mut richer = shop.deployment.instance("richer", 1).with(&["processing.rates.EUR=1.25"]);
    process(&shop.deployment, &mut richer);
    let scores = shop.deployment.topics.read_all(&shop.deployment.topic("scores"));
    assert_eq!(scores.iter().filter(|it| it.payload.is_some()).count(), N_FOREIGN);
    assert_eq!(shop.letters().len(), letters.len(), "none was refused again");
    let n_input = shop.deployment.topics.read_all(&shop.deployment.topic("events")).len();
    assert_eq!(n_input, shop.n_input + N_FOREIGN);
}

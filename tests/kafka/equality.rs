//! What must hold after any run, whatever happened to the processes in between: everything is there
//! exactly once, and equal to two recounts. Read with `read_committed`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifetide::config::Emit;
use lifetide::record::changelog::{self, Key};
use lifetide::record::dead_letter::DeadLetter;
use lifetide::record::marker::Marker;
use lifetide::record::score::Score;
use lifetide::record::signal::Signal;
use serde_json::Value;

use crate::recount::{self, Recounter};
use crate::support::deployment::{Deployment, Instance};
use crate::support::load::Load;
use crate::support::topics::{Record, last_per_key};
use crate::support::wait_until;

/// The customers are compared in so many parts: `replay` prints a thousand differences and counts
/// the rest.
const N_PARTS: usize = 16;

const LOOK_UP_DEADLINE: Duration = Duration::from_secs(30);

/// Where a record lies: partition and offset.
type Place = (i32, i64);

/// A run that is over: what went in and what came out.
pub(crate) struct Outcome<'a> {
    deployment: &'a Deployment,
    load: &'a Load,
    input: Vec<Record>,
    scores: Vec<Record>,
    signals: Vec<Record>,
    state: Vec<Record>,
    /// How far silence was judged after the last event, if it was.
    until_ms: Option<i64>,
}

impl<'a> Outcome<'a> {
    pub(crate) fn read(deployment: &'a Deployment, load: &'a Load) -> Outcome<'a> {
        let outcome = Outcome::read_moved(deployment, load);
        assert_eq!(outcome.input.len(), load.stream.len(), "not all was sent");
        outcome
    }

    /// Of a run in whose course the input was sent again in part.
    pub(crate) fn read_moved(deployment: &'a Deployment, load: &'a Load) -> Outcome<'a> {
        let read = |kind: &str| deployment.topics.read_all(&deployment.topic(kind));
        let (input, scores) = (read("events"), read("scores"));
        let (signals, state) = (read("signals"), read("state"));
        Outcome { deployment, load, input, scores, signals, state, until_ms: None }
    }

    /// After a silence that has fired all timers up to this time.
    pub(crate) fn after_silence(self, until_ms: i64) -> Outcome<'a> {
        Outcome { until_ms: Some(until_ms), ..self }
    }

    /// What is true of any run.
    pub(crate) fn check(&self) {
        self.check_scores();
        self.check_dead_letters();
        self.check_signals();
        self.check_state();
        self.check_recount();
    }

    /// Each accepted event has exactly one score of cause `event`; duplicates have none.
    fn check_scores(&self) {
        let mut seen = BTreeSet::new();
        let events = self.input.iter().filter(|record| self.reason(record).is_none());
        let accepted: BTreeSet<Place> = events
            .filter(|record| seen.insert(record.payload.as_ref()))
            .map(|record| (record.partition, record.offset))
            .collect();
        assert_eq!(accepted.len(), self.load.events.len());
        let mut n_scores: BTreeMap<Place, u32> = BTreeMap::new();
        for record in &self.scores {
            let score = Score::read(record.payload.as_deref().unwrap()).unwrap();
            assert_eq!(Some(score.customer_id.as_bytes()), record.key.as_deref());
            if score.cause == "event" {
                let source = score.source.unwrap();
                *n_scores.entry((source.partition, source.offset)).or_default() += 1;
            }
        }
        let twice: Vec<_> = n_scores.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "scored more than once: {twice:?}");
        let scored: BTreeSet<Place> = n_scores.into_keys().collect();
        let missing: Vec<_> = accepted.difference(&scored).collect();
        let others: Vec<_> = scored.difference(&accepted).collect();
        assert!(
            missing.is_empty() && others.is_empty(),
            "no score: {missing:?}, no event: {others:?}"
        );
    }

    /// Each record that is no event lies in the dead-letter topic once, as it was, with the reason.
    fn check_dead_letters(&self) {
        let mut letters: BTreeMap<Place, Record> = BTreeMap::new();
        for record in self.deployment.topics.read_all(&self.deployment.topic("refused")) {
            let origin = letter(&record).read().unwrap();
            let other = letters.insert((origin.partition, origin.offset), record);
            assert_eq!(other, None, "a second letter about one record");
        }
        for record in &self.input {
            let Some(reason) = self.reason(record) else { continue };
            let found = letters.remove(&(record.partition, record.offset));
            let found = found.unwrap_or_else(|| panic!("no letter about {record:?}"));
            let origin = letter(&found).read().unwrap();
            if origin.is_whole {
                assert_eq!((&found.key, &found.payload), (&record.key, &record.payload));
            } else {
                assert!(is_start(found.key.as_ref(), record.key.as_ref()));
                assert!(is_start(found.payload.as_ref(), record.payload.as_ref()));
            }
            assert_eq!(origin.rejection.reason.as_str(), reason, "{record:?}");
            assert_eq!(origin.topic, self.deployment.topic("events"));
        }
        assert!(letters.is_empty(), "about nothing that is wrong: {letters:?}");
    }

    /// No signal is there twice.
    fn check_signals(&self) {
        let mut ids = BTreeSet::new();
        for record in &self.signals {
            let signal = Signal::read(record.payload.as_deref().unwrap()).unwrap();
            assert!(ids.insert(signal.signal_id.clone().into_owned()), "twice: {signal:?}");
        }
        assert!(!ids.is_empty(), "a history without a signal shows nothing");
    }

    /// Every value of the changelog has one encoding, and the markers agree with the group.
    pub(crate) fn check_state(&self) {
        for (place, value) in state_of(&self.state) {
            match Key::read(&place.1).unwrap() {
                Key::Customer(id) => {
                    let customer = changelog::decode(&value).unwrap();
                    assert_eq!(changelog::encode(&customer), value, "customer `{id}`");
                }
                Key::Marker | Key::Erased(_) => {}
            }
        }
        let marked = self.markers().into_values().map(|marker| Some(marker.offset_next));
        let committed = self.deployment.watch().committed();
        assert_eq!(marked.collect::<Vec<_>>(), committed, "markers and the group's offsets");
    }

    /// Scores, signals and state are byte for byte those of an engine that reads the same records
    /// in one go, without Kafka.
    fn check_recount(&self) {
        let n_partitions = self.markers().len();
        let (config, topic) = (self.deployment.config(), self.deployment.topic("events"));
        let mut recounter = Recounter::new(&config, &topic, n_partitions, Emit::Event);
        self.input.iter().for_each(|record| recounter.take(record));
        if let Some(until_ms) = self.until_ms {
            recounter.fall_silent(until_ms);
        }
        let recount = recounter.finish();
        recount::compare("score", &recount.scores, &recount::by_key(&self.scores));
        recount::compare("signal", &recount.signals, &recount::by_key(&self.signals));
        let state: BTreeMap<_, _> =
            state_of(&self.state).into_iter().map(|(place, value)| (place, vec![value])).collect();
        recount::compare("state", &recount.state, &state);
    }

    /// `replay --against` the last committed scores finds differences in these fields alone.
    pub(crate) fn check_replay(&self, may_differ: &[&str]) {
        let last = last_per_key(&self.scores);
        let ids: Vec<&[u8]> = last.keys().copied().collect();
        let mut n_compared = 0;
        for part in ids.chunks(ids.len().div_ceil(N_PARTS)) {
            let part: BTreeSet<&[u8]> = part.iter().copied().collect();
            let events = self.load.events.iter().map(Vec::as_slice);
            let input = events.filter(|event| part.contains(customer_of(event).as_bytes()));
            let input = self.deployment.write("events.jsonl", input);
            let scores = part.iter().map(|id| last[id].payload.as_deref().unwrap());
            let scores = self.deployment.write("scores.jsonl", scores);
            let output = self.deployment.replay(&input, "--against", &scores);
            let text = String::from_utf8(output.stdout).unwrap();
            let (differences, total) =
                text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
            let wrong: Vec<&str> =
                differences.lines().filter(|line| !may_differ.contains(&field_of(line))).collect();
            assert!(wrong.is_empty(), "{}\n{total}", wrong.join("\n"));
            let code = output.status.code();
            assert_eq!(
                code,
                Some(i32::from(!differences.is_empty())),
                "{total} {:?}",
                output.stderr
            );
            n_compared += total.split(' ').next().unwrap().parse::<usize>().unwrap();
        }
        let customers = self.load.events.iter().map(|event| customer_of(event));
        assert_eq!(n_compared, customers.collect::<BTreeSet<_>>().len(), "not everybody is scored");
    }

    /// The signals are those of `replay`, up to where the time of each partition has come.
    pub(crate) fn check_signals_of_replay(&self) {
        let events = self.load.events.iter().map(Vec::as_slice);
        let input = self.deployment.write("events.jsonl", events);
        let path = input.with_file_name("signals.jsonl");
        let output = self.deployment.replay(&input, "--signals", &path);
        assert!(output.status.success(), "{output:?}");
        let partitions: BTreeMap<&[u8], i32> =
            self.input.iter().filter_map(|it| Some((it.key.as_deref()?, it.partition))).collect();
        let markers = self.markers();
        let is_in_time = |line: &&str| {
            let signal = Signal::read(line.as_bytes()).unwrap();
            let partition = partitions[signal.customer_id.as_bytes()];
            Some(signal.raised_at.0) <= markers[&partition].stream_time_ms
        };
        let text = std::fs::read_to_string(&path).unwrap();
        let mut expected: Vec<&str> = text.lines().filter(is_in_time).collect();
        let payloads = self.signals.iter().map(|record| record.payload.as_deref().unwrap());
        let mut found: Vec<&str> = payloads.map(|json| str::from_utf8(json).unwrap()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    /// A process that starts afresh restores what was committed: it answers every look-up with the
    /// last score, and writes nothing.
    pub(crate) fn check_restore(&self, instance: &mut Instance) {
        let mut process = instance.start();
        instance.wait_until_ready(&mut process);
        for (id, record) in last_per_key(&self.scores) {
            let id = str::from_utf8(id).unwrap();
            // Lanes may still share out the partitions among them, and restore anew.
            let answer =
                wait_until(format!("customer `{id}`"), LOOK_UP_DEADLINE, || {
                    match instance.get(&format!("/customers/{id}"))? {
                        (200, body) => Ok(body),
                        (status, body) => Err(format!("{status} {body}")),
                    }
                });
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let score: Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
            let but_cause = |score: &Value| {
                let mut score = score.clone();
                score["cause"] = Value::Null;
                score
            };
            assert_eq!(but_cause(&answer["score"]), but_cause(&score));
        }
        Instance::stop(process);
        let state = self.deployment.topics.read_all(&self.deployment.topic("state"));
        assert_eq!(state_of(&state), state_of(&self.state));
        let end = |records: &[Record]| records.iter().map(|it| (it.partition, it.offset)).max();
        assert_eq!(end(&state), end(&self.state), "a record was written though nothing came in");
    }

    pub(crate) fn markers(&self) -> BTreeMap<i32, Marker> {
        let marker = |(place, value): (StatePlace, Vec<u8>)| {
            let is_marker = Key::read(&place.1) == Ok(Key::Marker);
            is_marker.then(|| (place.0, Marker::read(&value).unwrap()))
        };
        state_of(&self.state).into_iter().filter_map(marker).collect()
    }

    fn reason(&self, record: &Record) -> Option<&'static str> {
        self.load.poison.get(&(record.key.clone(), record.payload.clone())).copied()
    }
}

/// A partition of the changelog and a key in it.
pub(crate) type StatePlace = (i32, Vec<u8>);

/// The last value of each key of each partition.
fn state_of(records: &[Record]) -> BTreeMap<StatePlace, Vec<u8>> {
    let mut state = BTreeMap::new();
    for record in records {
        let place = (record.partition, record.key.clone().unwrap());
        match &record.payload {
            Some(value) => state.insert(place, value.clone()),
            None => state.remove(&place),
        };
    }
    state
}

fn letter(record: &Record) -> DeadLetter {
    let headers = record.headers.iter();
    DeadLetter {
        key: record.key.clone(),
        payload: record.payload.clone(),
        headers: headers.map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
    }
}

fn is_start(start: Option<&Vec<u8>>, whole: Option<&Vec<u8>>) -> bool {
    start.zip(whole).is_some_and(|(start, whole)| whole.starts_with(start))
}

fn customer_of(event: &[u8]) -> String {
    let event: Value = serde_json::from_slice(event).unwrap();
    event["customer_id"].as_str().unwrap().to_owned()
}

/// The field that a line of `replay --against` is about, as in `ID: FIELD is …, recounted …`.
fn field_of(line: &str) -> &str {
    let field = line.split_once(": ").and_then(|(_, rest)| rest.split_once(" is "));
    field.map_or(line, |(field, _)| field)
}

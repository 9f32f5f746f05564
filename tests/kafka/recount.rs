//! The same records through the same engine, but in one go and in memory: no Kafka, no restart, no
//! second lane. What a run leaves on the topics must be this, byte for byte.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use lifetide::commands::load_config;
use lifetide::config::{Emit, Purpose};
use lifetide::engine::{
    self, Batch, Command, Engine, Failure, Input, Options, Outgoing, Progress, Rejected, Restored,
    Topic, Transactions,
};
use lifetide::event::{Envelope, decode};
use lifetide::metrics::{Metrics, Phase};
use lifetide::plan::Plan;
use lifetide::population::Census;

use crate::equality::StatePlace;
use crate::support::topics::Record;

/// Differences that a failure shows.
const SHOWN_MAX: usize = 5;

/// Values in the order in which they were written.
type Values = Vec<Vec<u8>>;

/// What the engine wrote.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    /// All scores of each customer.
    pub(crate) scores: BTreeMap<Vec<u8>, Values>,
    /// All signals of each customer.
    pub(crate) signals: BTreeMap<Vec<u8>, Values>,
    /// The last value of each key of the changelog.
    pub(crate) state: BTreeMap<StatePlace, Values>,
}

/// The engine that recounts.
pub(crate) struct Recounter {
    engine: Engine<Memory>,
    plan: Plan,
    written: Rc<RefCell<Recount>>,
    n_partitions: i32,
    _obeyed: Receiver<Command>,
}

impl Recounter {
    /// For an input topic of so many partitions. With [`Emit::Commit`] it is all one transaction.
    pub(crate) fn new(config: &Path, input_topic: &str, n_partitions: usize, emit: Emit) -> Self {
        let config = load_config(Some(config), &[], Purpose::Offline).unwrap();
        let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
        let plan = Plan::new(&config, Some(skew_ms)).unwrap();
        let written = Rc::default();
        let n_partitions = i32::try_from(n_partitions).unwrap();
        let options = Options {
            input_topic: input_topic.to_owned(),
            emit,
            commit_interval_ms: u64::MAX,
            transaction_events_max: u64::MAX,
            transaction_bytes_max: u64::MAX,
            revoke_budget_ms: u64::MAX,
            ground: config.ground(n_partitions),
        };
        let metrics = Arc::new(Metrics::new(&plan.rules.tiers));
        // A command for each partition: that it may be read. Nobody obeys.
        let (commands, obeyed) = bounded(usize::try_from(n_partitions).unwrap());
        let memory = Memory(Rc::clone(&written));
        let (store, shown) = (Arc::default(), Arc::clone(&metrics));
        let calendar = plan.rules.calendar.clone();
        let engine = Engine::new(options, calendar, store, memory, shown, commands);
        let mut recounter = Self { engine, plan, written, n_partitions, _obeyed: obeyed };
        for partition in 0..n_partitions {
            let gauges = Arc::new(metrics.own_partition(partition));
            recounter.tell(Input::Assigned { partition, epoch: 1, gauges });
            let plan = recounter.plan.clone();
            let restored = never_processed(partition, n_partitions, plan);
            recounter.tell(Input::Restored(Box::new(restored)));
        }
        recounter
    }

    /// Takes the next record of a partition.
    pub(crate) fn take(&mut self, record: &Record) {
        let (payload, key) = (record.payload.as_deref(), record.key.as_deref());
        let envelope = Envelope { payload, key, timestamp_ms: record.timestamp_ms };
        let rejected = |rejection| {
            let (key, payload) = (record.key.clone(), record.payload.clone());
            Box::new(Rejected { rejection, key, payload, headers: Vec::new() })
        };
        let decoded = decode(envelope, &self.plan.rules.intake).map_err(rejected);
        let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
        let records = vec![engine::Record { offset, timestamp_ms, decoded }];
        self.tell(Input::Records(Batch { partition: record.partition, epoch: 1, records }));
    }

    /// No more comes up to this time.
    pub(crate) fn fall_silent(&mut self, until_ms: i64) {
        for partition in 0..self.n_partitions {
            self.tell(Input::Tick { partition, epoch: 1, until_ms });
        }
    }

    /// What has been written in the end.
    pub(crate) fn finish(mut self) -> Recount {
        self.tell(Input::Shutdown);
        self.written.take()
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(input, 0).unwrap();
    }
}

fn never_processed(partition: i32, n_partitions: i32, plan: Plan) -> Restored {
    Restored {
        partition,
        n_partitions,
        epoch: 1,
        customers: Arc::default(),
        timers: engine::timers::Timers::default(),
        plan,
        erased: BTreeMap::new(),
        marker: None,
        offset_next: None,
        changelog_low: None,
        mending: None,
        population: Census::default(),
    }
}

/// Keeps what is written; every transaction succeeds.
struct Memory(Rc<RefCell<Recount>>);

impl Transactions for Memory {
    fn begin(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        let mut written = self.0.borrow_mut();
        let key = outgoing.key.unwrap_or_default().to_vec();
        let value = outgoing.value.map(<[u8]>::to_vec);
        match (outgoing.topic, value) {
            (Topic::Scores, value) => {
                written.scores.entry(key).or_default().push(value.unwrap());
            }
            (Topic::Signals, value) => {
                written.signals.entry(key).or_default().push(value.unwrap());
            }
            (Topic::Changelog, Some(value)) => {
                written.state.insert((outgoing.partition.unwrap(), key), vec![value]);
            }
            (Topic::Changelog, None) => {
                written.state.remove(&(outgoing.partition.unwrap(), key));
            }
            (Topic::DeadLetters, _) => {}
        }
        Ok(())
    }

    fn commit(&mut self, _: &[Progress], _: u64) -> Result<(), Failure> {
        Ok(())
    }

    fn mark(&mut self, _: Option<Phase>) {}

    fn abort(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The values of each key, in the order of their offsets.
pub(crate) fn by_key(records: &[Record]) -> BTreeMap<Vec<u8>, Values> {
    let mut values: BTreeMap<Vec<u8>, Values> = BTreeMap::new();
    for record in records {
        let key = record.key.clone().unwrap();
        values.entry(key).or_default().push(record.payload.clone().unwrap());
    }
    values
}

/// Fails with the first keys whose values differ.
pub(crate) fn compare<K: Ord + Debug>(
    what: &str,
    expected: &BTreeMap<K, Values>,
    found: &BTreeMap<K, Values>,
) {
    let keys = expected.keys().chain(found.keys().filter(|key| !expected.contains_key(key)));
    let differing: Vec<&K> = keys.filter(|key| expected.get(key) != found.get(key)).collect();
    let show = |values: Option<&Values>| {
        let values = values.into_iter().flatten();
        values.map(|value| String::from_utf8_lossy(value)).collect::<Vec<_>>().join("\n    ")
    };
    let shown: Vec<String> = differing
        .iter()
        .take(SHOWN_MAX)
        .map(|key| {
            let (expected, found) = (show(expected.get(key)), show(found.get(key)));
            format!("{key:?}\n  recounted\n    {expected}\n  found\n    {found}")
        })
        .collect();
    let n_differing = differing.len();
    assert_eq!(n_differing, 0, "keys whose {what} differs, the first:\n{}", shown.join("\n"));
}

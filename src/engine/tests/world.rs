//! An engine between the reader and the broker.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::broker::{Way, Written};
use super::outcome::{Outcome, input_partition, is_count, last_of_each_key};
use super::population;
use super::source::{Logs, Source};
use super::workload::{GROUND_PARTITIONS, rules};
use crate::churn::testing::model;
use crate::clv::Model;
use crate::config::Emit;
use crate::engine::rebuild::{Bounds, Rebuild};
use crate::engine::{Command, Engine, Failure, Flow, Input, Options, Restored, Topic};
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, Rules};
use crate::record::changelog::{self, Key};
use crate::record::marker::Ground;
use crate::store::Store;

/// Commands that wait for the reader at most; more would block the test.
const COMMANDS_MAX: usize = 64;

/// How an engine is run.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) emit: Emit,
    pub(super) has_model: bool,
    /// Records in a batch.
    pub(super) n_batch: usize,
    /// Batches that the reader is ahead.
    pub(super) n_ahead: usize,
    pub(super) events_max: u64,
    /// Inputs in a transaction; each takes a millisecond.
    pub(super) commit_interval_ms: u64,
    pub(super) erasure_memory_days: i32,
    /// Under other limits and by another model, as after a change of the configuration.
    pub(super) is_changed: bool,
}

impl Setup {
    pub(super) fn new(emit: Emit) -> Self {
        Self {
            emit,
            has_model: true,
            n_batch: 5,
            n_ahead: 3,
            events_max: 1_000_000,
            commit_interval_ms: 4,
            erasure_memory_days: 365,
            is_changed: false,
        }
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        let mut rules = rules(self.erasure_memory_days);
        if self.is_changed {
            let churn = &mut rules.churn;
            (churn.lapse_days_single, churn.lapse_days_min, churn.cooldown_days) = (60, 7, 3);
            (churn.at_risk_silence_tail, churn.lapse_silence_tail) = (0.3, 0.1);
            (churn.lapse_p_alive, churn.score_drift_max) = (0.7, 0.05);
            churn.false_alarms_per_customer_year = 1.0;
            churn.prior.alpha_weeks = 4.0;
            rules.horizon.months = 24;
        }
        Arc::new(rules)
    }

    fn ground(&self) -> Ground {
        Ground {
            currency: self.rules().intake.currency,
            time_zone: "Europe/Berlin".to_owned(),
            n_partitions: GROUND_PARTITIONS,
            input_topic: "in".to_owned(),
            group_id: "g".to_owned(),
        }
    }

    /// Of the model that a marker names, or of the setup's where there is no marker.
    fn pipeline_of(&self, label: Option<&str>) -> Pipeline {
        // A file says it then.
        let Some(label) = label.filter(|_| !self.is_changed) else { return self.pipeline() };
        let is_it = |model: &Arc<Model>| model.label() == label;
        let known = ["mbg-nbd", "bg-nbd"].map(|name| Arc::new(model(name, true)));
        Pipeline::new(self.rules(), known.into_iter().find(is_it))
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        let name = if self.is_changed { "bg-nbd" } else { "mbg-nbd" };
        Pipeline::new(self.rules(), self.has_model.then(|| Arc::new(model(name, true))))
    }
}

pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) engine: Engine<Way>,
    pub(super) broker: Way,
    pub(super) source: Source,
    pub(super) store: Arc<Store>,
    pub(super) metrics: Arc<Metrics>,
    commands: Receiver<Command>,
    inputs: VecDeque<Input>,
    pub(super) now_ms: u64,
}

impl World {
    /// An engine that owns nothing yet.
    pub(super) fn idle(setup: &Setup, logs: Logs) -> Self {
        let broker = Way::default();
        let epochs = Rc::clone(&broker.0.borrow().epochs);
        let source = Source::new(logs, setup.rules().intake.clone(), epochs);
        let metrics = Arc::new(Metrics::new(&setup.rules().tiers));
        let (engine, commands, store) = engine(setup, &broker, &metrics);
        let inputs = VecDeque::new();
        let setup = setup.clone();
        Self { setup, engine, broker, source, store, metrics, commands, inputs, now_ms: 0 }
    }

    /// An engine that processes every partition of the logs.
    pub(super) fn new(setup: &Setup, logs: &Logs) -> Self {
        let mut world = Self::idle(setup, logs.clone());
        for partition in world.source.partitions() {
            world.assign(partition);
        }
        world
    }

    /// The process is killed, and started again where the broker says.
    pub(super) fn restart(&mut self) {
        self.broker.0.borrow_mut().fence();
        (self.engine, self.commands, self.store) = engine(&self.setup, &self.broker, &self.metrics);
        self.inputs.clear();
        for partition in self.source.partitions() {
            self.source.release(partition);
            self.assign(partition);
        }
    }

    fn assign(&mut self, partition: i32) {
        let epoch = self.source.assign(partition);
        self.give(self.assigned(partition, epoch)).unwrap();
        self.give(Input::Restored(Box::new(self.restored(partition, epoch)))).unwrap();
        self.obey();
    }

    pub(super) fn assigned(&self, partition: i32, epoch: u64) -> Input {
        let gauges = Arc::new(self.metrics.own_partition(partition));
        Input::Assigned { partition, epoch, gauges }
    }

    /// A partition as its changelog holds it.
    pub(super) fn restored(&self, partition: i32, epoch: u64) -> Restored {
        let broker = self.broker.0.borrow();
        let mut rebuild = Rebuild::default();
        for (offset, it) in (0..).zip(broker.visible()) {
            let Written { topic, partition: place, key, value, .. } = it;
            if (*topic, *place) == (Topic::Changelog, Some(partition)) {
                rebuild.take(offset, Some(key), value.as_deref());
            }
        }
        let bounds =
            Bounds { committed: broker.offsets.get(&partition).copied(), ..Bounds::default() };
        let pipeline = self.setup.pipeline_of(rebuild.model_label());
        rebuild.finish(partition, epoch, bounds, &self.setup.ground(), &pipeline).unwrap()
    }

    /// One input for the engine, and a millisecond for the clock.
    pub(super) fn give(&mut self, input: Input) -> Result<Flow, String> {
        self.now_ms += 1;
        self.engine.handle(input, self.now_ms)
    }

    /// The reader obeys; how many commands there were.
    pub(super) fn obey(&mut self) -> usize {
        let commands: Vec<Command> = self.commands.try_iter().collect();
        let n_commands = commands.len();
        for command in commands {
            self.source.obey(command);
        }
        n_commands
    }

    /// The commands that wait for the reader.
    pub(super) fn commands(&self) -> Vec<Command> {
        self.commands.try_iter().collect()
    }

    /// The next records of a partition as an input.
    pub(super) fn records(&mut self, partition: i32, n_records_max: usize) -> Input {
        Input::Records(self.source.read(partition, n_records_max).unwrap())
    }

    /// Commits what is open.
    pub(super) fn commit(&mut self) {
        self.now_ms += self.setup.commit_interval_ms;
        self.engine.turn(self.now_ms).unwrap();
    }

    /// Reads all there is and commits it.
    ///
    /// # Errors
    /// What the engine says when it cannot go on.
    pub(super) fn run(&mut self) -> Result<(), String> {
        self.run_to(usize::MAX)
    }

    /// Goes on until that many transactions are committed.
    pub(super) fn run_to(&mut self, n_committed: usize) -> Result<(), String> {
        while self.n_committed() < n_committed {
            self.read_ahead();
            if let Some(input) = self.inputs.pop_front() {
                self.give(input)?;
                self.engine.turn(self.now_ms)?;
                self.obey();
            } else {
                self.now_ms += self.setup.commit_interval_ms;
                self.engine.turn(self.now_ms)?;
                if self.obey() == 0 && self.engine.commit_due_in_ms(self.now_ms).is_none() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Fills the queue between reader and engine, from all partitions in turn.
    fn read_ahead(&mut self) {
        let mut is_more = true;
        while is_more && self.inputs.len() < self.setup.n_ahead {
            is_more = false;
            for partition in self.source.partitions() {
                let batch = self.source.read(partition, self.setup.n_batch);
                is_more |= batch.is_some();
                self.inputs.extend(batch.map(Input::Records));
            }
        }
    }

    pub(super) fn fail_at(&self, n_call: u64, failure: Failure) {
        self.broker.0.borrow_mut().faults.insert(n_call, failure);
    }

    pub(super) fn fail_next(&self, failure: Failure) {
        let n_call = self.broker.0.borrow().n_calls + 1;
        self.fail_at(n_call, failure);
    }

    /// The value of a metric by the beginning of its line, name and labels.
    pub(super) fn metric(&self, series: &str) -> u64 {
        let text = self.metrics.text(true);
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    pub(super) fn n_committed(&self) -> usize {
        self.broker.0.borrow().committed.len()
    }

    /// What has come of it; what is in memory agrees with it.
    pub(super) fn outcome(&self) -> Outcome {
        let broker = self.broker.0.borrow();
        let mut topics: BTreeMap<(Topic, i32), Vec<Written>> = BTreeMap::new();
        for written in broker.visible().filter(|it| it.topic != Topic::Changelog) {
            let place = (written.topic, input_partition(written));
            topics.entry(place).or_default().push(written.clone());
        }
        if self.setup.emit == Emit::Commit {
            for ((topic, _), written) in &mut topics {
                if *topic == Topic::Scores {
                    *written = last_of_each_key(written);
                }
            }
        }
        let state = broker.state();
        self.check_memory(&state);
        population::check(self);
        let text = self.metrics.text(true);
        let counts = text.lines().filter(|line| is_count(line, self.setup.emit));
        Outcome {
            topics,
            state,
            offsets: broker.offsets.clone(),
            counts: counts.map(str::to_owned).collect(),
        }
    }

    fn check_memory(&self, state: &BTreeMap<(i32, Vec<u8>), Vec<u8>>) {
        let mut n_customers = 0;
        for ((partition, key), value) in state {
            let Key::Customer(id) = Key::read(key).unwrap() else { continue };
            n_customers += 1;
            let found = self.store.find(id).unwrap();
            assert_eq!((found.partition, &found.value), (*partition, value), "{id}");
            let owned = &self.engine.partitions[partition];
            let (customers, pipeline) = (owned.state.customers(), owned.pipeline.borrow());
            let due = customers.get(id, |entry| entry.due).unwrap();
            assert_eq!(due, pipeline.due_day(&changelog::decode(value).unwrap()), "{id}");
        }
        let states = self.engine.partitions.values().map(|owned| &owned.state);
        let (mut n_stored, mut n_timers, mut n_due) = (0, 0, 0);
        for state in states {
            state.customers().visit_all(|entry| n_due += u64::from(entry.due.is_some()));
            let figures = state.figures(&self.engine.calendar);
            n_stored += figures.n_customers;
            n_timers += figures.n_timers_pending;
        }
        assert_eq!((n_stored, n_timers), (n_customers, n_due));
    }
}

fn engine(
    setup: &Setup,
    broker: &Way,
    metrics: &Arc<Metrics>,
) -> (Engine<Way>, Receiver<Command>, Arc<Store>) {
    let options = Options {
        input_topic: "checkout.events".to_owned(),
        emit: setup.emit,
        commit_interval_ms: setup.commit_interval_ms,
        transaction_events_max: setup.events_max,
        transaction_bytes_max: u64::MAX,
        revoke_budget_ms: 700,
        ground: setup.ground(),
    };
    let (sender, commands) = bounded(COMMANDS_MAX);
    let store = Arc::new(Store::default());
    let (calendar, metrics) = (setup.rules().calendar.clone(), Arc::clone(metrics));
    let engine =
        Engine::new(options, calendar, Arc::clone(&store), broker.clone(), metrics, sender);
    (engine, commands, store)
}

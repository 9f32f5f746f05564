//! One lane: a thread that polls, a thread that processes, a steward beside them, and the bounded
//! queues between. Built in the order that recovery needs: fence, then join the group.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::info;

use super::callbacks::Callbacks;
use super::clients::{self, Identity};
use super::cover::Cover;
use super::ends::Ends;
use super::ownership::Ownership;
use super::remodeller::Remodeller;
use super::sink::Sink;
use super::source::Source;
use super::steward::{ERRANDS_MAX, Errand, Shared, Steward};
use super::writer::Writer;
use crate::config::Config;
use crate::engine::rebuild::OnLoss;
use crate::engine::{Command, Engine, Flow, Input, Options, Transactions};
use crate::event::Intake;
use crate::lifecycle::{Lane, LaneState, Shutdown};
use crate::metrics::Metrics;
use crate::models::Models;
use crate::store::Store;

/// Inputs that may wait for the engine: batches of at most 256 records.
const INPUTS_MAX: usize = 64;
/// Commands that may wait for the source: at most two for each partition at a time.
const COMMANDS_MAX: usize = 8192;
/// How long the engine waits when no transaction is open.
const IDLE: Duration = Duration::from_millis(200);

/// What all lanes of a process share.
#[derive(Clone, Debug)]
pub struct Common {
    /// The configuration.
    pub config: Arc<Config>,
    /// What an engine is built for.
    pub options: Options,
    /// The committed customers.
    pub store: Arc<Store>,
    /// The models that are known.
    pub models: Arc<Models>,
    /// What Prometheus is told.
    pub metrics: Arc<Metrics>,
    /// Asks everyone to stop.
    pub shutdown: Shutdown,
    /// Whether partitions whose state is not whole may be processed.
    pub on_loss: OnLoss,
}

/// Runs lane number `lane` on this thread until shutdown.
///
/// # Errors
/// A sentence that says why the lane could not go on.
pub fn run(common: &Common, lane: u32, health: &Lane) -> Result<(), String> {
    let models = &common.models;
    let kafka = &common.config.kafka;
    let identity = Identity::new(kafka, lane);
    let metrics = Arc::clone(&common.metrics);
    let writer = Writer::connect(kafka, &identity, move || metrics.transaction_retried())
        .map_err(|error| error.failure.to_string())?;
    let (inputs, inputs_end) = bounded(INPUTS_MAX);
    let (commands, commands_end) = bounded(COMMANDS_MAX);
    let (errands, errands_end) = bounded(ERRANDS_MAX);
    let ownership = Arc::new(Ownership::default());
    let ends = Arc::new(Ends::default());
    let consumer = consumer(common, lane, &identity, &ownership, &inputs, errands)?;
    let (last_words, turns) = (Arc::<OnceLock<String>>::default(), Arc::<AtomicU64>::default());
    let shared = Shared {
        errands: errands_end,
        inputs: inputs.clone(),
        ends: Arc::clone(&ends),
        ownership: Arc::clone(&ownership),
        metrics: Arc::clone(&common.metrics),
        cover: kafka.static_membership.then(|| {
            let address = common.config.http.advertise.as_deref();
            Cover::new(&identity.member, address, common.options.ground.n_partitions)
        }),
        health: health.clone(),
        stall_timeout: Duration::from_secs(common.config.processing.stall_timeout_s.into()),
        shutdown: common.shutdown.clone(),
        last_words: Arc::clone(&last_words),
        turns: Arc::clone(&turns),
    };
    let ground = common.options.ground.clone();
    let mut steward = Steward::new(kafka, shared, Arc::clone(models), ground, common.on_loss)?;
    let sink = Sink::new(
        writer,
        Arc::clone(&consumer),
        Arc::clone(&ownership),
        Arc::clone(&common.metrics),
        health.clone(),
        kafka,
    );
    // Only now: whoever had this identity before is fenced, so nobody else can commit for it.
    consumer
        .subscribe(&[&kafka.input_topic])
        .map_err(|error| format!("failed to subscribe to `{}`: {error}", kafka.input_topic))?;
    let settled = Arc::clone(&ownership);
    let defects = inputs.clone();
    let intake = models.rules().intake.clone();
    let (hang_up, end) = bounded(0);
    let remodeller = remodeller(common, &ownership, &inputs, end);
    let mut source = source(common, consumer, ownership, inputs, commands_end, ends, intake);
    let mut engine = engine(common, sink, commands);
    let queue = common.metrics.queue_depth(lane as usize);
    let stewarding = spawn(&format!("steward-{lane}"), defects.clone(), move || steward.run());
    let remodelling = spawn(&format!("model-{lane}"), defects.clone(), move || remodeller.run());
    let shutdown = common.shutdown.clone();
    let sourcing = spawn(&format!("source-{lane}"), defects, move || source.run(&shutdown));
    let outcome = process(&mut engine, &inputs_end, |engine| {
        queue.set(i64::try_from(inputs_end.len()).unwrap_or(i64::MAX));
        let is_settled = settled.is_settled(engine.n_running());
        health.set(if is_settled { LaneState::Ready } else { LaneState::Restoring });
        health.turned();
        turns.fetch_add(1, Ordering::Relaxed);
    });
    if outcome.is_err() {
        common.shutdown.request();
    }
    // Dropped before the consumer closes: nobody can be waiting for the engine then.
    drop((inputs_end, engine, hang_up));
    join(sourcing, "source")?;
    join(stewarding, "steward")?;
    join(remodelling, "model")?;
    info!(lane, "lane closed");
    outcome.and_then(|()| last_words.get().map_or(Ok(()), |sentence| Err(sentence.clone())))
}

fn engine(common: &Common, sink: Sink, commands: Sender<Command>) -> Engine<Sink> {
    Engine::new(
        common.options.clone(),
        common.models.rules().calendar.clone(),
        Arc::clone(&common.store),
        sink,
        Arc::clone(&common.metrics),
        commands,
    )
}

fn remodeller(
    common: &Common,
    ownership: &Arc<Ownership>,
    inputs: &Sender<Input>,
    end: Receiver<()>,
) -> Remodeller {
    Remodeller {
        models: Arc::clone(&common.models),
        store: Arc::clone(&common.store),
        ownership: Arc::clone(ownership),
        inputs: inputs.clone(),
        end,
    }
}

/// The lane's group member, not subscribed yet.
fn consumer(
    common: &Common,
    lane: u32,
    identity: &Identity,
    ownership: &Arc<Ownership>,
    inputs: &Sender<Input>,
    errands: Sender<Errand>,
) -> Result<Arc<BaseConsumer<Callbacks>>, String> {
    let callbacks = Callbacks {
        lane,
        ownership: Arc::clone(ownership),
        inputs: inputs.clone(),
        errands,
        metrics: Arc::clone(&common.metrics),
        n_partitions: common.options.ground.n_partitions,
        revoke_budget: Duration::from_millis(common.options.revoke_budget_ms),
        backlog: Mutex::default(),
    };
    clients::source(&common.config.kafka, identity, common.config.http.advertise.as_deref())
        .create_with_context(callbacks)
        .map(Arc::new)
        .map_err(|error| format!("failed to create the consumer: {error}"))
}

fn source(
    common: &Common,
    consumer: Arc<BaseConsumer<Callbacks>>,
    ownership: Arc<Ownership>,
    inputs: Sender<Input>,
    commands: Receiver<Command>,
    ends: Arc<Ends>,
    intake: Intake,
) -> Source {
    Source {
        consumer,
        ownership,
        inputs,
        commands,
        intake,
        topic: common.config.kafka.input_topic.clone(),
        group_id: common.config.kafka.group_id.clone(),
        ends,
        idle_lag: common
            .config
            .processing
            .idle_lag_s
            .map(|lag_s| Duration::from_secs(lag_s.into())),
        pending: BTreeMap::new(),
        ticked_at: Instant::now(),
        never: crossbeam_channel::never(),
    }
}

/// The engine's loop: one input, or the time to commit.
fn process<T: Transactions>(
    engine: &mut Engine<T>,
    inputs: &Receiver<Input>,
    show: impl Fn(&Engine<T>),
) -> Result<(), String> {
    let began = Instant::now();
    let now_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    loop {
        let wait = engine.commit_due_in_ms(now_ms()).map_or(IDLE, Duration::from_millis);
        match inputs.recv_timeout(wait) {
            Ok(input) => {
                if engine.handle(input, now_ms())? == Flow::Stop {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err("the thread that polls has ended".to_owned());
            }
        }
        engine.turn(now_ms())?;
        show(engine);
    }
}

/// A thread whose defect ends the lane: without it the engine would wait forever.
fn spawn(
    name: &str,
    inputs: Sender<Input>,
    work: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    let sentence = format!("the thread `{name}` met a defect and has stopped");
    let work = move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            inputs.send(Input::Failed(sentence)).ok();
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .expect("the system has room for a few threads")
}

fn join(thread: JoinHandle<()>, name: &str) -> Result<(), String> {
    thread.join().map_err(|_| format!("the {name} thread panicked"))
}

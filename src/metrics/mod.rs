//! What Prometheus is told. Counts what was committed, never a customer: label values come from
//! enums or are numbers of this process's own partitions and lanes. No global registry;
//! `service` makes one `Metrics` and passes it on. Called by `engine` and `kafka` (figures) and
//! `http` (text).
//!
//! `label` closed label values · `tally` counts of one transaction · `counters` where they go ·
//! `reading`, `board` the owned partitions · `population` what customers are worth · `overview`
//! what a page shows of it all · `process` memory and processor time

mod board;
mod counters;
mod label;
mod overview;
mod population;
mod process;
mod reading;
mod tally;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::churn::Tiers;
use crate::population::{Changes, Course};

pub(crate) use board::now_ms;
pub use board::{PartitionGauges, PartitionOverview, Restoring};
pub use label::{AbortCause, FitOutcome, Phase};
pub use overview::Overview;
pub use reading::Figures;
pub use tally::Tally;

use board::{Board, BoardCollector, RestoreCounters};
use counters::{CounterBy, Counters, counter, counter_by};
use label::{By, Label, Outcome};
use population::ChangeCounters;
use process::ProcessCollector;

/// The content type of [`Metrics::text`].
pub const TEXT_FORMAT: &str = prometheus::TEXT_FORMAT;

const CONSTANT: &str = "names, labels and buckets are constants that a test has seen registered";

/// A commit is 2 ms on an idle broker, 100 ms with a flush in it, and seconds in trouble.
const PHASE_BUCKETS_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const TRANSACTION_EVENTS_BUCKETS: [f64; 11] =
    [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];
const RESTORE_BUCKETS_SECONDS: [f64; 12] =
    [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
const REVOKE_BUCKETS_SECONDS: [f64; 11] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Everything that the process reports, shared by its lanes.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    counters: Counters,
    changes: ChangeCounters,
    transactions: CounterBy<Outcome>,
    aborts: CounterBy<AbortCause>,
    retries: IntCounter,
    phases: By<Phase, Histogram>,
    transaction_events: Histogram,
    revokes: Histogram,
    revoke_budget: Gauge,
    fits: CounterBy<FitOutcome>,
    fit_seconds: Histogram,
    fit_published: Gauge,
    queue_depth: IntGaugeVec,
    ready: IntGauge,
    reload_taken: IntGauge,
    board: Arc<Board>,
    /// When a transaction was last committed, in milliseconds since 1970; 0 before that.
    committed_ms: AtomicI64,
    /// What has moved the population since the process began.
    course: Mutex<Course>,
}

impl Metrics {
    /// Registers every series that has no partition or lane in it; they start at 0.
    pub fn new(tiers: &Tiers) -> Self {
        let registry = Registry::new();
        let board = Arc::new(Board::new(restore_counters(&registry)));
        register(&registry, BoardCollector::new(Arc::clone(&board), tiers));
        register(&registry, ProcessCollector::new());
        describe_process(&registry);
        Self {
            counters: Counters::new(&registry),
            changes: ChangeCounters::new(&registry, tiers),
            transactions: counter_by(
                &registry,
                "lifetide_transactions_total",
                "Transactions that ended, by outcome.",
            ),
            aborts: counter_by(
                &registry,
                "lifetide_transaction_aborts_total",
                "Aborted transactions, by cause.",
            ),
            retries: counter(
                &registry,
                "lifetide_transaction_retries_total",
                "Calls to the broker made again because the first did not settle.",
            ),
            phases: phases(&registry),
            transaction_events: histogram(
                &registry,
                "lifetide_transaction_events",
                "Inputs consumed by a committed transaction.",
                &TRANSACTION_EVENTS_BUCKETS,
            ),
            revokes: histogram(
                &registry,
                "lifetide_revoke_seconds",
                "From a revocation to its acknowledgement; compare with the budget.",
                &REVOKE_BUCKETS_SECONDS,
            ),
            revoke_budget: gauge(
                &registry,
                "lifetide_revoke_budget_seconds",
                "What a revocation may take before the open transaction is aborted.",
            ),
            fits: counter_by(
                &registry,
                "lifetide_model_fits_total",
                "Attempts to fit a model to the changelog, by what became of them.",
            ),
            fit_seconds: histogram(
                &registry,
                "lifetide_model_fit_seconds",
                "What an attempt took, the reading of the changelog included.",
                &RESTORE_BUCKETS_SECONDS,
            ),
            fit_published: gauge(
                &registry,
                "lifetide_model_published_timestamp_seconds",
                "When the newest model of the models topic was published, in seconds since 1970.",
            ),
            queue_depth: queue_depth(&registry),
            ready: ready(&registry),
            reload_taken: reload_taken(&registry),
            board,
            registry,
            committed_ms: AtomicI64::new(0),
            course: Mutex::default(),
        }
    }

    /// A transaction was committed: counts what was in it.
    pub fn transaction_committed(&self, tally: &Tally) {
        self.transactions.get(Outcome::Committed).inc();
        #[expect(clippy::cast_precision_loss, reason = "a transaction is bounded far below 2^53")]
        self.transaction_events.observe(tally.n_inputs() as f64);
        self.counters.add(tally);
        self.changes.add(&tally.population);
        self.committed_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Another model has changed what a partition's customers are worth.
    pub fn population_changed(&self, changes: &Changes) {
        self.changes.add(changes);
    }

    /// The inputs consumed by committed transactions, whatever came of them.
    pub fn n_inputs(&self) -> u64 {
        self.counters.n_inputs()
    }

    /// The events that were refused.
    pub fn n_rejections(&self) -> u64 {
        self.counters.n_rejections()
    }

    /// A transaction was aborted; its tally is dropped.
    pub fn transaction_aborted(&self, cause: AbortCause) {
        self.transactions.get(Outcome::Aborted).inc();
        self.aborts.get(cause).inc();
    }

    /// A transaction failed for good; the process is about to exit.
    pub fn transaction_failed(&self) {
        self.transactions.get(Outcome::Failed).inc();
    }

    /// A call of the transaction's is made again.
    pub fn transaction_retried(&self) {
        self.retries.inc();
    }

    /// A phase of a transaction took this long, however it ended.
    pub fn transaction_phase(&self, phase: Phase, elapsed: Duration) {
        self.phases.get(phase).observe(elapsed.as_secs_f64());
    }

    /// An attempt to fit a model has ended.
    pub fn fitted(&self, outcome: FitOutcome, elapsed: Duration) {
        self.fits.get(outcome).inc();
        self.fit_seconds.observe(elapsed.as_secs_f64());
    }

    /// States when the newest model was published.
    pub fn set_model_published(&self, at_ms: i64) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are below 2^53")]
        self.fit_published.set(at_ms as f64 / 1000.0);
    }

    /// A revocation was acknowledged this long after it came.
    pub fn revoked(&self, elapsed: Duration) {
        self.revokes.observe(elapsed.as_secs_f64());
    }

    /// States what a revocation may take.
    pub fn set_revoke_budget(&self, budget: Duration) {
        self.revoke_budget.set(budget.as_secs_f64());
    }

    /// States whether the last reload of the configuration was taken.
    pub fn reloaded(&self, is_taken: bool) {
        self.reload_taken.set(i64::from(is_taken));
    }

    /// The gauges of a partition that was just assigned; drop them when it is revoked or lost.
    pub fn own_partition(&self, partition: i32) -> PartitionGauges {
        self.board.own(partition)
    }

    /// What the broker says of an input partition: its last stable offset and its high watermark,
    /// each the offset after the last. Ignored for a partition that this process does not own.
    pub fn input_ends(&self, partition: i32, offset_stable: i64, offset_high: i64) {
        self.board.input_ends(partition, offset_stable, offset_high);
    }

    /// The partitions that are being read back, and how far each is.
    pub fn restoring(&self) -> Vec<Restoring> {
        self.board.restoring()
    }

    /// The gauge of how many inputs wait between a lane's source thread and its engine.
    pub fn queue_depth(&self, lane: usize) -> IntGauge {
        self.queue_depth.with_label_values(&[&lane.to_string()])
    }

    /// Everything in Prometheus' text format, with what readiness says at this moment.
    ///
    /// # Panics
    /// Never: every registered family has a name and a metric.
    pub fn text(&self, is_ready: bool) -> String {
        self.ready.set(i64::from(is_ready));
        encode(&self.registry)
    }
}

fn encode(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .expect("a registry gathers no family without a name or a sample")
}

fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect(CONSTANT);
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::new(name, help).expect(CONSTANT);
    register(registry, gauge.clone());
    gauge
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let histogram = Histogram::with_opts(options).expect(CONSTANT);
    register(registry, histogram.clone());
    histogram
}

fn phases(registry: &Registry) -> By<Phase, Histogram> {
    let options = HistogramOpts::new(
        "lifetide_transaction_phase_seconds",
        "What each phase of a transaction takes.",
    );
    let options = options.buckets(PHASE_BUCKETS_SECONDS.to_vec());
    let vec = HistogramVec::new(options, Phase::NAMES).expect(CONSTANT);
    register(registry, vec.clone());
    By::new(|phase: Phase| vec.with_label_values(&phase.texts()))
}

fn queue_depth(registry: &Registry) -> IntGaugeVec {
    let options = Opts::new(
        "lifetide_lane_queue_depth",
        "Inputs that wait between a lane's source thread and its engine.",
    );
    let vec = IntGaugeVec::new(options, &["lane"]).expect(CONSTANT);
    register(registry, vec.clone());
    vec
}

fn ready(registry: &Registry) -> IntGauge {
    let help = "1 when every lane has joined its group, restored its partitions and comes on.";
    let ready = IntGauge::new("lifetide_ready", help).expect(CONSTANT);
    register(registry, ready.clone());
    ready
}

fn reload_taken(registry: &Registry) -> IntGauge {
    let help = "0 while what is on disk was refused and the configuration before it is in force.";
    let name = "lifetide_config_last_reload_successful";
    let gauge = IntGauge::new(name, help).expect(CONSTANT);
    register(registry, gauge.clone());
    gauge.set(1);
    gauge
}

fn restore_counters(registry: &Registry) -> RestoreCounters {
    RestoreCounters {
        records: counter(
            registry,
            "lifetide_restore_records_total",
            "Changelog records applied by restores.",
        ),
        seconds: histogram(
            registry,
            "lifetide_restore_seconds",
            "From a partition's assignment until it ran again.",
            &RESTORE_BUCKETS_SECONDS,
        ),
    }
}

/// What never changes while the process runs.
fn describe_process(registry: &Registry) {
    let options = Opts::new("lifetide_build_info", "Always 1; the version is in the label.");
    let version = env!("CARGO_PKG_VERSION");
    let build = Gauge::with_opts(options.const_label("version", version)).expect(CONSTANT);
    build.set(1.0);
    register(registry, build);
    let started = gauge(
        registry,
        "lifetide_process_start_time_seconds",
        "When the process started, in seconds since 1970.",
    );
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    started.set(since.as_secs_f64());
}

#[cfg(test)]
mod tests;

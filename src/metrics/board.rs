//! The series of the partitions that this process owns: they appear with the assignment and vanish
//! with the revocation, and ages are worked out when Prometheus asks. One short lock a call; the
//! engine reports once a transaction, never once an event. Made by `Metrics`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, Opts};

use super::label::PartitionState;
use super::population::PopulationGauges;
use super::reading::{Figures, Reading, as_f64, seconds};
use crate::churn::Tiers;
use crate::population::Census;

/// What a board counts beside its gauges.
#[derive(Debug)]
pub(super) struct RestoreCounters {
    pub(super) records: IntCounter,
    pub(super) seconds: Histogram,
}

/// The owned partitions.
#[derive(Debug)]
pub(super) struct Board {
    readings: Mutex<BTreeMap<i32, Arc<Mutex<Reading>>>>,
    restores: RestoreCounters,
}

impl Board {
    pub(super) fn new(restores: RestoreCounters) -> Self {
        Self { readings: Mutex::default(), restores }
    }

    pub(super) fn own(self: &Arc<Self>, partition: i32) -> PartitionGauges {
        let reading = Arc::new(Mutex::new(Reading::new(now_ms())));
        lock(&self.readings).insert(partition, Arc::clone(&reading));
        PartitionGauges { board: Arc::clone(self), partition, reading }
    }

    /// The partitions that are being read back.
    pub(super) fn restoring(&self) -> Vec<Restoring> {
        let now_ms = now_ms();
        let of = |(&partition, reading): (&i32, &Arc<Mutex<Reading>>)| {
            Restoring::of(partition, &lock(reading), now_ms)
        };
        lock(&self.readings).iter().filter_map(of).collect()
    }

    /// How each partition fares, ascending, and the sum over all customers.
    pub(super) fn overview(&self) -> (Vec<PartitionOverview>, Census) {
        let now_ms = now_ms();
        let mut population = Census::default();
        let of = |(&partition, reading): (&i32, &Arc<Mutex<Reading>>)| {
            let reading = lock(reading);
            population.merge(reading.population());
            PartitionOverview::of(partition, &reading, now_ms)
        };
        let partitions = lock(&self.readings).iter().map(of).collect();
        (partitions, population)
    }

    pub(super) fn input_ends(&self, partition: i32, stable: i64, high: i64) {
        if let Some(reading) = lock(&self.readings).get(&partition) {
            lock(reading).ends(stable, high, now_ms());
        }
    }
}

/// How one owned partition fares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartitionOverview {
    /// The input partition.
    pub partition: i32,
    /// Customers in the committed state.
    pub n_customers: u64,
    /// Readable input records that are not processed yet.
    pub lag_records: Option<i64>,
    /// Upper bound of the age of the oldest of them.
    pub lag_seconds: Option<f64>,
    /// When the partition last committed or advanced its restore, in milliseconds since 1970.
    pub progress_ms: i64,
    /// How far its restore is; absent while the partition is at work.
    pub restore: Option<Restoring>,
}

impl PartitionOverview {
    fn of(partition: i32, reading: &Reading, now_ms: i64) -> Self {
        Self {
            partition,
            n_customers: reading.figures().n_customers,
            lag_records: reading.lag_records(),
            lag_seconds: reading.lag_ms(now_ms).map(seconds),
            progress_ms: reading.progress_ms(),
            restore: Restoring::of(partition, reading, now_ms),
        }
    }
}

/// How far the restore of one partition has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Restoring {
    /// The input partition.
    pub partition: i32,
    /// Share of the changelog that is read back, once its end is known.
    pub progress_ratio: Option<f64>,
    /// What it will still take at its mean speed so far, once there is one.
    pub eta_seconds: Option<f64>,
}

impl Restoring {
    fn of(partition: i32, reading: &Reading, now_ms: i64) -> Option<Self> {
        (reading.state() == PartitionState::Restoring).then(|| Self {
            partition,
            progress_ratio: reading.restore_progress(),
            eta_seconds: reading.restore_eta_seconds(now_ms),
        })
    }
}

/// The gauges of one owned partition; dropping it removes them.
///
/// A lane that notices late that it lost a partition does not remove the series of the lane that
/// has owned it since.
#[derive(Debug)]
pub struct PartitionGauges {
    board: Arc<Board>,
    partition: i32,
    reading: Arc<Mutex<Reading>>,
}

impl PartitionGauges {
    /// The restore reads the changelog from `offset_start` until `offset_end`.
    pub fn restore_from(&self, offset_start: i64, offset_end: i64) {
        lock(&self.reading).restore_from(offset_start, offset_end, now_ms());
    }

    /// The restore applied `n_records` and will read `offset_next` of the changelog next.
    pub fn restored_to(&self, offset_next: i64, n_records: u64) {
        self.board.restores.records.inc_by(n_records);
        lock(&self.reading).restored_to(offset_next, n_records, now_ms());
    }

    /// The restore is done; `offset_next` of the input is the next to read.
    pub fn run_from(&self, offset_next: i64) {
        let taken_ms = lock(&self.reading).run_from(offset_next, now_ms());
        self.board.restores.seconds.observe(seconds(taken_ms));
    }

    /// A transaction with this partition in it was committed: `offset_next` of the input is the
    /// next to read, and the newest record of the batch bears the Kafka timestamp
    /// `newest_record_ms`.
    pub fn committed(&self, offset_next: i64, newest_record_ms: Option<i64>) {
        lock(&self.reading).committed(offset_next, newest_record_ms, now_ms());
    }

    /// A value that changes with each commit and each step of a restore, and the next offset to
    /// read of the input, which is absent while the partition is restored.
    pub fn progress(&self) -> (i64, Option<i64>) {
        lock(&self.reading).progress()
    }

    /// Changelog offsets still to read by a restore that has begun.
    pub fn restore_remaining(&self) -> Option<i64> {
        lock(&self.reading).restore_remaining()
    }

    /// The committed state has changed: its size, and the sum over its customers.
    pub fn set_figures(&self, figures: Figures, population: &Census) {
        lock(&self.reading).set_figures(figures, population);
    }
}

impl Drop for PartitionGauges {
    fn drop(&mut self) {
        let mut readings = lock(&self.board.readings);
        if readings.get(&self.partition).is_some_and(|own| Arc::ptr_eq(own, &self.reading)) {
            readings.remove(&self.partition);
        }
    }
}

pub(super) type Figure = fn(&Reading, i64) -> Option<f64>;

/// The gauges with the one label `partition`: name, help, and the value at a moment if it is known.
pub(super) const GAUGES: [(&str, &str, Figure); 15] = [
    (
        "lifetide_input_lag_records",
        "Readable input records that are not processed yet.",
        |reading, _| reading.lag_records().map(as_f64),
    ),
    (
        "lifetide_input_lag_seconds",
        "Upper bound of the age of the oldest unprocessed input record; 0 when nothing waits.",
        |reading, now| reading.lag_ms(now).map(seconds),
    ),
    (
        "lifetide_input_open_transaction_records",
        "Input records held back because a producer's transaction is still open.",
        |reading, _| reading.open_transaction_records().map(as_f64),
    ),
    (
        "lifetide_input_open_transaction_seconds",
        "How long one open transaction of a producer has held back the input.",
        |reading, now| reading.open_transaction_ms(now).map(seconds),
    ),
    (
        "lifetide_partition_last_progress_timestamp_seconds",
        "When the partition last committed a transaction or advanced its restore.",
        |reading, _| Some(seconds(reading.progress_ms())),
    ),
    (
        "lifetide_partition_stalled_seconds",
        "How long records have waited, or a restore has not advanced, without any progress.",
        |reading, now| Some(seconds(reading.stalled_ms(now))),
    ),
    (
        "lifetide_restore_remaining_records",
        "Changelog offsets still to read; an upper bound of records, compaction leaves gaps.",
        |reading, _| reading.restore_remaining().map(as_f64),
    ),
    (
        "lifetide_restore_progress_ratio",
        "Share of the changelog that is read back, 0 to 1.",
        |reading, _| reading.restore_progress(),
    ),
    (
        "lifetide_restore_records_per_second",
        "Changelog records read back a second, the mean of this restore; 0 when it is done.",
        |reading, now| reading.restore_rate(now),
    ),
    (
        "lifetide_restore_eta_seconds",
        "What the restore will still take at its mean speed so far.",
        |reading, now| reading.restore_eta_seconds(now),
    ),
    (
        "lifetide_timers_pending",
        "Timers set: customers for whom silence alone will change the answer.",
        |reading, _| Some(count(reading.figures().n_timers_pending)),
    ),
    (
        "lifetide_timers_due",
        "Timers whose day has come and that have not fired yet.",
        |reading, _| Some(count(reading.figures().n_timers_due)),
    ),
    ("lifetide_customers", "Customers in the committed state.", |reading, _| {
        Some(count(reading.figures().n_customers))
    }),
    (
        "lifetide_store_bytes",
        "Memory of the committed state: customers, keys, map slots and timers.",
        |reading, _| Some(count(reading.figures().store_bytes)),
    ),
    ("lifetide_partition_owned", "1 for every partition that this process owns.", |_, _| Some(1.0)),
];

/// Fills the gauges of a board when Prometheus asks.
#[derive(Debug)]
pub(super) struct BoardCollector {
    board: Arc<Board>,
    gauges: Vec<(GaugeVec, Figure)>,
    states: GaugeVec,
    bytes_per_customer: Gauge,
    population: PopulationGauges,
}

impl BoardCollector {
    pub(super) fn new(board: Arc<Board>, tiers: &Tiers) -> Self {
        let constant = "names are constants that a test has seen registered";
        let vec = |name: &str, help: &str, labels: &[&str]| {
            GaugeVec::new(Opts::new(name, help), labels).expect(constant)
        };
        let gauge = |(name, help, figure)| (vec(name, help, &["partition"]), figure);
        let states = vec(
            "lifetide_partition_state",
            "1 for the state that the partition is in, 0 for the others.",
            &["partition", "state"],
        );
        let bytes_per_customer = Gauge::new(
            "lifetide_bytes_per_customer",
            "Memory of the committed state divided by its customers; 0 without customers.",
        );
        Self {
            board,
            gauges: GAUGES.into_iter().map(gauge).collect(),
            states,
            bytes_per_customer: bytes_per_customer.expect(constant),
            population: PopulationGauges::new(tiers.clone()),
        }
    }

    fn fill(&self, partition: &str, reading: &Reading, now_ms: i64) {
        for (gauge, figure) in &self.gauges {
            if let Some(value) = figure(reading, now_ms) {
                gauge.with_label_values(&[partition]).set(value);
            }
        }
        for state in PartitionState::ALL {
            let value = if reading.state() == state { 1.0 } else { 0.0 };
            self.states.with_label_values(&[partition, state.as_str()]).set(value);
        }
    }
}

impl Collector for BoardCollector {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges.iter().flat_map(|(gauge, _)| gauge.desc());
        let gauges = gauges.chain(self.states.desc()).chain(self.bytes_per_customer.desc());
        gauges.chain(self.population.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held to the end, so that two scrapes do not empty each other's gauges.
        let readings = lock(&self.board.readings);
        for (gauge, _) in &self.gauges {
            gauge.reset();
        }
        self.states.reset();
        let now_ms = now_ms();
        let (mut n_customers, mut store_bytes) = (0, 0);
        let mut population = Census::default();
        for (partition, reading) in &*readings {
            let reading = lock(reading);
            n_customers += reading.figures().n_customers;
            store_bytes += reading.figures().store_bytes;
            population.merge(reading.population());
            self.fill(&partition.to_string(), &reading, now_ms);
        }
        let is_empty = n_customers == 0;
        let mean = if is_empty { 0.0 } else { count(store_bytes) / count(n_customers) };
        self.bytes_per_customer.set(mean);
        let gauges = self.gauges.iter().flat_map(|(gauge, _)| gauge.collect());
        let gauges = gauges.chain(self.states.collect()).chain(self.bytes_per_customer.collect());
        gauges.chain(self.population.collect(&population)).collect()
    }
}

fn count(value: u64) -> f64 {
    as_f64(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A poisoned lock still holds whole readings: each is replaced field by field by plain stores.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

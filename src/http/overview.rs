//! `/overview`: how the process fares and what its customers are worth together, from memory. Names
//! no customer and so needs no token. Called by the router.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{About, Services, answer};
use crate::churn::{Lifecycle, Tiers};
use crate::metrics::{self, PartitionOverview, Restoring};
use crate::money::Currency;
use crate::population::{Change, Effect, Point};
use crate::record::wire::Moment;

#[derive(Serialize)]
struct Overview<'a> {
    at: Moment,
    version: &'static str,
    instance: &'a str,
    ready: bool,
    stalls: Vec<String>,
    currency: &'a str,
    lanes: Vec<Lane>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<InUse>,
    n_partitions: i32,
    partitions: Vec<Held>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_commit_at: Option<Moment>,
    events: u64,
    signals: u64,
    customers: u64,
    population: Vec<Cell<'a>>,
    tiers: Vec<&'a str>,
    drivers: Vec<Drivers>,
}

#[derive(Serialize)]
struct Lane {
    lane: usize,
    state: &'static str,
}

/// What customers are predicted by.
#[derive(Serialize)]
struct InUse {
    label: String,
    identifiable: bool,
}

#[derive(Serialize)]
struct Held {
    partition: i32,
    state: &'static str,
    customers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_records: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    last_progress_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore: Option<Restore>,
}

/// How far the restore of a partition is, also at `/ready`; what is not known yet is left out.
#[derive(Serialize)]
pub(super) struct Restore {
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Cell<'a> {
    segment: &'a str,
    lifecycle: &'static str,
    customers: i64,
    clv: f64,
}

#[derive(Serialize)]
struct Drivers {
    at: Moment,
    up: ByEffect,
    down: ByEffect,
}

/// Major units by effect.
struct ByEffect([f64; Effect::ALL.len()]);

impl Serialize for ByEffect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (effect, value) in Effect::ALL.iter().zip(&self.0) {
            map.serialize_entry(effect.as_str(), value)?;
        }
        map.end()
    }
}

pub(super) async fn overview(State(services): State<Arc<Services>>) -> Response {
    let overview = services.metrics.overview();
    answer::json(&Overview::of(&services, &overview))
}

impl<'a> Overview<'a> {
    fn of(services: &'a Services, overview: &'a metrics::Overview) -> Self {
        let About { instance, currency, tiers, n_partitions } = &services.about;
        let lanes = services.lanes.states().into_iter().enumerate();
        let partitions = &overview.partitions;
        Self {
            at: Moment(overview.at_ms),
            version: env!("CARGO_PKG_VERSION"),
            instance,
            ready: services.lanes.is_ready(),
            stalls: services.lanes.stalls(),
            currency: currency.code(),
            model: services.models.wanted().model.map(|model| InUse {
                label: model.label().to_owned(),
                identifiable: model.identifiable(),
            }),
            lanes: lanes.map(|(lane, state)| Lane { lane, state: state.as_str() }).collect(),
            n_partitions: *n_partitions,
            partitions: partitions.iter().map(Held::of).collect(),
            last_commit_at: overview.committed_ms.map(Moment),
            events: overview.n_events,
            signals: overview.n_signals,
            customers: partitions.iter().map(|partition| partition.n_customers).sum(),
            population: population(overview, tiers, *currency),
            tiers: tiers.names().collect(),
            drivers: overview.drivers.iter().map(|point| Drivers::of(point, *currency)).collect(),
        }
    }
}

impl Held {
    fn of(overview: &PartitionOverview) -> Self {
        let restore = overview.restore;
        Self {
            partition: overview.partition,
            state: if restore.is_some() { "restoring" } else { "running" },
            customers: overview.n_customers,
            lag_records: overview.lag_records,
            lag_seconds: overview.lag_seconds,
            last_progress_at: Moment(overview.progress_ms),
            restore: restore.as_ref().map(Restore::of),
        }
    }
}

impl Restore {
    pub(super) fn of(restoring: &Restoring) -> Self {
        let Restoring { progress_ratio, eta_seconds, .. } = *restoring;
        Self { progress_ratio, eta_seconds }
    }
}

fn population<'a>(
    overview: &metrics::Overview,
    tiers: &'a Tiers,
    currency: Currency,
) -> Vec<Cell<'a>> {
    let cell = |(tier, segment), lifecycle: Lifecycle| {
        let cell = overview.population.cell(tier, lifecycle);
        let clv = major(cell.value_minor, currency);
        Cell { segment, lifecycle: lifecycle.as_str(), customers: cell.n_customers, clv }
    };
    let tiers = tiers.names().enumerate();
    tiers.flat_map(|tier| Lifecycle::ALL.map(|lifecycle| cell(tier, lifecycle))).collect()
}

impl Drivers {
    fn of(point: &Point, currency: Currency) -> Self {
        let of = |minor: fn(&Change) -> i128| {
            ByEffect(point.totals.each_ref().map(|change| major(minor(change), currency)))
        };
        Self {
            at: Moment(point.at_ms),
            up: of(|change| change.up_minor),
            down: of(|change| change.down_minor),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "sums of a population stay far below 2^53")]
fn major(minor: i128, currency: Currency) -> f64 {
    minor as f64 / currency.minor_per_major()
}

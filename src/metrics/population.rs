//! What the customers are worth together: gauges that sum over the owned partitions, and counters
//! of what moved it. Amounts are minor units, so that they are whole numbers and add up exactly (up
//! to 2^53, a gauge's limit). Made and called by `Metrics` and `board`.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::{CONSTANT, register};
use crate::churn::{Lifecycle, Tiers};
use crate::population::{Census, Change, Changes, Effect};

/// The changes, by driver, tier and direction. Every series exists from the start.
#[derive(Debug)]
pub(super) struct ChangeCounters {
    /// By tier, then by effect; up and down.
    by_tier: Vec<Vec<[IntCounter; 2]>>,
}

impl ChangeCounters {
    pub(super) fn new(registry: &Registry, tiers: &Tiers) -> Self {
        let options = Opts::new(
            "lifetide_population_clv_change_minor_units_total",
            "What moved the population's CLV, in minor units, by driver and value tier.",
        );
        let vec = IntCounterVec::new(options, &["driver", "segment", "direction"]).expect(CONSTANT);
        register(registry, vec.clone());
        let series = |tier: &str, effect: Effect| {
            let with = |direction| vec.with_label_values(&[effect.as_str(), tier, direction]);
            ["up", "down"].map(with)
        };
        let of_tier = |tier: &str| Effect::ALL.map(|effect| series(tier, effect)).to_vec();
        Self { by_tier: tiers.names().map(of_tier).collect() }
    }

    pub(super) fn add(&self, changes: &Changes) {
        for (tier, effect, Change { up_minor, down_minor }) in changes.iter() {
            let Some([up, down]) = self.by_tier.get(tier).map(|tier| &tier[effect as usize]) else {
                continue;
            };
            for (counter, minor) in [(up, up_minor), (down, down_minor)] {
                if minor > 0 {
                    counter.inc_by(u64::try_from(minor).unwrap_or(u64::MAX));
                }
            }
        }
    }

    /// All changes so far, by effect.
    pub(super) fn totals(&self) -> [Change; Effect::ALL.len()] {
        Effect::ALL.map(|effect| {
            let sum = |direction: usize| {
                let of_tier = |tier: &Vec<[IntCounter; 2]>| tier[effect as usize][direction].get();
                self.by_tier.iter().map(of_tier).map(i128::from).sum()
            };
            Change { up_minor: sum(0), down_minor: sum(1) }
        })
    }
}

/// The customers and their worth, by tier and lifecycle. Every series exists from the start.
#[derive(Debug)]
pub(super) struct PopulationGauges {
    tiers: Tiers,
    clv: GaugeVec,
    customers: GaugeVec,
}

impl PopulationGauges {
    pub(super) fn new(tiers: Tiers) -> Self {
        let vec = |name: &str, help: &str| {
            GaugeVec::new(Opts::new(name, help), &["segment", "lifecycle"]).expect(CONSTANT)
        };
        Self {
            tiers,
            clv: vec(
                "lifetide_population_clv_minor_units",
                "Predicted CLV of the customers of the owned partitions who have not lapsed.",
            ),
            customers: vec(
                "lifetide_population_customers",
                "Customers of the owned partitions, by value tier and lifecycle.",
            ),
        }
    }

    pub(super) fn desc(&self) -> Vec<&Desc> {
        self.clv.desc().into_iter().chain(self.customers.desc()).collect()
    }

    pub(super) fn collect(&self, population: &Census) -> Vec<MetricFamily> {
        for (tier, name) in self.tiers.names().enumerate() {
            for lifecycle in Lifecycle::ALL {
                let cell = population.cell(tier, lifecycle);
                let labels = [name, lifecycle.as_str()];
                self.clv.with_label_values(&labels).set(as_f64(cell.value_minor));
                self.customers.with_label_values(&labels).set(as_f64(cell.n_customers.into()));
            }
        }
        self.clv.collect().into_iter().chain(self.customers.collect()).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn as_f64(value: i128) -> f64 {
    value as f64
}

//! What a page shows of the process: its partitions, its counts, and what its customers are worth
//! over time. Says how nothing looks: `http` writes it as JSON. Made by `Metrics`.

use std::sync::atomic::Ordering;

use super::Metrics;
use super::board::{PartitionOverview, lock, now_ms};
use crate::population::{Census, Point};

/// The state of the process at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The moment, in milliseconds since 1970.
    pub at_ms: i64,
    /// The owned partitions, ascending.
    pub partitions: Vec<PartitionOverview>,
    /// When a transaction was last committed.
    pub committed_ms: Option<i64>,
    /// Accepted events since the process began.
    pub n_events: u64,
    /// Signals published since then.
    pub n_signals: u64,
    /// The customers by tier and lifecycle.
    pub population: Census,
    /// What has moved their worth since the process began, oldest first; the last is of now.
    pub drivers: Vec<Point>,
}

impl Metrics {
    /// Everything at this moment.
    pub fn overview(&self) -> Overview {
        let (partitions, population) = self.board.overview();
        let now = self.totals_now();
        Overview {
            at_ms: now.at_ms,
            partitions,
            committed_ms: Some(self.committed_ms.load(Ordering::Relaxed)).filter(|at| *at > 0),
            n_events: self.counters.n_events(),
            n_signals: self.counters.n_signals(),
            population,
            drivers: lock(&self.course).until(now),
        }
    }

    /// Keeps what has moved the population until now; to be called at even intervals.
    pub fn sample_drivers(&self) {
        let now = self.totals_now();
        lock(&self.course).tick(now);
    }

    fn totals_now(&self) -> Point {
        Point { at_ms: now_ms(), totals: self.changes.totals() }
    }
}

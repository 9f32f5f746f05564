//! All customers of a group as its changelog holds them, counted for a fit: each as of the stream
//! time of the partition. Holds one partition at a time. Called by `modeller`.

use std::ops::ControlFlow;

use rdkafka::message::Message;

use super::span::Spans;
use super::topics;
use crate::calendar::Day;
use crate::config::Config;
use crate::engine::rebuild::{OnLoss, Rebuild};
use crate::fit::Statistics;
use crate::lifecycle::Shutdown;
use crate::pipeline::Rules;

/// What a fit needs to know.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) statistics: Statistics,
    /// The first purchase of all.
    pub(super) first_day: Option<Day>,
    /// The newest stream time of a partition.
    pub(super) last_day: Option<Day>,
}

/// Reads the changelog; `None` when a shutdown broke it off.
///
/// # Errors
/// It cannot be read.
pub(super) fn take(
    config: &Config,
    rules: &Rules,
    shutdown: &Shutdown,
) -> Result<Option<Census>, String> {
    let (kafka, topic) = (&config.kafka, &config.kafka.changelog_topic);
    let spans = Spans::new(kafka)?;
    let mut census = Census::default();
    for partition in 0..topics::partitions(kafka, topic)? {
        let bounds = spans.bounds(topic, partition)?;
        let mut rebuild = Rebuild::new(OnLoss::Accept);
        let flow = spans.read_while(topic, partition, bounds, |message| {
            rebuild.take(message.offset(), message.key(), message.payload());
            let flow = ControlFlow::Continue(());
            Ok(if shutdown.is_requested() { ControlFlow::Break(()) } else { flow })
        })?;
        if flow.is_break() {
            return Ok(None);
        }
        census.add(&rebuild, rules);
    }
    Ok(Some(census))
}

impl Census {
    fn add(&mut self, rebuild: &Rebuild, rules: &Rules) {
        let Some(stream_ms) = rebuild.stream_time_ms() else { return };
        let today = rules.calendar.day(stream_ms);
        self.last_day = self.last_day.max(Some(today));
        rebuild.visit(|customer| {
            self.statistics.take(&customer.ledger, today, rules.intake.currency);
            if let Some(day) = customer.ledger.first_day() {
                self.first_day = Some(self.first_day.map_or(day, |first| first.min(day)));
            }
        });
    }
}

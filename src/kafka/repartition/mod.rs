//! Moves customers to where producers put them once the input topic has more partitions. `survey`
//! reads and decides, `rewrite` writes all of it in one transaction, `fence` keeps the group out
//! meanwhile. Called by `commands::repartition`.
//!
//! State goes by key: a customer's value, from the partition of the old count to that of the new.
//! Unread events go the same way, and in the order of each customer: what the old count has placed
//! was sent before what the new one has. So all misplaced events are sent again first, each to its
//! partition, then the unread rest of every partition that gave or took one; its next offset is
//! where it ended. Killed at any moment, nothing of that is visible, or all.

mod fence;
mod rewrite;
mod survey;
mod tally;

use super::admin::Cluster;
use super::placement::Partitioner;
use super::span::Spans;
use super::topics;
use crate::config::Kafka;
use crate::engine::rebuild::OnLoss;
use crate::pipeline::Pipeline;
use crate::record::marker::Ground;
use fence::Fence;
use rewrite::Rewrite;
use survey::Survey;

/// What a repartition works with.
pub struct Repartition<'a> {
    kafka: &'a Kafka,
    pipeline: Pipeline,
    /// Of the state as it is: with the old partition count.
    ground: Ground,
    n_after: i32,
    on_loss: OnLoss,
    /// How producers place keys, if somebody said so.
    told: Option<Partitioner>,
    spans: Spans,
    tell: &'a dyn Fn(&'static str, u64),
}

impl std::fmt::Debug for Repartition<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repartition").field("ground", &self.ground).finish_non_exhaustive()
    }
}

/// What is to be done, or was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Partitions before.
    pub n_before: i32,
    /// Partitions after.
    pub n_after: i32,
    /// How producers place keys.
    pub partitioner: &'static str,
    /// Customers in the changelog.
    pub n_customers: u64,
    /// Those of them that change their partition.
    pub n_moved: u64,
    /// Erasures that every partition must remember.
    pub n_erased: u64,
    /// Unread events.
    pub n_unread: u64,
    /// Those of them that lie where the old count has placed them and the new one would not.
    pub n_misplaced: u64,
    /// Those that are sent again.
    pub n_resent: u64,
    /// The newest Kafka timestamp of a misplaced event.
    pub misplaced_newest_ms: Option<i64>,
    /// What is given up, one sentence each.
    pub losses: Vec<String>,
}

impl<'a> Repartition<'a> {
    /// What there is to do; nothing if state and input agree. `ground` is of the input as it is.
    /// `tell` hears what is being done and how many records are behind it.
    ///
    /// # Errors
    /// The brokers do not answer, or state and input cannot be brought together; with the remedy.
    pub fn open(
        kafka: &'a Kafka,
        pipeline: Pipeline,
        ground: Ground,
        on_loss: OnLoss,
        told: Option<Partitioner>,
        tell: &'a dyn Fn(&'static str, u64),
    ) -> Result<Option<Self>, String> {
        let spans = Spans::new(kafka)?;
        let n_after = ground.n_partitions;
        let n_changelog = topics::partitions(kafka, &kafka.changelog_topic)?;
        let marker = spans.marker(kafka)?;
        let n_before = marker.map_or(n_changelog, |marker| marker.n_partitions);
        if n_before == n_after {
            return Ok(None);
        }
        if n_before > n_after || n_changelog > n_after {
            return Err(format!(
                "the input `{}` has `{n_after}` partitions, fewer than the `{n_before}` of the \
                 state or the `{n_changelog}` of the changelog: only a larger count can be \
                 followed; read a topic with the old count, or start with a new group and \
                 changelog topic",
                kafka.input_topic
            ));
        }
        let ground = Ground { n_partitions: n_before, ..ground };
        Ok(Some(Self { kafka, pipeline, ground, n_after, on_loss, told, spans, tell }))
    }

    /// Says what would be done, and changes nothing.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn plan(&self) -> Result<Summary, String> {
        Survey::take(self).map(|survey| survey.summary(self))
    }

    /// Does it.
    ///
    /// # Errors
    /// Why it was not done; or why it is not known whether it was, which another run finds out.
    pub fn write(&self) -> Result<Summary, String> {
        let fence = Fence::join(self.kafka, self.n_after)?;
        // Ends the transaction of a run that was killed: what it held back can be read now.
        let rewrite = Rewrite::connect(self)?;
        let survey = Survey::take(self)?;
        self.grow()?;
        rewrite.run(&survey, &fence)?;
        Ok(survey.summary(self))
    }

    fn grow(&self) -> Result<(), String> {
        let topic = &self.kafka.changelog_topic;
        if topics::partitions(self.kafka, topic)? == self.n_after {
            return Ok(());
        }
        let n_after = usize::try_from(self.n_after).unwrap_or(0);
        Cluster::new(self.kafka).and_then(|cluster| cluster.grow(topic, n_after)).map_err(
            |refusal| {
                format!(
                    "failed to give `{topic}` `{n_after}` partitions: {refusal}; allow `Alter` on \
                     the topic, or have it done"
                )
            },
        )
    }
}

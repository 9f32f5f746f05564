//! What must be true of the topics before a lane or a command starts. `check` says more; this is
//! what a start cannot do without. Called by `service`, `span` and `repartition`.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::clients::{self, Quiet};
use super::span::Spans;
use crate::config::Kafka;
use crate::record::marker::{REPARTITION, recount};

/// How long the brokers may take to answer at the start.
const ANSWER: Duration = Duration::from_secs(15);

/// Partitions of the input topic, if the topics are fit to start with.
///
/// # Errors
/// What is missing or does not fit, with the remedy.
pub fn input_partitions(kafka: &Kafka) -> Result<i32, String> {
    let asker = asker(kafka)?;
    let n_input = count(&asker, kafka, &kafka.input_topic)?;
    let n_changelog = count(&asker, kafka, &kafka.changelog_topic)?;
    if n_input != n_changelog {
        let remedy = if n_input > n_changelog { REPARTITION } else { "both need the same count" };
        return Err(format!(
            "topic `{}` has `{n_input}` partitions and the changelog `{}` has `{n_changelog}`: \
             customers would be looked for in the wrong place; {remedy}",
            kafka.input_topic, kafka.changelog_topic
        ));
    }
    // A partition that the old count has not has no marker of its own to refuse by.
    if let Some(marker) = Spans::new(kafka)?.marker(kafka)?
        && marker.n_partitions != n_input
    {
        return Err(recount(marker.n_partitions, n_input));
    }
    for topic in [&kafka.scores_topic, &kafka.signals_topic, &kafka.dlq_topic] {
        count(&asker, kafka, topic)?;
    }
    Ok(n_input)
}

/// Partitions of a topic.
///
/// # Errors
/// It is missing, or no broker answers; with the remedy.
pub fn partitions(kafka: &Kafka, topic: &str) -> Result<i32, String> {
    count(&asker(kafka)?, kafka, topic)
}

fn asker(kafka: &Kafka) -> Result<BaseConsumer<Quiet>, String> {
    clients::reader(kafka, "read_committed")
        .create_with_context(Quiet)
        .map_err(|error| format!("failed to create a consumer: {error}"))
}

fn count(asker: &BaseConsumer<Quiet>, kafka: &Kafka, topic: &str) -> Result<i32, String> {
    let metadata = asker.fetch_metadata(Some(topic), ANSWER).map_err(|error| {
        format!(
            "no broker of `kafka.brokers` `{}` answers: {error}; is the address right and does \
             the network let it through?",
            kafka.brokers
        )
    })?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.filter(|found| found.error().is_none()).ok_or_else(|| {
        format!(
            "topic `{topic}` is missing or may not be read; `lifetide check --create-topics` \
             creates what is missing"
        )
    })?;
    let n_partitions = found.partitions().len();
    i32::try_from(n_partitions).map_err(|_| format!("`{n_partitions}` partitions are too many"))
}

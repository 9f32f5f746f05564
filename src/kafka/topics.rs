//! What must be true of the topics before a lane starts. `check` says more; this is what a start
//! cannot do without. Called by `service`.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::clients::{self, Quiet};
use crate::config::Kafka;

/// How long the brokers may take to answer at the start.
const ANSWER: Duration = Duration::from_secs(15);

/// Partitions of the input topic, if the topics are fit to start with.
///
/// # Errors
/// What is missing or does not fit, with the remedy.
pub fn input_partitions(kafka: &Kafka) -> Result<i32, String> {
    let consumer: BaseConsumer<Quiet> = clients::reader(kafka, "read_committed")
        .create_with_context(Quiet)
        .map_err(|error| format!("failed to create a consumer: {error}"))?;
    let count = |topic: &str| {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(|error| {
            format!(
                "no broker of `kafka.brokers` `{}` answers: {error}; is the address right and does \
                 the network let it through?",
                kafka.brokers
            )
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found {
            Some(found) if found.error().is_none() => Ok(found.partitions().len()),
            Some(_) | None => Err(format!(
                "topic `{topic}` is missing or may not be read; `lifetide check --create-topics` \
                 creates what is missing"
            )),
        }
    };
    let n_input = count(&kafka.input_topic)?;
    let n_changelog = count(&kafka.changelog_topic)?;
    if n_input != n_changelog {
        return Err(format!(
            "topic `{}` has `{n_input}` partitions and the changelog `{}` has `{n_changelog}`: \
             customers would be looked for in the wrong place; both need the same count",
            kafka.input_topic, kafka.changelog_topic
        ));
    }
    for topic in [&kafka.scores_topic, &kafka.signals_topic, &kafka.dlq_topic] {
        count(topic)?;
    }
    i32::try_from(n_input).map_err(|_| format!("`{n_input}` partitions are too many"))
}

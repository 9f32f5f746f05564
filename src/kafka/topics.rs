//! What must be true of the topics before a lane or a command starts. `check` says more; this is
//! what a start cannot do without. Called by `service`, `span`, `repartition` and `import`.

use rdkafka::error::RDKafkaErrorCode;

use super::admin::Asker;
use super::clients;
use super::refusal::{Refusal, Use, missing_right};
use super::span::Spans;
use crate::config::Kafka;
use crate::record::marker::{REPARTITION, recount};

/// Partitions of the input topic, if the topics are fit to start with.
///
/// # Errors
/// What is missing or does not fit, with the remedy.
pub fn input_partitions(kafka: &Kafka) -> Result<i32, String> {
    let asker = asker(kafka)?;
    let n_input = count(&asker, kafka, (&kafka.input_topic, Use::Read))?;
    let n_changelog = count(&asker, kafka, (&kafka.changelog_topic, Use::Read))?;
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
        count(&asker, kafka, (topic, Use::Write))?;
    }
    Ok(n_input)
}

/// Partitions of a topic that is read.
///
/// # Errors
/// It is missing, or no broker answers; with the remedy.
pub fn partitions(kafka: &Kafka, topic: &str) -> Result<i32, String> {
    count(&asker(kafka)?, kafka, (topic, Use::Read))
}

/// Whether a topic that is read is there.
///
/// # Errors
/// It may not be read, or no broker answers; with the remedy.
pub fn is_there(kafka: &Kafka, topic: &str) -> Result<bool, String> {
    match asker(kafka)?.find(topic) {
        Err(refusal) => Err(refusal.sentence()),
        Ok(Ok(found)) => Ok(found.is_some()),
        Ok(Err(code)) => Err(unusable(kafka, (topic, Use::Read), code)),
    }
}

fn unusable(kafka: &Kafka, (topic, needed): (&str, Use), code: RDKafkaErrorCode) -> String {
    missing_right(code, &kafka.group_id, (topic, needed))
        .unwrap_or_else(|| Refusal::new(format!("topic `{topic}` cannot be used: {code}")))
        .sentence()
}

fn asker(kafka: &Kafka) -> Result<Asker, String> {
    Asker::new(kafka, &clients::reader(kafka, "read_committed"))
        .map_err(|refusal| format!("failed to create a consumer: {refusal}"))
}

fn count(asker: &Asker, kafka: &Kafka, (topic, needed): (&str, Use)) -> Result<i32, String> {
    match asker.find(topic) {
        Err(refusal) => Err(refusal.sentence()),
        Ok(Ok(Some(found))) => i32::try_from(found.n_partitions)
            .map_err(|_| format!("`{}` partitions are too many", found.n_partitions)),
        Ok(Ok(None)) => Err(format!(
            "topic `{topic}` is missing; `lifetide check --create-topics` creates what is missing"
        )),
        Ok(Err(code)) => Err(unusable(kafka, (topic, needed), code)),
    }
}

//! What the newest records of a topic tell: how its producers place keys, and how late it is by its
//! events. It decides nothing where they do not tell: a person must say then. Called by
//! `commands::import`.

use rdkafka::message::Message;

use super::placement::Partitioner;
use super::span::Spans;
use super::topics;
use crate::config::Kafka;
use crate::event::{Envelope, Intake, decode};

/// Offsets at the end of each partition whose records are looked at.
const LOOKED_AT_OFFSETS: i64 = 200;

/// What was found in a topic's newest records.
#[derive(Debug)]
pub struct Newest {
    topic: String,
    n_keys: u64,
    /// How many of the keys each partitioner explains.
    n_explained: [(Partitioner, u64); Partitioner::ALL.len()],
    /// The largest `occurred_at` of events that would be accepted.
    pub occurred_at_ms: Option<i64>,
}

impl Newest {
    /// Reads the newest records of a topic.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub fn read(kafka: &Kafka, topic: &str, intake: &Intake) -> Result<Self, String> {
        let n_partitions = topics::partitions(kafka, topic)?;
        let spans = Spans::new(kafka)?;
        let n_explained = Partitioner::ALL.map(|it| (it, 0));
        let mut newest =
            Self { topic: topic.to_owned(), n_keys: 0, n_explained, occurred_at_ms: None };
        for number in 0..n_partitions {
            let (low, end) = spans.bounds(topic, number)?;
            let from = low.max(end.saturating_sub(LOOKED_AT_OFFSETS));
            spans.read(topic, number, (from, end), |message| {
                let (payload, key) = (message.payload(), message.key());
                let timestamp_ms = message.timestamp().to_millis();
                if let Ok(event) = decode(Envelope { payload, key, timestamp_ms }, intake) {
                    newest.occurred_at_ms = newest.occurred_at_ms.max(Some(event.occurred_at_ms));
                }
                let Some(key) = key else { return Ok(()) };
                newest.n_keys += 1;
                for (partitioner, n) in &mut newest.n_explained {
                    *n += u64::from(partitioner.place(key, n_partitions) == number);
                }
                Ok(())
            })?;
        }
        Ok(newest)
    }

    /// The partitioner that explains where the keys lie, with the topic's partition count;
    /// murmur2, that of Java clients, where both do or there is nothing yet.
    ///
    /// # Errors
    /// No partitioner explains all of them; with the remedy.
    pub fn partitioner(&self) -> Result<Partitioner, String> {
        choose(&self.topic, self.n_keys, &self.n_explained)
    }
}

fn choose(
    topic: &str,
    n_keys: u64,
    n_explained: &[(Partitioner, u64)],
) -> Result<Partitioner, String> {
    let whole = n_explained.iter().find(|(_, n)| *n == n_keys);
    whole.map(|(partitioner, _)| *partitioner).ok_or_else(|| {
        let found: Vec<String> = n_explained
            .iter()
            .map(|(partitioner, n)| format!("`{}` explains `{n}`", partitioner.as_str()))
            .collect();
        format!(
            "of the newest `{n_keys}` keys of `{topic}` {}: producers place them in different \
             ways, or the topic has got more partitions since; say with `--partitioner` how they \
             place keys now",
            found.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_explains_every_key_is_taken_and_nothing_else() {
        let [murmur2, crc32] = Partitioner::ALL;
        let chosen =
            |n_murmur2, n_crc32| choose("events", 7, &[(murmur2, n_murmur2), (crc32, n_crc32)]);
        assert_eq!(chosen(7, 3), Ok(murmur2));
        assert_eq!(chosen(3, 7), Ok(crc32));
        assert_eq!(chosen(7, 7), Ok(murmur2));
        let fault = chosen(6, 3).unwrap_err();
        assert!(fault.contains("`murmur2` explains `6` and `crc32` explains `3`"), "{fault}");
    }
}

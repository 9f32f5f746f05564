//! How the producers of a topic place keys, as far as its newest records tell. It decides nothing
//! where they do not: a person must say then. Called by `commands::import`.

use rdkafka::message::Message;

use super::placement::Partitioner;
use super::span::Spans;
use super::topics;
use crate::config::Kafka;

/// Offsets at the end of each partition whose keys are looked at.
const LOOKED_AT_OFFSETS: i64 = 200;

/// The partitioner that explains where the newest keys of a topic lie, with its partition count;
/// murmur2, that of Java clients, where both do or there is nothing yet.
///
/// # Errors
/// The topic cannot be read, or no partitioner explains all of them; with the remedy.
pub fn partitioner(kafka: &Kafka, topic: &str) -> Result<Partitioner, String> {
    let n_partitions = topics::partitions(kafka, topic)?;
    let spans = Spans::new(kafka)?;
    let (mut n_keys, mut n_explained) = (0_u64, Partitioner::ALL.map(|it| (it, 0_u64)));
    for number in 0..n_partitions {
        let (low, end) = spans.bounds(topic, number)?;
        let from = low.max(end.saturating_sub(LOOKED_AT_OFFSETS));
        spans.read(topic, number, (from, end), |message| {
            let Some(key) = message.key() else { return Ok(()) };
            n_keys += 1;
            for (partitioner, n) in &mut n_explained {
                *n += u64::from(partitioner.place(key, n_partitions) == number);
            }
            Ok(())
        })?;
    }
    choose(topic, n_keys, &n_explained)
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

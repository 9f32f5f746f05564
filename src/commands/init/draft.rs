//! What `init` proposes and writes. Asks nothing and writes no file. Called by `init`.

use crate::config::Kafka;
use crate::kafka::admin::Refusal;

/// Partitions that `check --create-topics` gives a topic that is missing.
const PARTITIONS_DEFAULT: usize = 12;
/// Lanes that a configuration may have.
const WORKERS_MAX: usize = 64;
/// Topics that are named beside the proposed one.
const OTHERS_MAX: usize = 5;
/// The longest name that leaves room for an ending within Kafka's 249.
const NAME_BYTES_MAX: usize = 245;

/// Words in the names of topics that hold what customers did, the most telling first.
const TELLING: [&str; 7] =
    ["checkout", "order", "purchase", "sale", "payment", "transaction", "event"];
/// Words in the names of topics that somebody makes of such a topic.
const DERIVED: [&str; 9] =
    ["changelog", "dead", "dlq", "error", "model", "repartition", "retry", "score", "signal"];

/// A configuration to begin with.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    kafka: &'a Kafka,
    /// The proposed input, and its partition count if it exists.
    input: (String, Option<usize>),
    /// Others that it might be.
    others: Vec<String>,
    workers: usize,
    n_cores: usize,
    /// What the brokers seem to want of a client.
    wanted: &'static str,
}

impl<'a> Draft<'a> {
    /// What the brokers told, or why they did not, as a proposal.
    pub(super) fn new(
        kafka: &'a Kafka,
        topics: &Result<Vec<(String, usize)>, Refusal>,
        n_cores: usize,
    ) -> Self {
        let mut likely: Vec<(usize, &str, usize)> = topics
            .iter()
            .flatten()
            .filter_map(|(name, n)| Some((rank(name, kafka)?, name.as_str(), *n)))
            .collect();
        likely.sort_by_key(|&(rank, name, _)| (rank, name.len(), name));
        let input = match likely.first() {
            Some(&(_, name, n_partitions)) => (name.to_owned(), Some(n_partitions)),
            None => (kafka.input_topic.clone(), None),
        };
        let others = likely.iter().skip(1).take(OTHERS_MAX).map(|(_, name, _)| format!("`{name}`"));
        let n_partitions = input.1.unwrap_or(PARTITIONS_DEFAULT);
        Self {
            kafka,
            others: others.collect(),
            workers: n_cores.min(n_partitions).clamp(1, WORKERS_MAX),
            input,
            n_cores,
            wanted: topics.as_ref().err().map_or("", wanted),
        }
    }

    /// The file's text, for a file of this name.
    pub(super) fn text(&self, file: &str, time_zone: &str) -> String {
        let Self { kafka, input: (input, n_partitions), others, workers, n_cores, wanted } = self;
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let there = match n_partitions {
            Some(n_partitions) => format!("this one exists, with {n_partitions} partitions"),
            None => "`check --create-topics` creates it where it is missing".to_owned(),
        };
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!("\n# It might also be {}.", others.join(", ")),
        };
        let dlq = if *input == kafka.input_topic || input.len() > NAME_BYTES_MAX {
            kafka.dlq_topic.clone()
        } else {
            format!("{input}.dlq")
        };
        let n_lanes = n_partitions.unwrap_or(PARTITIONS_DEFAULT);
        // A name with a line end would end the comment in which it stands.
        let file: String = file.chars().filter(|letter| !letter.is_control()).collect();
        format!(
            r#"# Lifetide's configuration. What is left out keeps its default; every key is shown by
#   lifetide config --config {file}
# Then, in this order:
#   lifetide check --config {file} --create-topics
#   lifetide run --config {file}

[kafka]
brokers = {brokers}
# The consumer group. Another one starts anew, at the oldest event.
group_id = {group}
# Checkout events, JSON, keyed by customer id: {there}.{others}
input_topic = {input}
# Events that could not be used go here, with the reason in their headers.
dlq_topic = {dlq}

# TLS and a login, by librdkafka's own names.{wanted} The password stands in a file, or in the
# environment: LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD.
# [kafka.client]
# "security.protocol" = "SASL_SSL"
# "ssl.ca.location" = "/etc/lifetide/kafka-ca.pem"
# "sasl.mechanism" = "SCRAM-SHA-512"
# "sasl.username" = "lifetide"
# "sasl.password.file" = "/run/secrets/kafka-password"

[processing]
# State made under one currency or time zone is refused under another: choose both now.
currency = {currency}
time_zone = {time_zone}
# Lanes: one works on each of {n_lanes} partitions at most, and this machine has {n_cores} cores.
workers = {workers}

[churn]
# Before history is loaded: what is dated earlier changes state and raises no signal.
# signals_from = "2026-01-01T00:00:00Z"

[segments.tiers]
# Value tiers: a name and its lowest historic value, in `currency`.
low = "0"
medium = "100"
high = "500"

[http]
# Metrics, probes and look-ups. Any other address than loopback needs a token.
listen = "127.0.0.1:9464"
# token_file = "/run/secrets/lifetide-token"
"#,
            brokers = quoted(&kafka.brokers),
            group = quoted(&kafka.group_id),
            input = quoted(input),
            dlq = quoted(&dlq),
            currency = quoted("USD"),
            time_zone = quoted(time_zone),
        )
    }
}

/// How likely the topic is the input, 0 first; `None` if it is not.
fn rank(name: &str, kafka: &Kafka) -> Option<usize> {
    if name == kafka.input_topic {
        return Some(0);
    }
    let lower = name.to_lowercase();
    let is_ours = kafka.topics().iter().any(|(_, topic)| *topic == name);
    if is_ours || lower.starts_with('_') || DERIVED.iter().any(|word| lower.contains(word)) {
        return None;
    }
    TELLING.iter().position(|word| lower.contains(word)).map(|rank| rank + 1)
}

/// What the client needs, as far as the way in which the brokers did not answer tells.
fn wanted(refusal: &Refusal) -> &'static str {
    let what = refusal.what.to_lowercase();
    if what.contains("ssl listener") || what.contains("certificate") || what.contains("tls") {
        " These brokers seem to want TLS."
    } else if what.contains("sasl") || what.contains("login") {
        " These brokers seem to want a login."
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, File, Sources, load};

    fn configuration(text: &str) -> Config {
        let sources = Sources { file: Some(File { name: "t", text }), ..Sources::only(&[]) };
        load(&sources).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
    }

    /// Of these topics this one is proposed, with so many lanes on eight cores.
    fn check(topics: &[(&str, usize)], input: &str, dlq: &str, workers: u32) -> String {
        let own = configuration("kafka.brokers = \"a:1,b:2\"");
        let topics = Ok(topics.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect());
        let text = Draft::new(&own.kafka, &topics, 8).text("my\n.toml", "Europe/Berlin");
        let read = configuration(&text);
        assert_eq!(read.kafka.brokers, "a:1,b:2");
        assert_eq!((&*read.kafka.input_topic, &*read.kafka.dlq_topic), (input, dlq), "{text}");
        assert_eq!(read.processing.workers, workers, "{text}");
        assert_eq!(read.processing.time_zone.iana_name(), Some("Europe/Berlin"));
        text
    }

    #[test]
    fn the_likeliest_topic_is_proposed_and_the_file_can_be_loaded() {
        let (input, dlq) = ("checkout.events", "checkout.events.dlq");
        check(&[], input, dlq, 8);
        check(&[("checkout.events", 3), ("shop-orders", 6)], input, dlq, 3);
        let text = check(
            &[("page.events", 9), ("shop-orders", 6), ("orders.dlq", 1), ("__orders", 1)],
            "shop-orders",
            "shop-orders.dlq",
            6,
        );
        assert!(text.contains("# It might also be `page.events`."), "{text}");
        check(&[("customer.scores", 3), ("churn.signals", 3), ("weather", 3)], input, dlq, 8);
        check(&[("sales", 100)], "sales", "sales.dlq", 8);
    }

    #[test]
    fn without_an_answer_the_defaults_are_written_with_what_the_silence_tells() {
        let own = configuration("");
        for (what, expect) in [
            ("incorrect security.protocol (connecting to a SSL listener?)", "want TLS"),
            ("verify that security.protocol … might require SASL authentication", "want a login"),
            ("connection refused", "own names. The password"),
        ] {
            let text = Draft::new(&own.kafka, &Err(Refusal::new(what)), 4).text("m", "UTC");
            assert!(text.contains(expect), "{what}: {text}");
            assert_eq!(configuration(&text).processing.workers, 4);
        }
    }
}

//! What was likely meant by a key that does not exist, or by a table that was given as a value, in
//! the form of the layer where it stands. Judges no value. Called by `read` at its end.

use std::collections::BTreeSet;

use super::client::{COMMON_SETTINGS, set_by_file};
use super::faults::{Origin, nearest};
use super::layers::{
    ENVIRONMENT_PREFIX, FREE_TABLES, NEAR_PREFIX, is_table, variable_meant, variable_of,
};

/// Names from other programs for what is called otherwise here.
const SYNONYMS: [(&str, &str); 18] = [
    ("address", "http.listen"),
    ("bootstrap.servers", "kafka.brokers"),
    ("bootstrap_servers", "kafka.brokers"),
    ("broker_list", "kafka.brokers"),
    ("consumer_group", "kafka.group_id"),
    ("dead_letter_topic", "kafka.dlq_topic"),
    ("group", "kafka.group_id"),
    ("group.id", "kafka.group_id"),
    ("hosts", "kafka.brokers"),
    ("lanes", "processing.workers"),
    ("port", "http.listen"),
    ("servers", "kafka.brokers"),
    ("state_topic", "kafka.changelog_topic"),
    ("threads", "processing.workers"),
    ("token", "http.token_file"),
    ("topic", "kafka.input_topic"),
    ("tz", "processing.time_zone"),
    ("url", "kafka.brokers"),
];

/// What to write instead of the key.
pub(super) fn remedy(key: &str, origin: &Origin, known: &BTreeSet<&'static str>) -> String {
    if is_table(key) {
        return format!("`{key}` is a table; {}", inside(key));
    }
    if let Origin::Environment(variable) = origin
        && let Some(path) = variable.strip_prefix(ENVIRONMENT_PREFIX)
        && let Some(meant) = variable_meant(&format!("{NEAR_PREFIX}{path}"), known.iter().copied())
    {
        return format!("no such key; did you mean `{meant}`?");
    }
    match meant(key, known) {
        Some(meant) if matches!(origin, Origin::Environment(_)) => {
            format!("no such key; did you mean `{}`?", variable_of(&meant))
        }
        Some(meant) => format!("no such key; did you mean `{meant}`?"),
        None => "no such key; `config/lifetide.toml` lists them all".to_owned(),
    }
}

/// How the table is written.
fn inside(table: &str) -> &'static str {
    match table {
        "segments" | "segments.tiers" => {
            "a name and its lowest value a line, as in `low = \"0\"` under `[segments.tiers]`"
        }
        "processing.rates" => {
            "a currency and its worth a line, as in `EUR = \"1.08\"` under `[processing.rates]`"
        }
        "kafka.client" => {
            "a setting a line, as in `\"security.protocol\" = \"SASL_SSL\"` under `[kafka.client]`"
        }
        _ => "set keys inside it",
    }
}

fn meant(key: &str, known: &BTreeSet<&'static str>) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    if known.contains(lower.as_str()) {
        return Some(lower);
    }
    let name = lower.split_once('.').filter(|(section, _)| is_table(section));
    let name = name.map_or(lower.as_str(), |(_, name)| name);
    if let Some((_, meant)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == name) {
        return Some((*meant).to_owned());
    }
    // A setting of librdkafka's outside its table.
    let setting = name.replace('_', ".");
    let stem = set_by_file(&setting).unwrap_or(&setting);
    if COMMON_SETTINGS.contains(&stem) {
        return Some(format!("kafka.client.{setting}"));
    }
    in_free_table(key).or_else(|| nearest(&lower, known.iter().copied()).map(str::to_owned))
}

/// A name of the user's own under a table whose name is nearly right.
fn in_free_table(key: &str) -> Option<String> {
    if let Some(tier) = key.strip_prefix("segments.").filter(|tier| !tier.contains('.')) {
        return Some(format!("segments.tiers.{tier}"));
    }
    key.match_indices('.').find_map(|(at, _)| {
        let (table, name) = (key.get(..at)?.to_ascii_lowercase(), key.get(at + 1..)?);
        // A section is no slip for the table inside it.
        let meant = nearest(&table, FREE_TABLES.into_iter()).filter(|_| !is_table(&table))?;
        Some(format!("{meant}.{name}"))
    })
}

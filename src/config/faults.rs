//! Configuration faults: what is wrong with which key, where its value came from, and what to do.
//! Collected, never thrown one by one, so that a person mends a configuration in one go. Secrets
//! are masked before they get here. Made by the other files of `config`, printed by `commands`.

use std::fmt;
use std::path::Path;

use super::client::set_by_file;

/// The layer from which a value came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// The configuration file of this name.
    File(String),
    /// The environment variable of this name.
    Environment(String),
    /// A `--set` argument.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) => write!(f, "file {name}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key with its section, as in `processing.workers`.
    pub key: String,
    /// The value as it was given; masked if the key may hold a secret.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What must hold, or what to write instead.
    pub remedy: String,
}

impl Fault {
    /// A fault of the key. Its value is masked if it may be a secret.
    pub fn new(key: &str, value: &str, origin: Origin, remedy: impl Into<String>) -> Self {
        let is_hidden = is_masked(key) && !value.is_empty() && !is_shown_path(key, value);
        let value = if is_hidden { MASK } else { value };
        Self { key: key.to_owned(), value: value.to_owned(), origin, remedy: remedy.into() }
    }
}

impl Fault {
    /// What is so, without what to do about it.
    pub fn what(&self) -> String {
        let Self { key, value, origin, .. } = self;
        if value.is_empty() && *origin == Origin::Default {
            return format!("`{key}` is not set");
        }
        format!("`{key}` is `{value}` ({origin})")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what(), self.remedy)
    }
}

/// Everything that is wrong with a configuration, one fault a line. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let line_end = if i == 0 { "" } else { "\n" };
            write!(f, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

/// An argument or a file named in the configuration that cannot be acted on, found after both were
/// read: what it is, and what to do. It counts as bad usage, as [`ConfigFaults`] do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// The table of librdkafka's own settings.
const CLIENT_TABLE: &str = "kafka.client";

/// librdkafka's settings whose values are no secrets. At any other name a password may stand, also
/// at a mistaken one, and it is masked.
const SHOWN_SETTINGS: [&str; 22] = [
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "debug",
    "enable.ssl.certificate.verification",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "linger.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "security.protocol",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.endpoint.identification.algorithm",
];

/// Whether the key's value must not be printed.
pub(super) fn is_masked(key: &str) -> bool {
    match key.strip_prefix(CLIENT_TABLE) {
        Some(name) => !SHOWN_SETTINGS.contains(&name.trim_start_matches('.')),
        None => is_secret(key),
    }
}

/// Whether the value at the key is the path of a file, which is no secret as what it holds may be.
/// What is no path may be the secret itself, put there by mistake.
fn is_shown_path(key: &str, value: &str) -> bool {
    let name = key.strip_prefix(CLIENT_TABLE).and_then(|name| name.strip_prefix('.'));
    name.and_then(set_by_file).is_some() && Path::new(value).is_absolute()
}

/// Stands where a secret would be printed.
pub(super) const MASK: &str = "***";

/// Whether a key of this name may hold a password, a private key or a token; where one lies is
/// none.
pub(crate) fn is_secret(key: &str) -> bool {
    if key == "http.token_file" {
        return false;
    }
    // A variable has underscores for dots, and so may a key by mistake.
    let key = key.to_ascii_lowercase().replace('_', ".");
    !key.ends_with(".location")
        && ["password", "secret", "key", "token", "jaas", "oauthbearer.config", "pem"]
            .iter()
            .any(|word| key.contains(word))
}

/// The candidate that was most likely meant by `wrong`, if any is near enough to be worth saying.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    candidates
        .map(|candidate| {
            // A right name in the wrong section is a slip of its own kind, whatever the distance.
            let n_edits =
                if last(candidate) == last(wrong) { 1 } else { edit_distance(wrong, candidate) };
            (n_edits, candidate)
        })
        .filter(|(n_edits, _)| *n_edits <= 2 + wrong.len() / 8)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The candidate that was most likely meant by `wrong` as a whole, whatever its case.
pub(crate) fn nearest_word<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    let n_edits_max = 1 + wrong.len() / 4;
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(n_edits, _)| *n_edits <= n_edits_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The rule of a key that takes one of these words, and which was likely meant.
pub(super) fn one_of(given: &str, choices: &[&str]) -> String {
    let (last, others) = choices.split_last().unwrap_or((&"", &[]));
    let others: Vec<String> = others.iter().map(|choice| format!("`{choice}`")).collect();
    let rule = format!("must be {} or `{last}`", others.join(", "));
    match nearest_word(given, choices.iter().copied()) {
        Some(meant) => format!("{rule}; did you mean `{meant}`?"),
        None => rule,
    }
}

/// Levenshtein's distance: how many letters to insert, delete or replace.
pub(crate) fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for k in 0..to.len() {
            let replaced = diagonal + usize::from(letter != to[k]);
            diagonal = row[k + 1];
            row[k + 1] = replaced.min(row[k] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_letters() {
        for (from, to, n_edits) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "b", 1)]
        {
            assert_eq!(edit_distance(from, to), n_edits, "{from} {to}");
        }
    }

    #[test]
    fn the_nearest_key_is_named_only_when_it_is_near() {
        let keys = ["kafka.brokers", "kafka.group_id", "processing.workers"];
        let nearest = |wrong| nearest(wrong, keys.into_iter());
        assert_eq!(nearest("kafka.broker"), Some("kafka.brokers"));
        assert_eq!(nearest("processing.group_id"), Some("kafka.group_id"));
        assert_eq!(nearest("procesing.wrokers"), Some("processing.workers"));
        assert_eq!(nearest("http.address"), None);
    }
}

//! The layers of a configuration, flattened to dotted keys: file, then environment, then `--set`.
//! Knows which keys are tables, nothing of what the others mean. Called by `config::load`.

use std::collections::BTreeMap;

use super::Sources;
use super::client::{FILE_SUFFIX, set_by_file};
use super::faults::{Fault, Origin};

/// What every environment variable of Lifetide's begins with. The two underscores keep it apart
/// from what Kubernetes sets for a service that is called `lifetide`.
pub(super) const ENVIRONMENT_PREFIX: &str = "LIFETIDE__";

/// What a variable begins with whose writer may have meant `LIFETIDE__`.
pub const NEAR_PREFIX: &str = "LIFETIDE_";

/// The sections of the file.
const SECTIONS: [&str; 7] = ["kafka", "processing", "model", "churn", "segments", "http", "log"];

/// The tables whose names are the user's own. Giving one as a whole replaces what was there.
pub(super) const FREE_TABLES: [&str; 3] = ["kafka.client", "processing.rates", "segments.tiers"];

/// Whether the key is a section or a table, and so has no value of its own.
pub(super) fn is_table(key: &str) -> bool {
    SECTIONS.contains(&key) || FREE_TABLES.contains(&key)
}

/// One value with its origin. It may be a secret, so that it has no debug output.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) value: toml::Value,
    /// The text as it stood in the environment or in `--set`, for keys that take any text.
    pub(super) raw: Option<String>,
    pub(super) origin: Origin,
}

/// Flat keys and their values after all layers, and what could not be read at all.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) faults: Vec<Fault>,
    /// The file could not be read as TOML: what else is missing may stand in it.
    pub(super) is_broken: bool,
}

impl Layers {
    /// Puts the layers upon each other, the strongest last.
    pub(super) fn from_sources(sources: &Sources<'_>) -> Self {
        let mut layers = Self::default();
        if let Some(file) = &sources.file {
            layers.put_file(file.name, file.text);
        }
        let mut variables: Vec<_> = sources.environment.iter().collect();
        // A whole table sorts before its single keys, which then add to it.
        variables.sort();
        for (variable, text) in variables {
            if let Some(path) = variable.strip_prefix(ENVIRONMENT_PREFIX) {
                let key = key_of_variable(path);
                layers.put_text(key, text, &Origin::Environment(variable.clone()));
            }
        }
        for argument in sources.sets {
            match argument.split_once('=') {
                Some((key, text)) => {
                    layers.put_text(key.trim().to_owned(), text.trim(), &Origin::Set);
                }
                // Behind a blank or a colon stands what was meant as the value, maybe a secret.
                None => layers.faults.push(Fault::new(
                    argument.trim_start().split([' ', '\t', ':']).next().unwrap_or_default(),
                    "",
                    Origin::Set,
                    "must be a key and a value, as in `--set processing.workers=4`",
                )),
            }
        }
        layers
    }

    fn put_file(&mut self, name: &str, text: &str) {
        let origin = Origin::File(name.to_owned());
        match text.parse::<toml::Table>() {
            Ok(table) => {
                for (key, value) in table {
                    self.put(key, value, None, &origin);
                }
            }
            Err(error) => {
                // Only the message: the parser's own display quotes the line, secrets included.
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
                let line = 1 + before.matches('\n').count();
                let remedy = format!("not TOML: {}", error.message().replace('\n', ", "));
                self.faults.push(Fault::new("line", &line.to_string(), origin, remedy));
                self.is_broken = true;
            }
        }
    }

    fn put_text(&mut self, key: String, text: &str, origin: &Origin) {
        let plain = || toml::Value::String(text.to_owned());
        let value = match text.parse::<toml::Value>() {
            // A password may look like a table; only where a table belongs is it one.
            Ok(value) if !value.is_table() || is_table(&key) => value,
            Ok(_) | Err(_) => plain(),
        };
        self.put(key, value, Some(text), origin);
    }

    fn put(&mut self, key: String, value: toml::Value, raw: Option<&str>, origin: &Origin) {
        let toml::Value::Table(table) = value else {
            self.drop_weaker_form(&key, origin);
            let entry = Entry { value, raw: raw.map(str::to_owned), origin: origin.clone() };
            self.entries.insert(key, entry);
            return;
        };
        if FREE_TABLES.contains(&key.as_str()) {
            let inside = format!("{key}.");
            self.entries.retain(|known, _| !known.starts_with(&inside));
        }
        for (name, value) in table {
            self.put(format!("{key}.{name}"), value, None, origin);
        }
    }

    /// A setting that a weaker layer gives by a file gives way to its value here, and the other way
    /// round. In one layer both stay, and are found to be two.
    fn drop_weaker_form(&mut self, key: &str, origin: &Origin) {
        let Some(name) = key.strip_prefix("kafka.client.") else { return };
        let other = match set_by_file(name) {
            Some(setting) => format!("kafka.client.{setting}"),
            None => format!("{key}{FILE_SUFFIX}"),
        };
        let is_weaker = |entry: &Entry| !is_same_layer(&entry.origin, origin);
        if self.entries.get(&other).is_some_and(is_weaker) {
            self.entries.remove(&other);
        }
    }
}

/// Whether two values stand in one layer, where neither is stronger.
fn is_same_layer(one: &Origin, other: &Origin) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// The variable of a key.
pub(super) fn variable_of(key: &str) -> String {
    let path = match key.strip_prefix("kafka.client.") {
        Some(name) => format!("kafka__client__{}", name.replace('.', "_")),
        None => key.replace('.', "__"),
    };
    ENVIRONMENT_PREFIX.to_owned() + &path.to_ascii_uppercase()
}

/// The name to write instead of this variable, if it is a key of ours but for its underscores: one
/// is not enough, and nothing would say so. What else begins alike is somebody else's.
pub(super) fn variable_meant<'a>(
    variable: &str,
    mut known: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let path = variable.strip_prefix(NEAR_PREFIX).filter(|path| !path.starts_with('_'))?;
    let flat = path.replace("__", "_").to_ascii_lowercase();
    let is_in = |table: &str| flat.starts_with(&(table.replace('.', "_") + "_"));
    let key = match FREE_TABLES.iter().find(|table| is_in(table)) {
        Some(table) => format!("{table}.{}", flat.get(table.len() + 1..)?),
        None => known.find(|key| key.replace('.', "_") == flat)?.to_owned(),
    };
    Some(variable_of(&key))
}

/// `KAFKA__BROKERS` as `kafka.brokers`. librdkafka's own names have dots, which a variable cannot:
/// there one underscore is a dot as well. Currency codes stay capital.
fn key_of_variable(path: &str) -> String {
    let key = path.replace("__", ".").to_ascii_lowercase();
    if let Some(name) = key.strip_prefix("kafka.client.") {
        return format!("kafka.client.{}", name.replace('_', "."));
    }
    match key.strip_prefix("processing.rates.") {
        Some(code) => format!("processing.rates.{}", code.to_ascii_uppercase()),
        None => key,
    }
}

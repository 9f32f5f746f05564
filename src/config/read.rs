//! Typed reading of flat entries: each key is asked for once, with its default, and every fault is
//! kept. Knows kinds of values, not what the keys mean. Called by `config::sections`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::faults::{Fault, Origin};
use super::layers::{Entry, FREE_TABLES, Layers, is_table, variable_meant};
use super::unknown;

/// Reads values out of the layers and remembers which keys exist and what was wrong.
pub(super) struct Reader {
    entries: BTreeMap<String, Entry>,
    known: BTreeSet<&'static str>,
    faults: Vec<Fault>,
}

impl Reader {
    pub(super) fn new(layers: Layers) -> Self {
        Self { entries: layers.entries, known: BTreeSet::new(), faults: layers.faults }
    }

    /// The key's value as `read` understands it; the default where it is absent or wrong.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Entry) -> Result<T, String>,
    ) -> T {
        self.known.insert(key);
        match self.entries.get(key).map(read) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(remedy)) => {
                self.fault(key, "", remedy);
                default
            }
        }
    }

    /// The entries of a free table by name, each as `read` understands it; wrong ones are left out.
    pub(super) fn table<T>(
        &mut self,
        table: &'static str,
        mut read: impl FnMut(&str, &Entry) -> Result<T, String>,
    ) -> Vec<(String, T)> {
        self.known.insert(table);
        let inside = format!("{table}.");
        let mut values = Vec::new();
        for (key, entry) in &self.entries {
            let Some(name) = key.strip_prefix(&inside) else { continue };
            match read(name, entry) {
                Ok(value) => values.push((name.to_owned(), value)),
                Err(remedy) => {
                    self.faults.push(Fault::new(key, &entry.text(), entry.origin.clone(), remedy));
                }
            }
        }
        values
    }

    /// Notes a fault of the key with the value and origin it has, or `default` where none is set.
    pub(super) fn fault(&mut self, key: &str, default: impl Display, remedy: impl Into<String>) {
        let fault = match self.entries.get(key) {
            Some(entry) => Fault::new(key, &entry.text(), entry.origin.clone(), remedy),
            None => Fault::new(key, &default.to_string(), Origin::Default, remedy),
        };
        self.faults.push(fault);
    }

    /// Whether anything, in any layer, stands inside the table.
    pub(super) fn has_table(&self, table: &str) -> bool {
        let inside = format!("{table}.");
        self.entries.keys().any(|key| key.starts_with(&inside))
    }

    /// Whether any layer sets the key, rightly or wrongly.
    pub(super) fn has_entry(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether a fault has been noted inside the table.
    pub(super) fn has_fault_in(&self, table: &str) -> bool {
        self.faults.iter().any(|fault| fault.key.starts_with(table))
    }

    /// All faults, those of keys that nobody asked for included, and the values by key.
    pub(super) fn finish(mut self) -> (Vec<Fault>, BTreeMap<String, Entry>) {
        let in_free_table = |key: &str| {
            FREE_TABLES
                .iter()
                .any(|table| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')))
        };
        for (key, entry) in &self.entries {
            if (self.known.contains(key.as_str()) && !is_table(key)) || in_free_table(key) {
                continue;
            }
            let remedy = unknown::remedy(key, &entry.origin, &self.known);
            self.faults.push(Fault::new(key, &entry.text(), entry.origin.clone(), remedy));
        }
        (self.faults, self.entries)
    }

    /// Notes variables of the environment that nearly are ours, once all keys were asked for.
    pub(super) fn check_environment(&mut self, environment: &[(String, String)]) {
        for (variable, value) in environment {
            if let Some(meant) = variable_meant(variable, self.known.iter().copied()) {
                let origin = Origin::Environment(variable.clone());
                let remedy = format!("it is not read so; write `{meant}`, or unset it");
                self.faults.push(Fault::new(variable, value, origin, remedy));
            }
        }
    }

    /// Every key that has been asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeSet<&'static str> {
        &self.known
    }
}

impl Entry {
    /// The value as text: what was written where that is known, else TOML's own form.
    pub(super) fn text(&self) -> String {
        match (&self.value, &self.raw) {
            (toml::Value::String(text), _) | (_, Some(text)) => text.clone(),
            // Whoever gives tables where none belong may have a password in one.
            (toml::Value::Array(items), _) if items.iter().any(toml::Value::is_table) => {
                "[…]".to_owned()
            }
            (value, None) => value.to_string(),
        }
    }

    /// A string; from the environment and `--set` anything is one.
    pub(super) fn string(&self) -> Result<String, String> {
        if self.value.is_str() || self.raw.is_some() {
            Ok(self.text())
        } else {
            Err("must be a string in quotes".to_owned())
        }
    }

    /// A string of letters, digits, `.`, `_` and `-`: what Kafka allows for names.
    pub(super) fn name(&self, n_bytes_max: usize) -> Result<String, String> {
        let text = self.string()?;
        plain_name(&text, n_bytes_max)?;
        Ok(text)
    }

    /// A path; an empty string is none.
    pub(super) fn path(&self) -> Result<Option<PathBuf>, String> {
        let text = self.string()?;
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, String> {
        self.value.as_bool().ok_or_else(|| {
            let rule = "must be `true` or `false`";
            match self.value.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("true" | "false") => format!("{rule}, without quotes"),
                Some("yes" | "on" | "y") => format!("{rule}; did you mean `true`?"),
                Some("no" | "off" | "n") => format!("{rule}; did you mean `false`?"),
                _ => rule.to_owned(),
            }
        })
    }

    /// What a text that should be a number has beside it, to end a rule with.
    fn beside_number(&self) -> &'static str {
        let Some(text) = self.value.as_str().map(str::trim) else { return "" };
        let unit = text.trim_start_matches(|letter: char| {
            letter.is_ascii_digit() || matches!(letter, '.' | '-' | '+' | '_')
        });
        if text.parse::<f64>().is_ok_and(f64::is_finite) {
            ", without quotes"
        } else if text.replacen(',', ".", 1).parse::<f64>().is_ok() {
            ", with a point before the decimals"
        } else if unit.len() < text.len() && unit.trim().chars().all(char::is_alphabetic) {
            ", without a unit: the key has it"
        } else {
            ""
        }
    }

    /// A whole number of the range.
    pub(super) fn whole<T>(&self, range: RangeInclusive<T>) -> Result<T, String>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let value = self.value.as_integer().and_then(|value| T::try_from(value).ok());
        value.filter(|value| range.contains(value)).ok_or_else(|| {
            let beside = self.beside_number();
            format!("must be a whole number from `{}` to `{}`{beside}", range.start(), range.end())
        })
    }

    /// A number for which `holds`; `rule` says the same in words.
    pub(super) fn number(&self, holds: impl Fn(f64) -> bool, rule: &str) -> Result<f64, String> {
        let value = match &self.value {
            toml::Value::Float(value) => Some(*value),
            // Seventeen digits are more than any key needs; a longer number fails its rule anyway.
            toml::Value::Integer(value) => value.to_string().parse().ok(),
            toml::Value::String(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => None,
        };
        let beside = self.beside_number();
        value
            .filter(|value| holds(*value))
            .ok_or_else(|| format!("must be a number {rule}{beside}"))
    }

    /// The digits of a decimal string or of a number.
    pub(super) fn decimal(&self) -> Result<String, String> {
        match &self.value {
            toml::Value::String(text) => Ok(text.clone()),
            // The shortest digits that read back as this number: what was written, in practice.
            toml::Value::Float(value) => Ok(value.to_string()),
            toml::Value::Integer(value) => Ok(value.to_string()),
            toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => {
                Err("must be a decimal string such as `\"1.08\"`, or a number".to_owned())
            }
        }
    }
}

/// Whether the text is a name of letters, digits, `.`, `_` and `-`.
pub(super) fn plain_name(text: &str, n_bytes_max: usize) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=n_bytes_max).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(());
    }
    Err(format!("must be 1 to {n_bytes_max} letters, digits, `.`, `_` or `-`, nothing else"))
}

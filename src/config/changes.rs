//! What tells two configurations apart, key by key, and what a running process takes of a new one.
//! It applies nothing: `reload` does. Values that may be secrets are compared and never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Config;
use super::faults::{MASK, is_masked};

/// Every key with its value.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<String, Value>);

#[derive(Clone)]
struct Value {
    /// What was understood.
    exact: String,
    /// What was written, if anything was.
    text: Option<String>,
}

/// A key whose value is another in a new configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The value in force.
    pub running: String,
    /// The new one.
    pub new: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` `{}` -> `{}`", self.key, self.running, self.new)
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What can change between two transactions, or concerns none.
const TAKEN: [&str; 8] = [
    "http.token_file",
    "log.level",
    "model.discount_monthly",
    "model.file",
    "model.horizon_months",
    "model.orders_horizon_days",
    "model.pin",
    "model.retention_months",
];
/// The same of `[churn]`: limits of judgements, of which no state is made.
const TAKEN_SECTION: &str = "churn.";
/// … and the one that stands elsewhere.
const TAKEN_DRIFT: &str = "processing.score_drift_max";

impl Values {
    pub(super) fn note(&mut self, key: &str, value: &impl fmt::Debug, text: Option<String>) {
        self.0.insert(key.to_owned(), Value { exact: format!("{value:?}"), text });
    }

    /// The keys whose values differ.
    fn changes(&self, new: &Self) -> Vec<Change> {
        let keys: BTreeSet<&String> = self.0.keys().chain(new.0.keys()).collect();
        let exact = |values: &Self, key: &str| values.0.get(key).map(|it| it.exact.clone());
        let changed = keys.into_iter().filter(|key| exact(self, key) != exact(new, key));
        let change = |key: &String| Change {
            key: key.clone(),
            running: self.shown(key),
            new: new.shown(key),
        };
        changed.map(change).collect()
    }

    fn shown(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(Value { text: Some(text), .. }) if is_masked(key) && !text.is_empty() => {
                MASK.to_owned()
            }
            Some(Value { text: Some(text), .. }) => text.clone(),
            // The default; of a key that may be left out it is to leave it out.
            Some(Value { exact, text: None }) if exact != "None" => exact.replace('"', ""),
            Some(_) | None => String::new(),
        }
    }
}

impl Config {
    /// This configuration as it runs on with what can be taken of a new one, what that is, and what
    /// waits for a restart. The values are those of the two, and become those of what runs.
    pub fn take(
        &self,
        values: &mut Values,
        new: &Self,
        new_values: &Values,
    ) -> (Self, Vec<Change>, Vec<Change>) {
        let mut config = self.clone();
        config.churn = new.churn.clone();
        config.processing.score_drift_max = new.processing.score_drift_max;
        config.http.token_file.clone_from(&new.http.token_file);
        config.log = new.log.clone();
        // Whether models come from a file or the stream is how the parts are wired.
        let has_same_origin = self.model.file.is_some() == new.model.file.is_some();
        let origin = if has_same_origin { &new.model } else { &self.model };
        config.model = super::ModelChoice {
            file: origin.file.clone(),
            pin: origin.pin.clone(),
            fit_every_days: self.model.fit_every_days,
            ..new.model
        };
        let is_taken = |key: &str| {
            (TAKEN.contains(&key) || key.starts_with(TAKEN_SECTION) || key == TAKEN_DRIFT)
                && (has_same_origin || !["model.file", "model.pin"].contains(&key))
        };
        let is_same_table = |key: &str| {
            (key.starts_with("segments.") && self.segments == new.segments)
                || (key.starts_with("processing.rates.")
                    && self.processing.rates == new.processing.rates)
        };
        let changes = values.changes(new_values).into_iter();
        let (taken, left): (Vec<_>, Vec<_>) = changes
            .filter(|change| !is_same_table(&change.key))
            .partition(|change| is_taken(&change.key));
        for Change { key, .. } in &taken {
            if let Some(value) = new_values.0.get(key) {
                values.0.insert(key.clone(), value.clone());
            }
        }
        (config, taken, left)
    }
}

#[cfg(test)]
mod tests {
    use super::super::load_with_values;
    use super::super::tests::sources;
    use super::*;

    fn read(text: &str) -> (Config, Values) {
        load_with_values(&sources(text, &[], &[])).unwrap()
    }

    /// What is taken of a new file and what waits, each as `key: running -> new`.
    fn changes(running: &str, new: &str) -> (Config, [Vec<String>; 2]) {
        let ((running, mut values), (new, new_values)) = (read(running), read(new));
        let (config, taken, left) = running.take(&mut values, &new, &new_values);
        let (_, again, still_left) = config.take(&mut values, &new, &new_values);
        assert_eq!((again, &still_left), (Vec::new(), &left), "what is taken is taken once");
        (config, [taken, left].map(|changes| changes.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn of_a_new_configuration_is_taken_what_is_safe_and_the_rest_is_named() {
        let running = "[processing]\nworkers = 2\n[http]\ntoken_file = \"a\"\n\
                       [model]\nfile = \"m\"\n[processing.rates]\nEUR = \"1.08\"\n\
                       [kafka.client]\n\"sasl.password\" = \"hunter2\"\n\"client.id\" = \"a\"";
        let new = "[processing]\nworkers = 3\nscore_drift_max = 0.2\n[http]\ntoken_file = \"b\"\n\
                   [churn]\nlapse_days_single = 90\nlapse_days_min = 14\n\
                   [segments.tiers]\nall = 0\n[processing.rates]\nEUR = 1.080\n\
                   [model]\nfile = \"n\"\npin = \"x/1\"\nhorizon_months = 24\nfit_every_days = 1\n\
                   [log]\nlevel = \"debug\"\n[kafka.client]\n\"sasl.password\" = \"hunter3\"";
        let (config, [taken, left]) = changes(running, new);
        assert_eq!(
            taken,
            [
                "`churn.lapse_days_single` `180` -> `90`",
                "`http.token_file` `a` -> `b`",
                "`log.level` `` -> `debug`",
                "`model.file` `m` -> `n`",
                "`model.horizon_months` `12` -> `24`",
                "`model.pin` `` -> `x/1`",
                "`processing.score_drift_max` `0.1` -> `0.2`",
            ]
        );
        assert_eq!(
            left,
            [
                "`kafka.client.client.id` `a` -> ``",
                "`kafka.client.sasl.password` `***` -> `***`",
                "`model.fit_every_days` `7` -> `1`",
                "`processing.workers` `2` -> `3`",
                "`segments.tiers.all` `` -> `0`",
            ]
        );
        let as_new = read(new).0;
        assert_eq!(
            (&config.churn, &config.log, &config.http),
            (&as_new.churn, &as_new.log, &as_new.http)
        );
        assert_eq!((config.processing.workers, config.model.fit_every_days), (2, 7));
        assert_eq!((config.model.file, config.model.pin), (as_new.model.file, as_new.model.pin));
    }

    #[test]
    fn whether_models_come_from_a_file_or_the_stream_waits_for_a_restart() {
        let with_file = "[model]\nfile = \"m\"\npin = \"x/1\"\nhorizon_months = 6";
        let (config, [taken, left]) = changes("", with_file);
        assert_eq!(taken, ["`model.horizon_months` `12` -> `6`"]);
        assert_eq!(left, ["`model.file` `` -> `m`", "`model.pin` `` -> `x/1`"]);
        assert_eq!((config.model.file, config.model.pin), (None, None));
    }
}

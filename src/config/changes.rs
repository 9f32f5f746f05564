//! What tells two configurations apart, key by key, and what a running process takes of a new one.
//! It applies nothing: `reload` does. Values that may be secrets are compared and never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::Value;

use super::client::set_by_file;
use super::effective::settings;
use super::faults::MASK;
use super::layers::Layers;
use super::{ConfigFaults, Loaded, Purpose, Sources, interpret};

/// What of a running process a key concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The rules by which customers are judged.
    Rules,
    /// Which model they are judged by.
    Model,
    /// Who may see customers.
    Access,
    /// What is logged.
    Log,
}

/// The keys and sections that are taken: what can change between two transactions, or concerns
/// none. Of `[churn]` no state is made. All else waits for a restart.
const TAKEN: [(&str, Effect); 10] = [
    ("churn", Effect::Rules),
    ("http.token_file", Effect::Access),
    ("log.level", Effect::Log),
    ("model.discount_monthly", Effect::Rules),
    ("model.file", Effect::Model),
    ("model.horizon_months", Effect::Rules),
    ("model.orders_horizon_days", Effect::Rules),
    ("model.pin", Effect::Model),
    ("model.retention_months", Effect::Rules),
    ("processing.score_drift_max", Effect::Rules),
];

/// librdkafka's settings. None is taken.
const CLIENT: &str = "kafka.client.";

/// A key whose value is another in a new configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The value in force.
    pub running: String,
    /// The new one.
    pub new: String,
    /// What it concerns; `None` where it waits for a restart.
    pub effect: Option<Effect>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` `{}` -> `{}`", self.key, self.running, self.new)
    }
}

impl Loaded {
    /// This configuration as it runs on with what can be taken of a new one, and all that differs.
    ///
    /// # Errors
    /// What is taken breaks a rule beside what stays.
    pub fn take(&self, new: &Self) -> Result<(Self, Vec<Change>), ConfigFaults> {
        let changes = self.changes(new);
        let mut entries = self.entries.clone();
        for Change { key, .. } in changes.iter().filter(|change| change.effect.is_some()) {
            match new.entries.get(key) {
                Some(entry) => entries.insert(key.clone(), entry.clone()),
                None => entries.remove(key),
            };
        }
        let mut layers = Layers { entries: entries.clone(), ..Layers::default() };
        layers.entries.retain(|key, _| !key.starts_with(CLIENT));
        let own = Sources { host: Some(""), purpose: Purpose::Cluster, ..Sources::only(&[]) };
        let (mut config, reader) = interpret(layers, &own);
        let (faults, _) = reader.finish();
        if !faults.is_empty() {
            return Err(ConfigFaults(faults));
        }
        // With the secrets that were read and the identity that was derived.
        config.kafka.clone_from(&self.config.kafka);
        Ok((Self { config, entries }, changes))
    }

    fn changes(&self, new: &Self) -> Vec<Change> {
        // Whether models come from a file or the stream is how the parts are wired.
        let has_same_origin = self.config.model.file.is_some() == new.config.model.file.is_some();
        let [running, other] = [self, new].map(values);
        let keys: BTreeSet<&String> = running.keys().chain(other.keys()).collect();
        let change = |key: &String| {
            let [running, new_value] = [running.get(key), other.get(key)];
            if self.is_same(new, key, running, new_value) {
                return None;
            }
            let effect = effect(key).filter(|it| *it != Effect::Model || has_same_origin);
            let [running, new] = [running, new_value].map(shown);
            // The file's name is the same, and not what it holds.
            let is_hidden = running == new;
            let [running, new] =
                [running, new].map(|it| if is_hidden { MASK.to_owned() } else { it });
            Some(Change { key: key.clone(), running, new, effect })
        };
        keys.into_iter().filter_map(change).collect()
    }

    fn is_same(&self, new: &Self, key: &str, one: Option<&Value>, other: Option<&Value>) -> bool {
        let [running, new] = [&self.config, &new.config];
        if let Some(name) = key.strip_prefix(CLIENT) {
            let setting = set_by_file(name).unwrap_or(name);
            return running.kafka.client.0.get(setting) == new.kafka.client.0.get(setting);
        }
        // One table can be written in several ways.
        let is_same_table = (key.starts_with("segments.") && running.segments == new.segments)
            || (key.starts_with("processing.rates.")
                && running.processing.rates == new.processing.rates);
        let number = |value: &Value| value.to_string().parse::<f64>().ok();
        let is_same_number = one
            .and_then(number)
            .zip(other.and_then(number))
            .is_some_and(|(one, other)| one.total_cmp(&other).is_eq());
        is_same_table || is_same_number || one == other
    }
}

fn values(loaded: &Loaded) -> BTreeMap<String, Value> {
    settings(loaded).into_iter().map(|setting| (setting.key(), setting.value)).collect()
}

fn shown(value: Option<&Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value.map(text).unwrap_or_default()
}

fn effect(key: &str) -> Option<Effect> {
    let is_in = |place: &str| {
        key.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    TAKEN.iter().find(|(place, _)| is_in(place)).map(|(_, effect)| *effect)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::super::effective::tests::CHANGED;
    use super::super::tests::sources;
    use super::*;

    fn read_with(text: &str, sets: &[String]) -> Loaded {
        let text = format!("kafka.brokers = \"b:1\"\n{text}");
        let mut sources = sources(&text, &[], sets);
        sources.purpose = Purpose::Cluster;
        Loaded::from_sources(&sources).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
    }

    fn read(text: &str) -> Loaded {
        read_with(text, &[])
    }

    /// What goes on, what is taken and what waits, the last two as `key: running -> new`.
    fn take(running: &Loaded, new: &Loaded) -> (Loaded, [Vec<String>; 2]) {
        let (merged, changes) = running.take(new).unwrap();
        let (taken, left): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.effect.is_some());
        let (again, still_left) = merged.take(new).unwrap();
        assert_eq!(again.config, merged.config);
        assert_eq!(still_left, left, "what is taken is taken once");
        (merged, [taken, left].map(|changes| changes.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn each_key_is_named_and_is_taken_where_it_is_said_to_be() {
        for text in ["", "[model]\nfile = \"m\""] {
            let running = read(text);
            for (key, value) in CHANGED {
                let new = read_with(text, &[format!("{key}={value}")]);
                assert_ne!(new.config, running.config, "{key}");
                let (merged, changes) = running.take(&new).unwrap();
                let (named, others): (Vec<_>, Vec<_>) =
                    changes.iter().partition(|change| change.key.starts_with(key));
                let is_taken = |change: &&Change| change.effect.is_some();
                let n_taken = named.iter().copied().filter(is_taken).count();
                assert!(!named.is_empty() && [0, named.len()].contains(&n_taken), "{changes:?}");
                let as_in = if n_taken > 0 { &new } else { &running };
                assert_eq!(merged.config, as_in.config, "{key}: {changes:?}");
                assert_eq!(others.into_iter().find(is_taken), None, "{key}");
            }
        }
    }

    #[test]
    fn of_a_new_configuration_is_taken_what_is_safe_and_the_rest_is_named() {
        let running = "[processing]\nworkers = 2\n[http]\ntoken_file = \"a\"\n\
                       [model]\nfile = \"m\"\n[processing.rates]\nEUR = \"1.08\"\n\
                       [kafka.client]\n\"sasl.password\" = \"hunter2\"\n\"client.id\" = \"a\"";
        let new = "[processing]\nworkers = 3\nscore_drift_max = 0.2\nidle_lag_s = -1\n\
                   emit = \"event\"\n[http]\ntoken_file = \"b\"\n\
                   [churn]\nlapse_days_single = 90\nlapse_days_min = 14\nprior_weeks = 8\n\
                   [segments.tiers]\nall = 0\n[processing.rates]\nEUR = 1.080\n\
                   [model]\nfile = \"n\"\npin = \"x/1\"\nhorizon_months = 24\nfit_every_days = 1\n\
                   [log]\nlevel = \"debug\"\n[kafka.client]\n\"sasl.password\" = \"hunter3\"";
        let (merged, [taken, left]) = take(&read(running), &read(new));
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
                "`processing.emit` `commit` -> `event`",
                "`processing.idle_lag_s` `60` -> `-1`",
                "`processing.workers` `2` -> `3`",
                "`segments.tiers.all` `` -> `0`",
                "`segments.tiers.high` `500` -> ``",
                "`segments.tiers.low` `0` -> ``",
                "`segments.tiers.medium` `100` -> ``",
            ]
        );
        assert!(!format!("{merged:?}").contains("hunter"));
    }

    #[test]
    fn whether_models_come_from_a_file_or_the_stream_waits_for_a_restart() {
        let with_file = "[model]\nfile = \"m\"\npin = \"x/1\"\nhorizon_months = 6";
        let (merged, [taken, left]) = take(&read(""), &read(with_file));
        assert_eq!(taken, ["`model.horizon_months` `12` -> `6`"]);
        assert_eq!(left, ["`model.file` `` -> `m`", "`model.pin` `` -> `x/1`"]);
        assert_eq!((merged.config.model.file, merged.config.model.pin), (None, None));
    }

    #[test]
    fn what_is_taken_holds_beside_what_stays() {
        // Midnight of the zone that runs, not of the one that waits.
        let running = read("processing.time_zone = \"Europe/Berlin\"");
        let (merged, _) = take(&running, &read("churn.signals_from = \"2026-01-01\""));
        assert_eq!(merged.config.churn.signals_from_ms, Some(1_767_222_000_000));
        let running = read("[http]\nlisten = \"0.0.0.0:80\"\ntoken_file = \"t\"");
        let faults = running.take(&read("")).unwrap_err().to_string();
        assert!(faults.starts_with("`http.listen` is `0.0.0.0:80` (file test.toml)"), "{faults}");
    }

    #[test]
    fn a_setting_in_a_file_is_another_by_what_the_file_holds() {
        let sets = |name: &str, value: &str| [format!("kafka.client.{name}={value}")];
        let held = |path: &str, read_file: fn(&Path, usize) -> io::Result<Vec<u8>>| {
            let sets = sets("sasl.password.file", path);
            let mut sources = sources("kafka.brokers = \"b:1\"", &[], &sets);
            sources.read_file = read_file;
            Loaded::from_sources(&sources).unwrap()
        };
        let running = held("/a", |_, _| Ok(b"one".to_vec()));
        let (merged, [taken, left]) = take(&running, &held("/a", |_, _| Ok(b"two".to_vec())));
        assert_eq!(taken, [""; 0]);
        assert_eq!(left, ["`kafka.client.sasl.password.file` `***` -> `***`"]);
        assert_eq!(merged.config, running.config);
        let elsewhere = held("/b", |_, _| Ok(b"one".to_vec()));
        for same in [elsewhere, read_with("", &sets("sasl.password", "one"))] {
            assert_eq!(take(&running, &same).1, [[""; 0], [""; 0]]);
        }
    }
}

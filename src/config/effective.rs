//! The configuration in effect: every key of the reference with its value and where that came from,
//! as TOML that gives the same configuration when it is loaded. Shows no secret. Called by
//! `lifetide config`, and by `changes` for what tells two configurations apart.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::client::set_by_file;
use super::faults::{MASK, is_secret};
use super::layers::{Entry, FREE_TABLES};
use super::{Config, Loaded, Origin};

/// Every key with its default: the order in which they are shown, and the kinds of their values.
const REFERENCE: &str = include_str!("../../config/lifetide.toml");

/// One key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The section or table.
    pub table: &'static str,
    /// The key's name in it.
    pub name: String,
    /// The value in effect; a mask where it may be a secret.
    pub value: toml::Value,
    /// Where it came from.
    pub origin: Origin,
    /// Why the line must not be loaded again as it stands, if it must not.
    pub held_back: Option<&'static str>,
}

impl Setting {
    /// The key with its section.
    pub fn key(&self) -> String {
        format!("{}.{}", self.table, self.name)
    }
}

/// Every key in the reference's order.
pub fn settings(Loaded { config, entries }: &Loaded) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut table = "";
    for line in REFERENCE.lines() {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']');
            if FREE_TABLES.contains(&table) {
                settings.extend(names_in(table, entries));
            }
        } else if let Some((name, default)) = line.split_once(" = ")
            && !line.starts_with('#')
        {
            let is_replaced =
                FREE_TABLES.contains(&table) && settings.iter().any(|it| is_given(it, table));
            if !is_replaced {
                let entry = entries.get(&format!("{table}.{name}"));
                settings.push(setting((table, name), default, entry, config));
            }
        }
    }
    settings
}

/// Whether the table has a value from any layer, and so none of its defaults.
fn is_given(setting: &Setting, table: &str) -> bool {
    setting.table == table && setting.origin != Origin::Default
}

fn names_in(table: &'static str, entries: &BTreeMap<String, Entry>) -> Vec<Setting> {
    let named = |(key, entry): (&String, &Entry)| {
        let name = key.strip_prefix(table)?.strip_prefix('.')?;
        let is_hidden = table == "kafka.client" && set_by_file(name).is_none() && is_secret(name);
        let (text, held_back) = if is_hidden {
            (MASK.to_owned(), Some("a secret"))
        } else if table == "kafka.client" {
            (entry.text(), None)
        } else {
            (entry.decimal().unwrap_or_else(|_| entry.text()), None)
        };
        let (value, origin) = (toml::Value::String(text), entry.origin.clone());
        Some(Setting { table, name: name.to_owned(), value, origin, held_back })
    };
    entries.iter().filter_map(named).collect()
}

fn setting(
    (table, name): (&'static str, &str),
    default: &str,
    entry: Option<&Entry>,
    config: &Config,
) -> Setting {
    let default: toml::Value = default.parse().expect("the reference is TOML, as a test sees");
    let (value, origin) = match entry {
        // What is written without quotes in the environment is a string where one belongs.
        Some(entry) if default.is_str() => (toml::Value::String(entry.text()), &entry.origin),
        Some(entry) => (entry.value.clone(), &entry.origin),
        None => (default, &Origin::Default),
    };
    let (mut value, mut held_back) = (value, None);
    if (table, name) == ("kafka", "brokers") && entry.is_none() {
        held_back = Some("to be set for `run` and `check`");
    }
    if (table, name) == ("kafka", "instance_id") && value.as_str() == Some("") {
        // Another host that loads this must not take this one's identity.
        value = toml::Value::String(config.kafka.instance_id.clone());
        held_back = Some("this host's name and the port of `http.listen`");
    }
    Setting { table, name: name.to_owned(), value, origin: origin.clone(), held_back }
}

/// The settings as a file, each line with its origin. What must not be loaded is commented out.
pub fn to_toml(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut table = "";
    for setting in settings {
        if setting.table != table {
            let blank = if table.is_empty() { "" } else { "\n" };
            table = setting.table;
            writeln!(text, "{blank}[{table}]").expect("a string takes any text");
        }
        text.push_str(&line(setting));
    }
    text
}

fn line(setting: &Setting) -> String {
    let Setting { name, value, origin, held_back, .. } = setting;
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let name = if name.bytes().all(is_bare) {
        name.clone()
    } else {
        toml::Value::String(name.clone()).to_string()
    };
    let mut note = origin.to_string();
    let mut mark = "";
    if let Some(why) = held_back {
        mark = "# ";
        note = format!("{note}; {why}");
    }
    // A comment ends with its line, and a file may be called anything.
    let note: String = note.chars().map(|it| if it.is_control() { '?' } else { it }).collect();
    format!("{mark}{name} = {value}  # {note}\n")
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::tests::sources;
    use super::super::{File, load};
    use super::*;

    /// A value that is no default for every key, and names of the user's own.
    pub(in super::super) const CHANGED: [(&str, &str); 55] = [
        ("kafka.brokers", "a:1,b:2"),
        ("kafka.group_id", "1e5"),
        ("kafka.instance_id", "i-1"),
        ("kafka.static_membership", "false"),
        ("kafka.session_timeout_ms", "30000"),
        ("kafka.transaction_timeout_ms", "12000"),
        ("kafka.revoke_budget_ms", "6000"),
        ("kafka.input_topic", "in"),
        ("kafka.scores_topic", "out"),
        ("kafka.signals_topic", "signals"),
        ("kafka.dlq_topic", "dead"),
        ("kafka.changelog_topic", "state"),
        ("kafka.models_topic", "models"),
        ("kafka.client.sasl.username", "\"quoted\" \\ name"),
        ("kafka.client.linger.ms", "5"),
        ("kafka.client.debug", "1e3"),
        ("processing.workers", "3"),
        ("processing.commit_interval_ms", "50"),
        ("processing.transaction_events_max", "1000"),
        ("processing.transaction_bytes_max", "1000000"),
        ("processing.emit", "event"),
        ("processing.currency", "JPY"),
        ("processing.time_zone", "Europe/Berlin"),
        ("processing.refund_window_days", "90"),
        ("processing.lateness_days", "20"),
        ("processing.dedup_events", "32"),
        ("processing.erasure_memory_days", "100"),
        ("processing.future_skew_max_s", "60"),
        ("processing.idle_lag_s", "-1"),
        ("processing.stall_timeout_s", "90"),
        ("processing.score_drift_max", "0.2"),
        ("processing.rates.EUR", "160.50"),
        ("model.file", "a b.toml"),
        ("model.pin", "bg-nbd/1"),
        ("model.fit_every_days", "3"),
        ("model.horizon_months", "6"),
        ("model.discount_monthly", "0.02"),
        ("model.orders_horizon_days", "100"),
        ("model.retention_months", "12"),
        ("churn.at_risk_silence_tail", "0.2"),
        ("churn.lapse_p_alive", "0.4"),
        ("churn.lapse_silence_tail", "0.01"),
        ("churn.lapse_days_single", "90"),
        ("churn.lapse_days_min", "7"),
        ("churn.cooldown_days", "10"),
        ("churn.signals_from", "2026-01-01"),
        ("churn.prior_orders", "3"),
        ("churn.prior_weeks", "9.5"),
        ("churn.false_alarms_per_customer_year", "0.5"),
        ("churn.usage_false_alarms_per_customer_year", "0.75"),
        ("http.listen", "127.0.0.1:80"),
        ("http.token_file", "/t"),
        ("http.advertise", "a:80"),
        ("log.level", "warn,lifetide=debug"),
        ("segments.tiers", "{ \"a.b\" = 0, gold = \"100\" }"),
    ];

    fn loaded(text: &str, sets: &[String]) -> Config {
        let mut sources = sources(text, &[], sets);
        sources.file = Some(File { name: "my\n.toml", text });
        load(&sources).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
    }

    fn shown(text: &str, sets: &[String]) -> Vec<Setting> {
        let mut sources = sources(text, &[], sets);
        sources.file = Some(File { name: "my\n.toml", text });
        settings(&Loaded::from_sources(&sources).unwrap())
    }

    #[test]
    fn every_key_comes_back_with_its_value() {
        let sets = CHANGED.map(|(key, value)| format!("{key}={value}"));
        let settings = shown("", &sets);
        for setting in &settings {
            assert_eq!(setting.origin, Origin::Set, "`{}` keeps its default", setting.name);
        }
        let text = to_toml(&settings);
        let again = loaded(&text, &[]);
        assert_eq!(again, loaded("", &sets), "{text}");
        assert_ne!(again, loaded("", &[]));
        // What came from the first file comes from this one now; all else is the same.
        let twice = shown(&text, &[]);
        assert_eq!(twice.len(), settings.len());
        assert_eq!(loaded(&to_toml(&twice), &[]), again);
    }

    #[test]
    fn the_defaults_come_back_and_take_no_identity_with_them() {
        let text = to_toml(&shown("", &[]));
        assert_eq!(loaded(&text, &[]), loaded("", &[]));
        let line = "# instance_id = \"shop-1-9464\"  # default; this host's name and the port";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\n# brokers = \"127.0.0.1:9092\"  # default; to be set"), "{text}");
        assert!(text.contains("\nworkers = 2  # default\n"), "{text}");
    }

    #[test]
    fn each_layer_is_named() {
        let file = "[kafka]\nbrokers = \"a:1\"\n[http]\nlisten = \"127.0.0.1:1\"\n";
        let variables = [("LIFETIDE__HTTP__LISTEN", "127.0.0.1:2")];
        let sets = ["model.fit_every_days=9".to_owned()];
        let loaded = Loaded::from_sources(&sources(file, &variables, &sets)).unwrap();
        let text = to_toml(&settings(&loaded));
        for line in [
            "brokers = \"a:1\"  # file test.toml",
            "listen = \"127.0.0.1:2\"  # environment LIFETIDE__HTTP__LISTEN",
            "fit_every_days = 9  # --set",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let secrets = [
            "sasl.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "ssl.certificate.pem",
            "sasl.oauthbearer.assertion.private.key.passphrase",
        ];
        let sets: Vec<String> =
            secrets.iter().map(|name| format!("kafka.client.{name}=hunter2")).collect();
        let settings = shown("", &sets);
        let text = to_toml(&settings);
        assert!(!text.contains("hunter2") && !format!("{settings:?}").contains("hunter2"));
        for name in secrets {
            assert!(text.contains(&format!("# \"{name}\" = \"***\"  # --set; a secret")), "{text}");
        }
        loaded(&text, &[]);
    }

    #[test]
    fn where_a_key_lies_is_shown() {
        let names = ["ssl.key.location", "ssl.keystore.location", "ssl.certificate.location"];
        let sets = names.map(|name| format!("kafka.client.{name}=/run/tls"));
        let text = to_toml(&shown("", &sets));
        for name in names {
            assert!(text.contains(&format!("\n\"{name}\" = \"/run/tls\"  # --set\n")), "{text}");
        }
        assert_eq!(loaded(&text, &[]), loaded("", &sets));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[^\\x00]{1,20}", number in 0.001..1e6_f64) {
            // The command line cannot say blanks around a value.
            let text = format!("<{text}>");
            let sets = [
                format!("model.file={text}"),
                format!("kafka.client.client.id={text}"),
                format!("churn.prior_weeks={number}"),
            ];
            let written = to_toml(&shown("", &sets));
            prop_assert_eq!(loaded(&written, &[]), loaded("", &sets), "{}", written);
        }
    }
}

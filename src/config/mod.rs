//! Configuration: one typed struct a section, their defaults, three layers (file, environment,
//! `--set`), and every rule a value must keep, so that nothing behind it checks again.
//!
//! Must not read a file, the environment or the host's name: all are passed in. Called by
//! `commands`; all else is given the parts it needs. `config/lifetide.toml` is the reference.
//!
//! | file | holds |
//! |---|---|
//! | `sources` | what is passed in from outside |
//! | `layers` | file, environment and `--set` as flat keys with their origins |
//! | `read` | typed reading that keeps every fault |
//! | `sections` | each key with its default and range |
//! | `client` | librdkafka's settings, also those that stand in a file of their own |
//! | `rules` | what must hold between keys |
//! | `changes` | what a running process takes of a new configuration, and what it leaves |
//! | `faults` | what is wrong, where it came from, what to do; masking of secrets |
//! | `hints` `unknown` | what was likely meant by a wrong value, by a wrong key |
//! | `effective` | every key with its value and origin, to be written out again |

mod changes;
mod client;
pub mod effective;
mod faults;
mod hints;
mod layers;
#[cfg(test)]
mod mistakes;
mod read;
mod rules;
mod sections;
mod sources;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::churn::Tier;
use crate::money::{Currency, Rates};
use crate::record::marker::Ground;

pub use changes::{Change, Effect};
pub use client::{COMMON_SETTINGS, SETTING_FILE_BYTES_MAX};
pub use faults::{ConfigFaults, Fault, Misuse, Origin};
pub(crate) use faults::{edit_distance, is_secret, nearest_word};
pub use layers::NEAR_PREFIX;
pub use sources::{File, Purpose, Sources};

use layers::{Entry, Layers};
use read::Reader;

/// The whole configuration, valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[kafka]`
    pub kafka: Kafka,
    /// `[processing]`
    pub processing: Processing,
    /// `[model]`
    pub model: ModelChoice,
    /// `[churn]`
    pub churn: Churn,
    /// `[segments]`
    pub segments: Segments,
    /// `[http]`
    pub http: Http,
    /// `[log]`
    pub log: Log,
}

/// `[kafka]`: the cluster, this process's identity in it, and the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// The consumer group whose committed offsets show progress; begins the transactional ids.
    pub group_id: String,
    /// This process among the group's; by default `<host name>-<HTTP port>`.
    pub instance_id: String,
    /// Whether members keep their partitions over a restart (`group.instance.id`).
    pub static_membership: bool,
    /// How long a silent member keeps its partitions.
    pub session_timeout_ms: u32,
    /// How long a transaction may stay open; below the session's time.
    pub transaction_timeout_ms: u32,
    /// How long a revoked lane may take to commit before it aborts.
    pub revoke_budget_ms: u32,
    /// Checkout events come from here.
    pub input_topic: String,
    /// Scores go here; compacted.
    pub scores_topic: String,
    /// Signals go here.
    pub signals_topic: String,
    /// Rejected events go here.
    pub dlq_topic: String,
    /// State is kept here; compacted, as many partitions as the input.
    pub changelog_topic: String,
    /// New models are announced here.
    pub models_topic: String,
    /// `[kafka.client]`: librdkafka's own settings, with what their files hold.
    pub client: ClientSettings,
    /// The files from which settings came, by setting.
    pub client_files: BTreeMap<String, PathBuf>,
}

impl Kafka {
    /// librdkafka's name and value of everything a client of any kind needs to reach the brokers.
    pub fn connection(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [("bootstrap.servers", self.brokers.as_str())];
        own.into_iter().chain(self.client.0.iter().map(|(name, value)| (&**name, &**value)))
    }

    /// Every topic with the key that names it.
    pub fn topics(&self) -> [(&'static str, &str); 6] {
        [
            ("kafka.input_topic", &self.input_topic),
            ("kafka.scores_topic", &self.scores_topic),
            ("kafka.signals_topic", &self.signals_topic),
            ("kafka.dlq_topic", &self.dlq_topic),
            ("kafka.changelog_topic", &self.changelog_topic),
            ("kafka.models_topic", &self.models_topic),
        ]
    }
}

/// librdkafka's settings by name. Debug output masks what may be secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientSettings(pub BTreeMap<String, String>);

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| {
            let value = if is_secret(name) { faults::MASK } else { value.as_str() };
            (name.clone(), value.to_owned())
        };
        f.debug_map().entries(self.0.iter().map(shown)).finish()
    }
}

/// When scores are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// One score for each changed customer of a transaction.
    Commit,
    /// One score for each accepted event.
    Event,
}

/// `[processing]`: lanes, transactions, money and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Processing {
    /// Lanes (group members) in this process.
    pub workers: u32,
    /// The longest time between two commits while events come.
    pub commit_interval_ms: u32,
    /// The most events of one transaction.
    pub transaction_events_max: u32,
    /// The most bytes of output of one transaction.
    pub transaction_bytes_max: u32,
    /// When scores are published.
    pub emit: Emit,
    /// The currency of all sums, and of events that name none.
    pub currency: Currency,
    /// What one unit of each other accepted currency is worth in `currency`.
    pub rates: Rates,
    /// The zone in which days begin and end.
    pub time_zone: TimeZone,
    /// How long after its order's day a refund still changes that order.
    pub refund_window_days: i32,
    /// How late an event may come and still find its order open.
    pub lateness_days: i32,
    /// How many accepted event ids each customer remembers.
    pub dedup_events: u32,
    /// How long an erasure still drops events dated before it.
    pub erasure_memory_days: i32,
    /// How far an event may be dated ahead of its record's own Kafka timestamp.
    pub future_skew_max_s: u32,
    /// How far idle partitions follow behind the wall clock; `None` is event time only.
    pub idle_lag_s: Option<u32>,
    /// How long a partition may have work without coming on.
    pub stall_timeout_s: u32,
    /// The change of P(alive) after which a silent customer's score is published again.
    pub score_drift_max: f64,
}

/// `[model]`: which model, and over which horizons it speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelChoice {
    /// The model file; without one scores carry no predictions.
    pub file: Option<PathBuf>,
    /// `name/version` of the only model that may be used.
    pub pin: Option<String>,
    /// Days from one fit to the next where there is no file; 0 for none.
    pub fit_every_days: u32,
    /// Months over which `predicted` reaches.
    pub horizon_months: u32,
    /// By how much a month ahead is worth less than one before it, as a fraction.
    pub discount_monthly: f64,
    /// Days over which `expected_orders` reaches.
    pub orders_horizon_days: u32,
    /// Months a customer is assumed to stay in the `formula` value.
    pub retention_months: u32,
}

/// `[churn]`: when a customer is at risk, lapsed or declining, and how often to say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Churn {
    /// `at_risk` where the chance of so long a silence is at most this.
    pub at_risk_silence_tail: f64,
    /// Lapsed where P(alive) is at most this (needs a model that can tell).
    pub lapse_p_alive: f64,
    /// Lapsed where the chance of so long a silence is at most this (without such a model).
    pub lapse_silence_tail: f64,
    /// Lapsed this long after an only purchase (without such a model).
    pub lapse_days_single: i32,
    /// Never lapsed sooner than this after a purchase.
    pub lapse_days_min: i32,
    /// No second signal of a kind for a customer within this time.
    pub cooldown_days: i32,
    /// What is dated before this instant only changes state.
    pub signals_from_ms: Option<i64>,
    /// Shape of the prior of purchase days a week, used without a model file.
    pub prior_orders: f64,
    /// Rate of the prior of purchase days a week, in weeks, used without a model file.
    pub prior_weeks: f64,
    /// How many wrong decline signals a steady customer may cause in a year.
    pub false_alarms_per_customer_year: f64,
    /// How many wrong signals of falling use a steady user may cause in a year.
    pub usage_false_alarms_per_customer_year: f64,
}

/// `[segments]`: value tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Tiers by ascending bound, the first from 0. Never empty.
    pub tiers: Vec<Tier>,
}

/// `[http]`: the look-up and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// A file that holds the bearer token of the customers' routes.
    pub token_file: Option<PathBuf>,
    /// `host:port` at which other machines reach this process's HTTP, for the group to tell; by
    /// default `listen`, where that is one such address.
    pub advertise: Option<String>,
}

/// `[log]`: what is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level or rules of modules; `None` is the command's own.
    pub level: Option<String>,
}

impl Config {
    /// What state is made on, over an input of `n_partitions`.
    pub fn ground(&self, n_partitions: i32) -> Ground {
        let Self { kafka, processing, .. } = self;
        Ground {
            currency: processing.currency,
            // It is read by this name.
            time_zone: processing.time_zone.iana_name().unwrap_or_default().to_owned(),
            n_partitions,
            input_topic: kafka.input_topic.clone(),
            group_id: kafka.group_id.clone(),
        }
    }
}

/// A configuration, and what each key was given. Debug output leaves out what may be secret.
#[derive(Clone)]
pub struct Loaded {
    /// The whole.
    pub config: Config,
    entries: BTreeMap<String, Entry>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Reads the layers and checks every rule.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(sources: &Sources<'_>) -> Result<Config, ConfigFaults> {
    Loaded::from_sources(sources).map(|loaded| loaded.config)
}

impl Loaded {
    /// [`load`], with what tells one configuration from another.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn from_sources(sources: &Sources<'_>) -> Result<Self, ConfigFaults> {
        let layers = Layers::from_sources(sources);
        if layers.is_broken {
            return Err(ConfigFaults(layers.faults));
        }
        let (config, reader) = interpret(layers, sources);
        let (mut faults, entries) = reader.finish();
        if faults.is_empty() {
            return Ok(Self { config, entries });
        }
        if let (Some(file), Some(entry)) = (&config.model.file, entries.get("model.file")) {
            let has_fault = |key: &str| faults.iter().any(|fault| fault.key == key);
            let has_currency = !has_fault("processing.currency");
            let currency = has_currency.then_some(config.processing.currency);
            let name = file.display().to_string();
            faults.extend(
                (sources.model_faults)(&config.model, currency)
                    .into_iter()
                    .map(|remedy| Fault::new("model.file", &name, entry.origin.clone(), remedy)),
            );
        }
        Err(ConfigFaults(faults))
    }
}

fn interpret(layers: Layers, sources: &Sources<'_>) -> (Config, Reader) {
    let mut reader = Reader::new(layers);
    let config = sections::read(&mut reader, sources);
    rules::check(&config, &mut reader, sources.purpose);
    reader.check_environment(&sources.environment);
    (config, reader)
}

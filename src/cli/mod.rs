//! The command line: what can be said, and what `--help` answers. No work is done here.
//! Parsed by `main`, which hands each command's arguments to `commands`.

mod evaluate;
mod help;
mod past;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use crate::event::Reason;
use crate::logs;
pub use evaluate::Evaluate;
use help::{
    CHECK_EXAMPLES, CONFIG_EXAMPLES, DEMO_EXAMPLES, EVALUATE_EXAMPLES, EXIT_CODES,
    EXPLAIN_EXAMPLES, FIT_EXAMPLES, IMPORT_EXAMPLES, INIT_EXAMPLES, LOAD_EXAMPLES,
    REDRIVE_EXAMPLES, REPLAY_EXAMPLES, RUN_EXAMPLES, TOP_EXAMPLES,
};
pub use past::{Explain, Fit, HistoryFile, Import, Layers, ModelName, Order, Replay};

/// Customer lifetime value and churn signals from a checkout stream on Kafka, exactly once.
///
/// Lifetide reads checkout events and keeps, for every customer, what they have been worth, what
/// they will be worth, whether their spending falls, and when silence alone will change that.
/// Start with `lifetide demo`: it needs nothing.
#[derive(Debug, Parser)]
#[command(name = "lifetide", version, after_help = TOP_EXAMPLES)]
pub struct Cli {
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or rules such as
    /// `info,lifetide::engine=debug` [default: `RUST_LOG`, else for `run` `log.level`, else `info`;
    /// in `demo` `warn`]
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        value_parser = logs::checked,
        display_order = 99
    )]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole thing with nothing installed: a simulated shop and the processor
    Demo(Demo),
    /// Process checkout events, until SIGTERM
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Say what is wrong with a configuration and its cluster, and how to mend it
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Print the configuration in effect: every key, its value, and where that came from
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ShowConfig),
    /// Write a configuration to begin with, for the brokers that answer there
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Score an order history from a file, without Kafka
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<Replay>),
    /// Say why a customer of an order history has their score, and what would change it when
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Box<Explain>),
    /// Fit a model to an order history, from a file or from the input topic
    #[command(after_help = FIT_EXAMPLES)]
    Fit(Box<Fit>),
    /// Judge predictions of a past day by what came after it
    #[command(after_help = EVALUATE_EXAMPLES)]
    Evaluate(Box<Evaluate>),
    /// Bring the state to a larger partition count of the input; without `--write` only say how
    ///
    /// It is one transaction: killed at any moment, nothing of it is visible, or all; run it again
    /// then. Before it, every producer must know the new count (Java: metadata.max.age.ms, 5
    /// minutes).
    #[command(after_help = EXIT_CODES)]
    Repartition(Repartition),
    /// Load an order history from a file into the input topic, once, however often it is started
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),
    /// Send dead letters through again, each once; a dry run unless told to send
    #[command(after_help = REDRIVE_EXAMPLES)]
    Redrive(Redrive),
    /// Send a simulated shop's events to the input topic, for trying out and for measuring
    #[command(after_help = LOAD_EXAMPLES)]
    Load(Load),
    /// Let everything fail around the processor, run after run, and recount what is left
    #[command(after_help = EXIT_CODES)]
    Simulate(Simulate),
    /// Measure by simulation what the decline signals cost and find, or remake their thresholds
    #[command(after_help = EXIT_CODES)]
    Calibrate(Calibrate),
    /// Print a completion script for a shell
    #[command(after_help = EXIT_CODES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// What is logged where nobody says what: a demo speaks for itself.
    pub const fn log_default(&self) -> &'static str {
        match self {
            Self::Demo(_)
            | Self::Fit(_)
            | Self::Evaluate(_)
            | Self::Import(_)
            | Self::Load(_)
            | Self::Redrive(_) => "warn",
            // It says itself what the client's log would say.
            Self::Init(_) | Self::Simulate(_) | Self::Calibrate(_) => "error",
            Self::Run(_)
            | Self::Config(_)
            | Self::Check(_)
            | Self::Replay(_)
            | Self::Explain(_)
            | Self::Repartition(_)
            | Self::Completions { .. } => "info",
        }
    }
}

/// Arguments of `simulate`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Simulate {
    /// The first seed; a seed is one run, the same each time
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Runs, of one seed each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
}

/// Arguments of `calibrate`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Calibrate {
    /// The same seed draws the same customers
    #[arg(long, default_value_t = crate::calibration::SEED)]
    pub seed: u64,
    /// Customers of each population
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub customers: u32,
    /// Print the table of thresholds, `src/churn/table.rs`, instead; takes minutes
    #[arg(long, conflicts_with = "customers")]
    pub remake: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct Demo {
    /// Play the shop's two years so fast that everything ends after this time, as in `20s` or `2m`
    /// [default: play for two minutes, then stay up until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// The same seed makes the same shop
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Where look-ups and metrics are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    pub listen: SocketAddr,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration
    #[command(flatten)]
    pub layers: ClusterLayers,
    /// Go on knowingly where a start is refused because state or events are gone: with what is
    /// left, and a warning for each loss; meant for one start
    #[arg(long)]
    pub accept_loss: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration
    #[command(flatten)]
    pub layers: ClusterLayers,
    /// Create the topics that are missing, with the input's partition count (models: one) and the
    /// broker's default replication; leave the others alone
    #[arg(long)]
    pub create_topics: bool,
    /// Partitions of the input topic, should it be missing too
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 12,
        requires = "create_topics",
        value_parser = clap::value_parser!(i32).range(1..=100_000)
    )]
    pub partitions: i32,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// For whom something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON document, for programs
    Json,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ShowConfig {
    /// The configuration
    #[command(flatten)]
    pub layers: Layers,
    /// TOML that can be loaded again, or JSON
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The brokers to start from, several separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: String,
    /// The file to write; one that exists is left alone
    #[arg(long, value_name = "FILE", default_value = "lifetide.toml")]
    pub output: PathBuf,
}

/// Arguments of `repartition`.
#[derive(Debug, Args)]
pub struct Repartition {
    /// The configuration
    #[command(flatten)]
    pub layers: ClusterLayers,
    /// Do it, with the group stopped
    #[arg(long)]
    pub write: bool,
    /// Go on knowingly with what is left where state or events are gone, as `run` does
    #[arg(long)]
    pub accept_loss: bool,
    /// How the producers place keys [default: what explains where the customers lie]
    #[arg(long, value_enum)]
    pub partitioner: Option<Partitioner>,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub struct Load {
    /// The configuration
    #[command(flatten)]
    pub layers: ClusterLayers,
    /// Events a second, on average
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub rate: u32,
    /// How long it takes: the shop's two years are played in this time, and end with it
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub duration: Duration,
    /// The same seed makes the same customers
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

/// How producers place keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Partitioner {
    /// Java clients, and others with `partitioner=murmur2_random`
    Murmur2,
    /// The default of librdkafka: Python, Go, .NET, Node and Rust clients
    Crc32,
}

/// Where the configuration of a command that needs a cluster comes from. Its debug output leaves
/// secrets out.
#[derive(Clone, Args)]
pub struct ClusterLayers {
    /// The configuration; `config/lifetide.toml` lists every key with its default
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Set one key, stronger than file and environment; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

impl fmt::Debug for ClusterLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterLayers").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Arguments of `redrive`.
#[derive(Debug, Args)]
pub struct Redrive {
    /// The configuration
    #[command(flatten)]
    pub layers: ClusterLayers,
    /// Only what was refused for this reason, as in `bad_value`; may be given again
    #[arg(long = "reason", value_name = "REASON", value_parser = reason)]
    pub reasons: Vec<Reason>,
    /// Only what was refused in this partition of the input; may be given again
    #[arg(
        long = "partition",
        value_name = "NUMBER",
        value_parser = clap::value_parser!(i32).range(0..)
    )]
    pub partitions: Vec<i32>,
    /// Only what was refused from this instant on, as in `2026-05-01T12:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only what was refused before this instant
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// Send; without it nothing is written
    #[arg(long)]
    pub send: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time above 0, as in `20s`, `2m` or `1h`".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero()).ok_or_else(wrong)
}

fn reason(name: &str) -> Result<Reason, String> {
    Reason::parse(name).ok_or_else(|| {
        let names = Reason::ALL.map(Reason::as_str).join(", ");
        format!("no event is refused for it; the reasons are {names}")
    })
}

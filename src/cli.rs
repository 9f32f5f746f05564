//! The command line: what can be said, and what `--help` answers. No work is done here.
//! Parsed by `main`, which hands each command's arguments to `commands`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use jiff::civil::Date;
use tracing_subscriber::EnvFilter;

use crate::history::Mapping;

/// Exit codes, for the end of every help page.
const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

const TOP_EXAMPLES: &str = "\
Examples:
  lifetide demo --duration 20s
      see it work, with nothing installed
  lifetide replay --input orders.csv --map customer_id=customer,occurred_at=date,amount=total
      score an order history without Kafka
  lifetide check --config lifetide.toml --create-topics
      prepare a cluster, and hear what is wrong with it
  lifetide run --config lifetide.toml
      process events, exactly once, until SIGTERM

Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

const DEMO_EXAMPLES: &str = "\
Examples:
  lifetide demo --duration 20s
  lifetide demo --seed 7 --listen 127.0.0.1:9500
      another shop, on another port; meanwhile:
      curl http://127.0.0.1:9500/customers/c000000

The broker is librdkafka's mock inside this process: it shows what Lifetide does, and proves
nothing about durability or exactness.

Exit codes:
  0   done
  1   failed
  64  bad usage or configuration";

const RUN_EXAMPLES: &str = "\
Examples:
  lifetide run --config lifetide.toml
  lifetide run --config lifetide.toml --set processing.workers=4
  LIFETIDE__KAFKA__BROKERS=kafka-1:9092 lifetide run --config lifetide.toml
  lifetide run --config lifetide.toml --accept-loss
      once, after a start was refused and its sentence has been read

It stops within 30 s of SIGTERM or Ctrl-C, its last transaction committed or aborted, and keeps its
partitions for a restart within `kafka.session_timeout_ms`. SIGUSR1 stops it for good: others have
its partitions at once.

Exit codes:
  0   stopped as asked
  1   failed; a restart goes on where the last commit ended
  64  bad usage or configuration";

const CHECK_EXAMPLES: &str = "\
Examples:
  lifetide check --config lifetide.toml
  lifetide check --config lifetide.toml --create-topics --partitions 24

Exit codes:
  0   nothing is wrong, or warnings only
  1   something must be mended first
  64  bad usage or configuration";

const REPLAY_EXAMPLES: &str = "\
Examples:
  lifetide replay --input orders.csv --scores scores.jsonl
  lifetide replay --input orders.csv --map customer_id=id,occurred_at=date,amount=total \\
      --until 2026-06-30 --model model.toml --scores scores.jsonl --signals signals.jsonl
  lifetide replay --input events.jsonl --against topic-scores.jsonl
      recount what a topic holds, and print the differences

Exit codes:
  0   done
  1   failed: a row under --strict, a difference under --against, a file
  64  bad usage or configuration";

/// Customer lifetime value and churn signals from a checkout stream on Kafka, exactly once.
///
/// Lifetide reads checkout events and keeps, for every customer, what they have been worth, what
/// they will be worth, whether their spending falls, and when silence alone will change that.
/// Start with `lifetide demo`: it needs nothing.
#[derive(Debug, Parser)]
#[command(name = "lifetide", version, after_help = TOP_EXAMPLES)]
pub struct Cli {
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or rules such as
    /// `info,lifetide::engine=debug` [default: `RUST_LOG`, else `info`; in `demo` `warn`]
    #[arg(long, global = true, value_name = "LEVEL", value_parser = log_rules, display_order = 99)]
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
    /// Score an order history from a file, without Kafka
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<Replay>),
    /// Bring the state to a larger partition count of the input; without `--write` only say how
    ///
    /// It is one transaction: killed at any moment, nothing of it is visible, or all; run it again
    /// then. Before it, every producer must know the new count (Java: metadata.max.age.ms, 5
    /// minutes).
    #[command(after_help = EXIT_CODES)]
    Repartition(Repartition),
    /// Let everything fail around the processor, run after run, and recount what is left
    #[command(after_help = EXIT_CODES)]
    Simulate(Simulate),
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
            Self::Demo(_) => "warn",
            Self::Simulate(_) => "error",
            Self::Run(_)
            | Self::Check(_)
            | Self::Replay(_)
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
    /// Create the topics that are missing, with the input's partition count and the broker's
    /// default replication; leave the others alone
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
}

/// Where the configuration of a command that needs a cluster comes from.
#[derive(Debug, Args)]
pub struct ClusterLayers {
    /// The configuration; `config/lifetide.toml` lists every key with its default
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Set one key, stronger than file and environment; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The history: CSV with a header, or JSON lines
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Which column holds which field, as in `customer_id=id,occurred_at=date,amount=total`;
    /// a field that is not named is in the column of its own name
    #[arg(
        long,
        value_name = "FIELD=COLUMN,…",
        value_parser = Mapping::parse,
        default_value = "",
        hide_default_value = true
    )]
    pub map: Mapping,
    /// Take the events up to the end of this day, and score everybody as of its end
    /// [default: the last event's day]
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// The model file; stronger than `model.file`
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Write the scores here, as JSON lines sorted by customer
    #[arg(long, value_name = "FILE")]
    pub scores: Option<PathBuf>,
    /// Write the signals here, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub signals: Option<PathBuf>,
    /// The configuration; without one every key has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, stronger than file and environment; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
    /// The order in which events are taken
    #[arg(long, value_enum, default_value_t = Order::Time)]
    pub order: Order,
    /// Fail after reading if a row cannot be read, instead of skipping it; up to 20 are reported
    #[arg(long)]
    pub strict: bool,
    /// Recount these scores, read from the topic, and print the differences
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scores", "signals"])]
    pub against: Option<PathBuf>,
}

/// The order in which `replay` takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// By time; rows of one instant as they stand
    Time,
    /// As they stand in the file
    File,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time above 0, as in `20s`, `2m` or `1h`".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero()).ok_or_else(wrong)
}

fn log_rules(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_word = |rule: &str| rule.bytes().all(|byte| byte.is_ascii_alphabetic());
    // A bare word that is no level would be taken for a module, and silence everything else.
    let unknown = text
        .split(',')
        .find(|rule| is_word(rule) && !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(rule)));
    if let Some(word) = unknown {
        return Err(format!("`{word}` is no level; the levels are {}", LEVELS.join(", ")));
    }
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn a_log_level_is_a_level_and_a_rule_names_its_module() {
        for rules in ["info", "WARN", "info,lifetide::engine=debug", "lifetide=trace,off"] {
            assert_eq!(log_rules(rules), Ok(rules.to_owned()));
        }
        for rules in ["loud", "info,debgu"] {
            assert!(log_rules(rules).unwrap_err().contains("is no level"), "{rules}");
        }
    }

    fn parse(line: &str) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_run_and_check_need_a_configuration() {
        for line in ["lifetide run", "lifetide check"] {
            assert_eq!(parse(line).unwrap_err(), ErrorKind::MissingRequiredArgument, "{line}");
        }
        for line in ["lifetide demo", "lifetide replay --input a", "lifetide completions bash"] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn arguments_are_read_as_they_are_documented() {
        let line = "lifetide replay --input a.csv --map customer_id=id,occurred_at=date \
                    --until 1998-06-30 --order file --strict \
                    --set model.file=m.toml --set processing.workers=2 --log debug";
        let Ok(Cli { command: Command::Replay(replay), log }) = parse(line) else {
            panic!("{line} is not read as a replay");
        };
        assert_eq!(replay.until, Some(Date::constant(1998, 6, 30)));
        assert_eq!((replay.order, replay.strict, replay.sets.len()), (Order::File, true, 2));
        assert_eq!(log.as_deref(), Some("debug"));
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused() {
        for line in [
            "lifetide demo --duration 0s",
            "lifetide demo --duration=-3s",
            "lifetide demo --duration soon",
            "lifetide demo --listen 9464",
            "lifetide demo --log lifetide=loud",
            "lifetide replay --input a --map customer=id",
            "lifetide replay --input a --map amount",
            "lifetide replay --input a --until 1998-02-30",
            "lifetide check --config a --create-topics --partitions 0",
        ] {
            let kind = parse(line).expect_err(line);
            assert_eq!(kind, ErrorKind::ValueValidation, "{line}");
        }
        let kind = parse("lifetide check --config a --partitions 3").unwrap_err();
        assert_eq!(kind, ErrorKind::MissingRequiredArgument);
        for other in ["--scores s", "--signals s"] {
            let kind = parse(&format!("lifetide replay --input a --against b {other}"));
            assert_eq!(kind.unwrap_err(), ErrorKind::ArgumentConflict, "{other}");
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        for (text, seconds) in [("20s", 20), ("2m", 120), ("1h 30m", 5_400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(duration("20").is_err());
    }
}

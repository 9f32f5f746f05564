//! The arguments of the commands that read a history of orders: `replay`, `explain`, `fit` and
//! `import`.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::{ClusterLayers, Partitioner};
use crate::history::Mapping;

/// A file of past orders.
#[derive(Debug, Args)]
pub struct HistoryFile {
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
}

/// The configuration of a command that needs no cluster. Its debug output leaves secrets out.
#[derive(Args)]
pub struct Layers {
    /// The configuration; without one every key has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, stronger than file and environment; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The history
    #[command(flatten)]
    pub history: HistoryFile,
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
    /// The configuration
    #[command(flatten)]
    pub layers: Layers,
    /// The order in which events are taken
    #[arg(long, value_enum, default_value_t = Order::Time)]
    pub order: Order,
    /// Fail after reading if a row cannot be read, instead of skipping it; up to 20 are reported
    #[arg(long)]
    pub strict: bool,
    /// Recount these scores, read from the topic, and print the differences
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scores", "signals"])]
    pub against: Option<PathBuf>,
    /// Fit a model to what is known at the end of this day, as the processor does to its changelog,
    /// and go on with it; may be given again
    #[arg(long, value_name = "DATE", conflicts_with_all = ["against", "compare"])]
    pub fit_at: Vec<Date>,
    /// Print what moved population CLV, orders and baskets in the days before this date and in as
    /// many from it on
    #[arg(long, value_name = "DATE", conflicts_with = "against")]
    pub compare: Option<Date>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The history
    #[command(flatten)]
    pub history: HistoryFile,
    /// Whose score to explain
    #[arg(long, value_name = "ID")]
    pub customer: String,
    /// Take the events up to the end of this day, and look as of its end
    /// [default: the last event's day]
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// The model file; stronger than `model.file`
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Print all of it as JSON, as `/customers/{id}` does
    #[arg(long)]
    pub json: bool,
    /// The configuration
    #[command(flatten)]
    pub layers: Layers,
}

/// Arguments of `fit`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["input", "topic"]))]
pub struct Fit {
    /// The history: CSV with a header, or JSON lines
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Read the history from `kafka.input_topic` instead, up to where it ends now
    #[arg(long, requires = "config")]
    pub topic: bool,
    /// Which column holds which field, as in `customer_id=id,occurred_at=date,amount=total`;
    /// a field that is not named is in the column of its own name
    #[arg(
        long,
        value_name = "FIELD=COLUMN,…",
        value_parser = Mapping::parse,
        default_value = "",
        hide_default_value = true,
        conflicts_with = "topic"
    )]
    pub map: Mapping,
    /// Take the events up to the end of this day, and look at everybody as of its end
    /// [default: the last event's day]
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// The model [default: mbg-nbd or pareto-nbd, whichever is likelier]
    #[arg(long, value_enum)]
    pub name: Option<ModelName>,
    /// What tells this fit from others of its name, in letters, digits, `.`, `_` and `-`
    /// [default: the day as of which it is]
    #[arg(long = "version", value_name = "TEXT")]
    pub model_version: Option<String>,
    /// Write the model file here; without it the parameters are only printed
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The configuration
    #[command(flatten)]
    pub layers: Layers,
    /// Fail after reading if something is no event, instead of skipping it
    #[arg(long)]
    pub strict: bool,
}

/// A purchase model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelName {
    /// BG/NBD: nobody leaves before their second purchase day
    BgNbd,
    /// MBG/NBD: leaving is possible right after the first
    MbgNbd,
    /// Pareto/NBD: leaving is possible at any time
    ParetoNbd,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The configuration
    #[command(flatten)]
    pub layers: ClusterLayers,
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
    /// Take the events up to the end of this day [default: all]
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// Send nothing if a row cannot be used, instead of skipping it; up to 20 are reported
    #[arg(long)]
    pub strict: bool,
    /// How live producers place keys, and so where rows belong
    /// [default: what explains the topic's newest keys; murmur2 where there are none]
    #[arg(long, value_enum)]
    pub partitioner: Option<Partitioner>,
}

/// The order in which `replay` takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// By time; rows of one instant as they stand
    Time,
    /// As they stand in the file
    File,
}

//! The arguments of `evaluate`. Part of `cli`.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;

use super::{HistoryFile, Layers, ModelName};

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// The history
    #[command(flatten)]
    pub history: HistoryFile,
    /// Fit and predict at the end of this day, from the events up to then alone
    #[arg(long, value_name = "DATE")]
    pub split: Date,
    /// Compare with what came after it, up to the end of this day [default: the last event's day]
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// The model [default: mbg-nbd or pareto-nbd, whichever is likelier]
    #[arg(long, value_enum)]
    pub name: Option<ModelName>,
    /// Write all figures here
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report for people here: one page, in plain words, with pictures
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The configuration
    #[command(flatten)]
    pub layers: Layers,
    /// Fail after reading if a row cannot be read, instead of skipping it; up to 20 are reported
    #[arg(long)]
    pub strict: bool,
}

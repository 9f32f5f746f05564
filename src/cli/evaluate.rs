//! The arguments of `evaluate`. Part of `cli`.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;

use super::ModelName;
use crate::history::Mapping;

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
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
    /// The configuration; without one every key has its default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, stronger than file and environment; may be given again
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
    /// Fail after reading if a row cannot be read, instead of skipping it; up to 20 are reported
    #[arg(long)]
    pub strict: bool,
}

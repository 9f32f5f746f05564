//! `lifetide config`: the configuration in effect, as TOML that can be loaded again or as JSON.
//! Called by `main`.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{Outcome, load_layers, printed};
use crate::cli::{Format, ShowConfig};
use crate::config::Purpose;
use crate::config::effective::{Setting, settings, to_toml};

/// One key for programs.
#[derive(Serialize)]
struct Row<'a> {
    key: String,
    value: &'a toml::Value,
    origin: String,
}

/// Prints every key with its value and origin.
///
/// # Errors
/// The configuration is wrong, or standard output cannot be written.
pub fn execute(arguments: &ShowConfig) -> Result<Outcome> {
    let layers = &arguments.layers;
    let config = layers.config.as_deref();
    let settings = settings(&load_layers(config, &layers.sets, Purpose::Offline)?);
    let text = match arguments.format {
        Format::Text => to_toml(&settings),
        Format::Json => {
            let rows: Vec<Row<'_>> = settings.iter().map(row).collect();
            let text = serde_json::to_string_pretty(&rows).context("the keys are no JSON")?;
            text + "\n"
        }
    };
    printed(io::stdout().lock().write_all(text.as_bytes()), Outcome::Done)
}

fn row(setting: &Setting) -> Row<'_> {
    Row { key: setting.key(), value: &setting.value, origin: setting.origin.to_string() }
}

//! `lifetide init`: a configuration to begin with. Asks the brokers what there is, writes one file,
//! and never over another one; what stands in it is decided in `draft`. Called by `main`.

mod draft;

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use jiff::tz::TimeZone;

use super::{Misuse, Outcome, load_config};
use crate::cli::Init;
use crate::config::{Config, ConfigFaults, Origin, Purpose};
use crate::kafka::admin::{Cluster, Refusal};
use draft::Draft;

/// Writes a configuration, and says what to do next.
///
/// # Errors
/// The file exists or cannot be written, or the brokers' address is none.
pub fn execute(arguments: &Init) -> Result<Outcome> {
    let path = &arguments.output;
    if path.exists() {
        return Err(exists(path).into());
    }
    let config = connection(&arguments.brokers)?;
    let topics = Cluster::new(&config.kafka).and_then(|cluster| cluster.asker().topics());
    let mut said = io::stderr().lock();
    if let Err(Refusal { what, remedy }) = &topics {
        writeln!(said, "warning: {what}; {}", remedy.as_deref().unwrap_or("look at it first")).ok();
        writeln!(said, "warning: the file has defaults where the brokers would have told").ok();
    }
    let draft = Draft::new(&config.kafka, &topics, available_parallelism().map_or(1, Into::into));
    let text = draft.text(&path.display().to_string(), &time_zone());
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(path).into()),
        Err(error) => {
            return Err(error).with_context(|| format!("failed to write `{}`", path.display()));
        }
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("failed to write `{}`", path.display()))?;
    let name = path.display();
    // Nobody reads it where it cannot be said.
    writeln!(
        said,
        "`{name}` is written. Look at its currency and time zone, then:\n  lifetide check --config \
         {name} --create-topics\n  lifetide run --config {name}"
    )
    .ok();
    Ok(Outcome::Done)
}

fn exists(path: &Path) -> Misuse {
    Misuse(format!(
        "`{}` exists and is left alone: name another file with `--output`, or move it away",
        path.display()
    ))
}

/// The way to these brokers, with what the environment holds of TLS and a login.
fn connection(brokers: &str) -> Result<Config> {
    let sets = [format!("kafka.brokers={brokers}")];
    load_config(None, &sets, Purpose::Offline).map_err(|error| {
        let Some(ConfigFaults(faults)) = error.downcast_ref() else { return error };
        match faults.iter().find(|fault| fault.origin == Origin::Set) {
            Some(fault) => Misuse(format!("`--brokers` is `{brokers}`: {}", fault.remedy)).into(),
            None => error,
        }
    })
}

/// This machine's time zone, where it has a name that other machines know.
fn time_zone() -> String {
    let name = TimeZone::system().iana_name().map(str::to_owned);
    let is_named = |name: &String| {
        !matches!(name.as_str(), "Etc/Unknown" | "Etc/UTC") && TimeZone::get(name).is_ok()
    };
    name.filter(is_named).unwrap_or_else(|| "UTC".to_owned())
}

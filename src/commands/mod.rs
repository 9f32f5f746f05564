//! The commands, one file each, and what they share: loading the configuration from the real file,
//! environment and host, and turning an outcome into an exit code. Called by `main`.

mod against;
pub mod calibrate;
pub mod check;
mod comparison;
pub mod completions;
pub mod config;
pub mod demo;
pub mod evaluate;
pub mod explain;
pub mod fit;
pub mod import;
pub mod init;
pub mod load;
mod pace;
mod reading;
pub mod redrive;
mod refit;
pub mod repartition;
pub mod replay;
pub mod run;
pub mod simulate;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tracing::{Level, enabled, error};

use crate::cli;
use crate::config::{Config, ConfigFaults, File, Loaded, NEAR_PREFIX, Purpose, Sources};
use crate::kafka::admin;
use crate::kafka::placement::Partitioner;
use crate::lifecycle::Shutdown;
use crate::plan::model_faults;
use crate::reload::regular;

pub use crate::config::Misuse;

/// How a command that ran to its end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked: exit code 0.
    Done,
    /// It found what must not be, and has already said so: exit code 1.
    Failed,
}

/// Exit code of bad usage or configuration (`EX_USAGE` of `sysexits.h`).
const EXIT_USAGE: u8 = 64;
/// Exit code of whatever else went wrong.
const EXIT_FAILED: u8 = 1;

/// Prints what the parser has to say: its answer to `--help` or `--version`, or a usage error.
pub fn conclude_usage(error: &clap::Error) -> ExitCode {
    let code = if error.exit_code() == 0 { 0 } else { EXIT_USAGE };
    // Whoever closed the pipe has seen enough; there is nobody left to tell.
    error.print().ok();
    ExitCode::from(code)
}

/// Prints the error of a command, if there is one, and gives the exit code.
pub fn conclude(result: Result<Outcome>) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Failed) => return ExitCode::from(EXIT_FAILED),
        Err(error) => error,
    };
    let mut stderr = io::stderr().lock();
    for line in format!("{error:#}").lines() {
        writeln!(stderr, "error: {line}").ok();
    }
    ExitCode::from(exit_code(&error))
}

/// [`conclude`] where the logs are read by machines: what went wrong is lines of the log. Where the
/// log leaves them out, as `off` does, they are said all the same: nothing ends without a word.
pub fn conclude_logged(result: Result<Outcome>) -> ExitCode {
    let error = match result {
        Err(error) if enabled!(Level::ERROR) => error,
        result => return conclude(result),
    };
    for line in format!("{error:#}").lines() {
        error!("{line}");
    }
    ExitCode::from(exit_code(&error))
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigFaults>() || error.is::<Misuse>() { EXIT_USAGE } else { EXIT_FAILED }
}

/// The outcome of a command whose last deed was to print what it found. Whoever closed the pipe, as
/// in `lifetide replay … | head`, has what they wanted; what was found stays found.
fn printed(printed: io::Result<()>, outcome: Outcome) -> Result<Outcome> {
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        Ok(()) | Err(_) => Ok(outcome),
    }
}

/// What a shutdown may take before the process ends without waiting; the contract says 30 s.
const GRACE: Duration = Duration::from_secs(25);

/// Runs `work` on this thread, and asks it to stop on SIGTERM or Ctrl-C.
fn until_signalled<T>(work: impl FnOnce(&Shutdown) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let shutdown = Shutdown::new();
    let _entered = runtime.enter();
    runtime.spawn(shutdown.on_signals(GRACE).context("signals cannot be heard")?);
    work(&shutdown)
}

/// The time of this machine, in milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A bar on a terminal, nothing in a pipe.
fn progress(length: u64, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Loads the configuration from the file, this process's environment and the `--set` arguments.
///
/// # Errors
/// [`ConfigFaults`] with all that is wrong, or [`Misuse`] where a layer cannot be read at all.
pub fn load_config(path: Option<&Path>, sets: &[String], purpose: Purpose) -> Result<Config> {
    load_layers(path, sets, purpose).map(|loaded| loaded.config)
}

/// [`load_config`], with what each key was given.
fn load_layers(path: Option<&Path>, sets: &[String], purpose: Purpose) -> Result<Loaded> {
    let unreadable =
        |name: &str, why: &str| Misuse(format!("the configuration `{name}` cannot be read: {why}"));
    let file = match path {
        Some(path) => {
            let name = path.display().to_string();
            let text =
                fs::read_to_string(path).map_err(|error| unreadable(&name, &error.to_string()))?;
            Some((name, text))
        }
        None => None,
    };
    let mut environment = Vec::new();
    for (name, value) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with(NEAR_PREFIX) {
            let value = value.into_string().map_err(|_| unreadable(&name, "it is not UTF-8"))?;
            environment.push((name, value));
        }
    }
    let host = host_name();
    let loaded = Loaded::from_sources(&Sources {
        file: file.as_ref().map(|(name, text)| File { name, text }),
        environment,
        sets,
        host: host.as_deref(),
        check_client: admin::check_setting,
        read_file: read_start,
        model_faults,
        purpose,
    });
    Ok(loaded?)
}

/// The first bytes of a file. `run` reads it again with each reload.
fn read_start(path: &Path, n_bytes_max: usize) -> io::Result<Vec<u8>> {
    regular(path)?;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(n_bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is written, the first `n_written` of the options, must be no other file of the call: a
/// history is not to be lost by a slip.
fn refuse_shared_files(files: &[(&str, Option<&Path>)], n_written: usize) -> Result<(), Misuse> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    for (i, (written, path)) in files.iter().enumerate().take(n_written) {
        let Some(path) = path else { continue };
        let other =
            files[i + 1..].iter().find(|(_, it)| it.is_some_and(|it| real(it) == real(path)));
        if let Some((other, _)) = other {
            let name = path.display();
            return Err(Misuse(format!("`{written} {name}` is also `{other}`; give another file")));
        }
    }
    Ok(())
}

/// Writes a file beside its place and moves it there: who reads it meanwhile gets the old one or
/// the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    let written = fs::File::create(&beside)
        .and_then(|mut out| out.write_all(bytes).and_then(|()| out.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What failed is told below; what is left of it should not stay.
        fs::remove_file(&beside).ok();
    }
    written.with_context(|| format!("failed to write `{}`", path.display()))
}

/// The partitioner that somebody named.
const fn partitioner(told: cli::Partitioner) -> Partitioner {
    match told {
        cli::Partitioner::Murmur2 => Partitioner::Murmur2,
        cli::Partitioner::Crc32 => Partitioner::Crc32,
    }
}

/// The host's name: the kernel's on Linux, else what the shell says.
fn host_name() -> Option<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    kernel
        .into_iter()
        .chain(env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_bad_usage_from_failure() {
        let io = |kind| anyhow::Error::from(io::Error::from(kind));
        for (error, code) in [
            (Misuse("x".to_owned()).into(), 64),
            (ConfigFaults(Vec::new()).into(), 64),
            (anyhow::Error::from(Misuse("x".to_owned())).context("on top"), 64),
            (io(ErrorKind::NotFound), 1),
            (io(ErrorKind::BrokenPipe), 1),
        ] {
            assert_eq!(exit_code(&error), code, "{error:#}");
        }
    }

    #[test]
    fn a_closed_pipe_changes_nothing_about_what_was_found() {
        let closed = || Err(io::Error::from(ErrorKind::BrokenPipe));
        for outcome in [Outcome::Done, Outcome::Failed] {
            assert_eq!(printed(closed(), outcome).unwrap(), outcome);
            assert_eq!(printed(Ok(()), outcome).unwrap(), outcome);
        }
        assert!(printed(Err(io::Error::from(ErrorKind::StorageFull)), Outcome::Done).is_err());
    }

    #[test]
    fn a_setting_comes_from_a_regular_file_only() {
        // It can be opened; a pipe would be waited for.
        let sets = ["kafka.client.sasl.password.file=/dev/null".to_owned()];
        let error = load_config(None, &sets, Purpose::Offline).unwrap_err().to_string();
        assert!(error.contains("the file cannot be read: no regular file"), "{error}");
    }

    #[test]
    fn a_configuration_that_is_not_there_is_misuse() {
        let error = load_config(Some(Path::new("/no/such.toml")), &[], Purpose::Offline);
        let error = error.unwrap_err();
        assert!(error.is::<Misuse>() && error.to_string().contains("/no/such.toml"), "{error}");
    }

    #[test]
    fn the_reference_configuration_is_accepted_also_by_librdkafka() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/lifetide.toml");
        let sets = ["kafka.client.linger.ms=5".to_owned()];
        assert!(load_config(Some(&path), &sets, Purpose::Cluster).is_ok());
        let sets = ["kafka.client.linger.msec=5".to_owned()];
        let error = load_config(Some(&path), &sets, Purpose::Cluster).unwrap_err().to_string();
        assert!(error.starts_with("`kafka.client.linger.msec` is `***` (--set)"), "{error}");
        assert!(error.ends_with("did you mean `linger.ms`?"), "{error}");
    }

    #[test]
    fn every_setting_that_may_be_meant_is_one_of_librdkafkas() {
        for name in crate::config::COMMON_SETTINGS {
            let known = admin::check_setting(name, "");
            let is_unknown = |error: &String| error.contains("No such configuration property");
            assert!(!known.as_ref().is_err_and(is_unknown), "{name}: {known:?}");
        }
        assert!(admin::check_setting("no.such", "").unwrap_err().contains("No such"));
    }
}

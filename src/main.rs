//! The `lifetide` program: arguments, logs, the command, its exit code. No logic lives here.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use clap::Parser;
use lifetide::cli::{Cli, Command};
use lifetide::commands;
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let Cli { log, command } = match Cli::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return commands::conclude_usage(&error),
    };
    start_logs(log.as_deref(), command.log_default());
    commands::conclude(match command {
        Command::Run(arguments) => commands::run::execute(&arguments),
        Command::Check(arguments) => commands::check::execute(&arguments),
        Command::Config(arguments) => commands::config::execute(&arguments),
        Command::Init(arguments) => commands::init::execute(&arguments),
        Command::Replay(arguments) => commands::replay::execute(&arguments),
        Command::Explain(arguments) => commands::explain::execute(&arguments),
        Command::Fit(arguments) => commands::fit::execute(&arguments),
        Command::Evaluate(arguments) => commands::evaluate::execute(&arguments),
        Command::Demo(arguments) => commands::demo::execute(&arguments),
        Command::Import(arguments) => commands::import::execute(&arguments),
        Command::Load(arguments) => commands::load::execute(&arguments),
        Command::Redrive(arguments) => commands::redrive::execute(&arguments),
        Command::Repartition(arguments) => commands::repartition::execute(&arguments),
        Command::Simulate(arguments) => commands::simulate::execute(&arguments),
        Command::Calibrate(arguments) => commands::calibrate::execute(&arguments),
        Command::Completions { shell } => commands::completions::execute(shell),
    })
}

/// Logs go to standard error, so that results can be piped: for people on a terminal, else as JSON.
fn start_logs(rules: Option<&str>, default: &str) {
    let filter = match rules {
        Some(rules) => EnvFilter::new(rules),
        None => match std::env::var(EnvFilter::DEFAULT_ENV).map(EnvFilter::try_new) {
            Ok(Ok(filter)) => filter,
            Ok(Err(error)) => {
                let note = format!("warning: `RUST_LOG` is not understood, so it is `{default}`");
                writeln!(stderr(), "{note}: {error}").ok();
                EnvFilter::new(default)
            }
            Err(_) => EnvFilter::new(default),
        },
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    if stderr().is_terminal() { logs.init() } else { logs.json().init() }
}

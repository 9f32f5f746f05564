//! The `lifetide` program: arguments, logs, the command, its exit code. No logic lives here.

use std::process::ExitCode;

use clap::Parser;
use lifetide::cli::{Cli, Command};
use lifetide::commands;
use lifetide::logs::Logs;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let Cli { log, command } = match Cli::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return commands::conclude_usage(&error),
    };
    let logs = Logs::start(log.as_deref(), command.log_default());
    // What collects the logs of a service should find nothing else among them.
    let is_logged = matches!(command, Command::Run(_)) && logs.are_for_machines();
    let outcome = match command {
        Command::Run(arguments) => commands::run::execute(&arguments, &logs),
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
    };
    if is_logged { commands::conclude_logged(outcome) } else { commands::conclude(outcome) }
}

//! `lifetide completions SHELL`: prints a completion script. Called by `main`.

use std::io::{self, Write};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Outcome, printed};
use crate::cli::Cli;

/// Writes the shell's completion script to standard output.
///
/// # Errors
/// Standard output cannot be written.
pub fn execute(shell: Shell) -> Result<Outcome> {
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lifetide", &mut script);
    printed(io::stdout().write_all(&script), Outcome::Done)
}

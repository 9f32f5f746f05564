//! `lifetide calibrate`: measures what the decline signals cost and find, or remakes the table of
//! their thresholds.

use std::io::{Write, stdout};

use anyhow::Result;

use super::{Outcome, printed};
use crate::calibration::{Remade, measure, remake};
use crate::cli::Calibrate;

/// Prints the measured figures, or the table.
///
/// # Errors
/// Standard output cannot be written.
pub fn execute(arguments: &Calibrate) -> Result<Outcome> {
    let Calibrate { seed, customers, remake: is_remade } = *arguments;
    let text = if is_remade {
        Remade::source(&remake(seed), seed)
    } else {
        measure(seed, customers).to_string()
    };
    printed(write!(stdout(), "{text}"), Outcome::Done)
}

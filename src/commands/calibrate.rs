//! `lifetide calibrate`: measures what the decline signals cost and find, or remakes the table of
//! their thresholds.

use std::io::{Write, stdout};

use anyhow::Result;

use super::{Outcome, printed};
use crate::calibration::{Remade, measure, measure_usage, remake};
use crate::cli::Calibrate;

/// Users of one habit are judged each week and have fifteen habits: for as long a wait fewer do.
const CUSTOMERS_A_USER: u32 = 20;

/// Prints the measured figures, or the table.
///
/// # Errors
/// Standard output cannot be written.
pub fn execute(arguments: &Calibrate) -> Result<Outcome> {
    let Calibrate { seed, customers, remake: is_remade } = *arguments;
    let text = if is_remade {
        Remade::source(&remake(seed), seed)
    } else {
        let users = (customers / CUSTOMERS_A_USER).max(1);
        format!("{}{}", measure(seed, customers), measure_usage(seed, users))
    };
    printed(write!(stdout(), "{text}"), Outcome::Done)
}

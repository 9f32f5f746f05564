//! Judges customers: evidence that spending falls, the day on which silence becomes a lapse, the
//! lifecycle, and the signals that follow. Pure: the day and the stream time are inputs.
//!
//! The way of a judgement, in the order of the files:
//! - `settings`: what is configured, and the rules made of it and of the model;
//! - `channels`, of `orders` and `basket`, by the customer's `past`, with `thresholds` and their
//!   `table`: how far the evidence of a decline has come; `watch`, the same for simulations;
//! - `usage`: how far that of a decline of use has come;
//! - `deadlines`: the days on which silence alone crosses a line;
//! - `lifecycle`, `trend`: what the score says of the customer;
//! - `reading`: all of these for one customer on one day, and the one timer;
//! - `judge`, with `latching`: what an event or a timer raises and clears;
//! - `signal`, `evidence`: what a raised signal says.
//!
//! Absent: the writing of records (`record`), scores of value (`clv`), any scan over customers.
//! Called by `pipeline`.

mod basket;
mod channels;
mod deadlines;
mod evidence;
mod judge;
mod latching;
mod lifecycle;
mod orders;
mod past;
mod reading;
mod settings;
mod signal;
mod table;
mod thresholds;
mod trend;
mod usage;
mod watch;

#[cfg(test)]
mod scenarios;
#[cfg(test)]
pub(crate) mod testing;

pub use channels::{BASELINE_LAG_DAYS, Channel, Channels, Parameters};
pub use deadlines::{Deadlines, LapseLine};
pub use evidence::{Evidence, counted_days, rarity};
pub use judge::{Occasion, Verdict, judge};
pub use lifecycle::{Cause, Lifecycle, Standing};
pub use past::BASELINE_DAYS_MIN;
pub use reading::{Reading, due_day, read};
pub use settings::{Rules, Settings, Severity, Tier, Tiers};
pub use signal::{Raised, Worth, at_stake, signal_id};
pub use thresholds::{
    FALSE_ALARMS, N_ALARMS, N_RATES, N_SHARES, Thresholds, UsageThresholds, place, place_share,
};
pub use trend::{Confidence, Trend, TrendState};
pub use usage::{Fall, UsageChannel, turn_usage, usage_channel};
pub use watch::{Alarm, Watch, Watched};

pub use crate::customer::{Driver, SignalKind};

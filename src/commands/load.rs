//! `lifetide load`: a simulated shop's events into the input topic of a real cluster, for trying
//! out and for measuring. Its two years end when the load does, so that customers come, decline and
//! lapse while somebody looks on. Starts no processor.

use std::io::{Write, stderr};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use super::pace::{self, Played};
use super::{Outcome, load_config, progress, until_signalled};
use crate::cli;
use crate::config::{Misuse, Purpose};
use crate::demo::shop::{Settings, Shop};
use crate::kafka::feed::{self, Feed};

/// Events that a customer of the simulated shop makes, on average.
const EVENTS_PER_CUSTOMER: f64 = 86.0;
/// The most events of one load; each takes about 250 bytes of memory.
const EVENTS_MAX: f64 = 8_000_000.0;

/// Sends the shop's events, evenly over the duration.
///
/// # Errors
/// The configuration is wrong, the topic is in use, or the brokers do not take the events.
pub fn execute(arguments: &cli::Load) -> Result<Outcome> {
    let config =
        load_config(Some(&arguments.layers.config), &arguments.layers.sets, Purpose::Cluster)?;
    let n_customers = n_customers(arguments.rate, arguments.duration)?;
    if let Some((partition, offset)) = feed::stranger(&config.kafka).map_err(anyhow::Error::msg)? {
        let topic = &config.kafka.input_topic;
        bail!(
            "`{topic}` has records that are no load's, as in partition `{partition}` at offset \
             `{offset}`: a simulated shop would mix with a real one; give it topics of its own"
        );
    }
    let settings = Settings {
        n_customers,
        ..Settings::new(
            arguments.seed,
            now_ms()?.saturating_add(i64::try_from(arguments.duration.as_millis())?),
            config.processing.currency,
        )
    };
    let shop = Shop::open(&settings);
    let topic = &config.kafka.input_topic;
    let (n_records, rate) = (shop.n_records(), arguments.rate);
    writeln!(
        stderr(),
        "Sending {n_records} events of {n_customers} customers to `{topic}`, about {rate} a second."
    )
    .ok();
    let feed = Feed::new(&config.kafka).map_err(anyhow::Error::msg)?;
    let bar = progress(n_records as u64, "{bar:30} {percent:>3} %  {pos} events  {eta} more");
    until_signalled(|shutdown| {
        // The record's own time is now: retention goes by it.
        let stamp = |_: &_| now_ms().unwrap_or_default();
        let goes_on = |played: &Played| {
            bar.set_position(played.n_records);
            !shutdown.is_requested()
        };
        let played = pace::play((&shop, &settings), &feed, arguments.duration, stamp, goes_on)?;
        bar.finish_and_clear();
        writeln!(stderr(), "Sent {} events.", played.n_records).ok();
        Ok(Outcome::Done)
    })
}

/// So many that they make as many events as were asked for.
fn n_customers(rate: u32, duration: Duration) -> Result<u32, Misuse> {
    let n_events = f64::from(rate) * duration.as_secs_f64();
    if n_events > EVENTS_MAX {
        return Err(Misuse(format!(
            "`--rate {rate}` over `{duration:?}` are `{n_events:.0}` events, at most {EVENTS_MAX} \
             can be sent by one load; take a lower rate or a shorter `--duration`"
        )));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded")]
    Ok((n_events / EVENTS_PER_CUSTOMER).ceil() as u32)
}

fn now_ms() -> Result<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.context("the clock of this machine stands before 1970")?;
    Ok(i64::try_from(since.as_millis())?)
}

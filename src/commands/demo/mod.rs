//! `lifetide demo`: the real processor on a broker inside this process, fed by a simulated shop,
//! and a verdict on what it found. Starts the parts and ends them in order; `show` plays the story,
//! `audience` reads what comes out.

mod audience;
mod show;

use std::io::{IsTerminal, Write, stderr};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use self::show::Show;
use super::Outcome;
use crate::calendar::Calendar;
use crate::cli;
use crate::clv::{Model, ModelFile};
use crate::config::{self, Config, Sources};
use crate::demo::shop::{Change, Planted, Settings, Shop};
use crate::engine::rebuild::OnLoss;
use crate::kafka::embedded::Broker;
use crate::lifecycle::Shutdown;
use crate::plan::Plan;
use crate::service::Service;

/// The end of the shop's story, 2025-12-31T23:59:59.999Z: a fixed day, so that the same seed gives
/// the same summary on any day.
const STORY_END_MS: i64 = 1_767_225_599_999;
/// How long the story takes to play where no duration is given.
const STORY: Duration = Duration::from_mins(2);
/// What a given duration keeps back for the last commits, the reading and the orderly end.
const RESERVE: Duration = Duration::from_secs(3);
/// What an interrupted demo may take to end before the process ends without waiting.
const GRACE: Duration = Duration::from_secs(25);
/// The shop's own parameters as a model file.
const MODEL: &str = include_str!("../../demo/model.toml");

/// Plays the demo.
///
/// # Errors
/// The address is taken, or the processor fails or does not keep up.
pub fn execute(arguments: &cli::Demo) -> Result<Outcome> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    // Before all else: an address that is taken should not cost a simulation.
    let listener = runtime.block_on(listen(arguments.listen))?;
    // Outlives everything that talks to it.
    let broker = Broker::start().map_err(anyhow::Error::msg)?;
    let config = configuration(&broker.address(), listener.local_addr()?)?;
    broker.create_topics(&config.kafka).map_err(anyhow::Error::msg)?;
    let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
    let mut plan = Plan::new(&config, Some(skew_ms))?;
    plan.model = Some(model()?);
    let settings = Settings::new(arguments.seed, STORY_END_MS, config.processing.currency);
    let shop = Shop::open(&settings);
    let story = match arguments.duration {
        None => STORY,
        Some(duration) => duration.saturating_sub(began.elapsed() + RESERVE).max(duration / 4),
    };
    introduce(&settings, &shop, story, listener.local_addr()?);
    runtime.block_on(async {
        let interrupt = Shutdown::new();
        tokio::spawn(interrupt.on_signals(GRACE).context("signals cannot be heard")?);
        let hangups = signal(SignalKind::hangup()).context("signals cannot be heard")?;
        tokio::spawn(hear(hangups, interrupt.clone()));
        let halt = Shutdown::new();
        let kafka = config.kafka.clone();
        let service = Service::new(config, plan, halt.clone(), OnLoss::Refuse)?;
        let performance = Show {
            shop,
            settings,
            kafka,
            story,
            stays_open: arguments.duration.is_none(),
            metrics: service.metrics(),
            interrupt,
            processor: halt.clone(),
        };
        let playing = tokio::task::spawn_blocking(move || performance.run());
        let running = tokio::spawn(service.run(listener));
        let end = playing.await;
        halt.request();
        // What the processor says first: it is the reason for whatever the show met.
        running.await??;
        end?
    })?;
    Ok(Outcome::Done)
}

/// There is nothing to reload. Who has closed the terminal wants no demo any more.
async fn hear(mut hangups: Signal, interrupt: Shutdown) {
    let had_terminal = stderr().is_terminal();
    while hangups.recv().await.is_some() {
        if had_terminal && !stderr().is_terminal() {
            return interrupt.request();
        }
        warn!("SIGHUP: a demo has no configuration to reload");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow!(
            "failed to listen on `{address}`: {error}; stop what uses it, or give another address, \
             as in `--listen 127.0.0.1:9500`"
        )
    })
}

/// The defaults, but for what a broker without memory and a story without a clock ask for.
fn configuration(brokers: &str, listen: SocketAddr) -> Result<Config> {
    let sets = [
        format!("kafka.brokers={brokers}"),
        format!("http.listen={listen}"),
        "kafka.instance_id=demo".to_owned(),
        // The mock stores no offsets of transactions, so that nothing could be taken up again.
        "kafka.static_membership=false".to_owned(),
        "kafka.session_timeout_ms=120000".to_owned(),
        "processing.workers=1".to_owned(),
        // Time is the shop's alone: the same seed raises the same signals at any speed.
        "processing.idle_lag_s=-1".to_owned(),
    ];
    Ok(config::load(&Sources::only(&sets))?)
}

fn model() -> Result<Arc<Model>> {
    let file: ModelFile = toml::from_str(MODEL).context("the demo's model is not one")?;
    let model = Model::from_file(file).map_err(|faults| anyhow!(faults.join("\n")))?;
    Ok(Arc::new(model))
}

/// Says what is about to be seen, and whom to follow. A closed stream is no reason not to go on.
fn introduce(settings: &Settings, shop: &Shop, story: Duration, address: SocketAddr) {
    let (n_customers, story_s) = (settings.n_customers, story.as_secs());
    let day = Calendar::utc().day(settings.end_ms);
    let followed: Vec<String> =
        shop.truth().to_follow(day).map(|planted| invite(planted, address)).collect();
    let text = format!(
        "Lifetide processes two years of a simulated shop with {n_customers} customers in \
         {story_s} s, then says whom it found.\n\
         the page  http://{address}/\n\
         metrics   http://{address}/metrics\n\
         The broker is librdkafka's mock, inside this process: it proves nothing about durability \
         or exactness; `tests/run` shows those on a real Kafka.\n\
         To follow, on the page:\n{}",
        followed.concat()
    );
    stderr().write_all(text.as_bytes()).ok();
}

/// Where to look on, and what will be seen there.
fn invite(planted: &Planted, address: SocketAddr) -> String {
    let (id, day) = (&planted.customer_id, planted.changed_on);
    let what = match planted.kind {
        Change::Stops => "buys for the last time before",
        Change::OrdersHalved => "orders half as often from",
        Change::BasketsHalved => "fills baskets half as full from",
    };
    format!("  http://{address}/#customer={id}  {what} {day}\n")
}

//! `lifetide run`: the processor, until SIGTERM. Thin: `service` does the work, and `reload` tells
//! it what has changed.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::{GRACE, Outcome, load_layers};
use crate::cli;
use crate::config::Purpose;
use crate::engine::rebuild::OnLoss;
use crate::http;
use crate::lifecycle::Shutdown;
use crate::logs::Logs;
use crate::plan::Plan;
use crate::reload::{Reloader, Watched};
use crate::service::Service;

/// Runs the processor.
///
/// # Errors
/// Why it cannot start, or what the first lane to fail says.
pub fn execute(arguments: &cli::Run, logs: &Logs) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async {
        // Before all else: from here on it ends nothing.
        let hangups = signal(SignalKind::hangup()).context("signals cannot be heard")?;
        let cli::ClusterLayers { config: file, sets } = arguments.layers.clone();
        // Before each is read, so that what changes from here on is taken, however long a start is.
        let mut watched = Watched::new(&file);
        let load = move || load_layers(Some(&file), &sets, Purpose::Cluster);
        let running = load()?;
        let config = &running.config;
        watched.follow(config);
        logs.follow(config.log.level.as_deref());
        let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
        let plan = Plan::new(config, Some(skew_ms))?;
        let shutdown = Shutdown::new();
        tokio::spawn(shutdown.on_signals(GRACE).context("signals cannot be heard")?);
        let listen = config.http.listen;
        let on_loss = if arguments.accept_loss { OnLoss::Accept } else { OnLoss::Refuse };
        let service = Service::new(config.clone(), plan, shutdown.clone(), on_loss)?;
        let listener = http::bind(listen).await?;
        let (models, access) = service.changeable();
        let (load, logs, metrics) = (Box::new(load), logs.clone(), service.metrics());
        let reloader = Reloader { load, watched, running, models, access, logs, metrics };
        let reloading = tokio::spawn(reloader.run(hangups, shutdown.clone()));
        let outcome = service.run(listener).await;
        shutdown.request();
        reloading.await.context("what reloads the configuration met a defect")?;
        outcome
    })?;
    Ok(Outcome::Done)
}

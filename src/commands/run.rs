//! `lifetide run`: the processor, until SIGTERM. Thin: `service` does the work.

use anyhow::{Context, Result};

use super::{GRACE, Outcome, load_config};
use crate::cli;
use crate::config::Purpose;
use crate::engine::rebuild::OnLoss;
use crate::http;
use crate::lifecycle::Shutdown;
use crate::plan::Plan;
use crate::service::Service;

/// Runs the processor.
///
/// # Errors
/// Why it cannot start, or what the first lane to fail says.
pub fn execute(arguments: &cli::Run) -> Result<Outcome> {
    let config =
        load_config(Some(&arguments.layers.config), &arguments.layers.sets, Purpose::Cluster)?;
    let skew_ms = i64::from(config.processing.future_skew_max_s) * 1000;
    let plan = Plan::new(&config, Some(skew_ms))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        tokio::spawn(shutdown.on_signals(GRACE).context("signals cannot be heard")?);
        let listen = config.http.listen;
        let on_loss = if arguments.accept_loss { OnLoss::Accept } else { OnLoss::Refuse };
        let service = Service::new(config, plan, shutdown, on_loss)?;
        let listener = http::bind(listen).await?;
        service.run(listener).await
    })?;
    Ok(Outcome::Done)
}

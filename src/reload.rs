//! What changes while the processor runs: reads the configuration, the token and the model file
//! again on SIGHUP and when their content has changed, and hands on what can be taken safely. All
//! of it is taken or, where anything is wrong, nothing. Rules and model change as `models` and the
//! engine see to it, which is as a restart would. Run by `commands::run` beside the service.

mod watched;

use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::Signal;
use tracing::{error, info, warn};

use crate::config::{Change, Config, Effect, Loaded};
use crate::http::{self, Token};
use crate::lifecycle::Shutdown;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::pipeline::Plan;
use crate::plan;
pub use watched::{Watched, regular};

/// How often the files are looked at. What has changed is taken once it looks the same twice, so
/// that nobody's half-written file is.
const LOOK: Duration = Duration::from_secs(2);

/// Reads the layers of the configuration again.
pub type Load = Box<dyn Fn() -> Result<Loaded> + Send>;

/// What runs, and what it can be told.
pub struct Reloader {
    /// Reads the configuration.
    pub load: Load,
    /// The files that it names, as they were before they were read.
    pub watched: Watched,
    /// What runs.
    pub running: Loaded,
    /// The rules and the model to go on with.
    pub models: Arc<Models>,
    /// Who may see customers.
    pub access: http::Access,
    /// What is logged.
    pub logs: Logs,
    /// Where a refusal is seen.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Works until shutdown.
    pub async fn run(mut self, mut hangups: Signal, shutdown: Shutdown) {
        let (mut glimpsed, metrics) = (self.watched.clone(), Arc::clone(&self.metrics));
        let requested = shutdown.requested();
        tokio::pin!(requested);
        loop {
            let is_asked = tokio::select! {
                () = &mut requested => return,
                _ = hangups.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let work = move || {
                let seen = self.watched.look();
                let is_settled = mem::replace(&mut glimpsed, seen.clone()) == seen;
                if is_asked || (is_settled && seen != self.watched) {
                    self.watched = seen;
                    self.reload();
                }
                (self, glimpsed)
            };
            let Ok(done) = tokio::task::spawn_blocking(work).await else {
                error!("what reloads the configuration met a defect and has stopped");
                metrics.reloaded(false);
                return;
            };
            (self, glimpsed) = done;
        }
    }

    /// Takes what can be taken and says so in a line; or nothing, and says why.
    fn reload(&mut self) {
        let outcome = self.take();
        self.metrics.reloaded(outcome.is_ok());
        match outcome {
            Ok(taken) if taken.is_empty() => info!("reloaded: nothing to take has changed"),
            Ok(taken) => info!(taken = taken.join(", "), "reloaded"),
            Err(faults) => {
                let faults = faults.join("; ");
                error!(faults, "failed to reload: all goes on as it was");
            }
        }
    }

    fn take(&mut self) -> Result<Vec<String>, Vec<String>> {
        let of_error = |error: anyhow::Error| -> Vec<String> {
            format!("{error:#}").lines().map(str::to_owned).collect()
        };
        let is_read_once = |path: &Path, error| format!("`{}`: {error}", path.display());
        let file = self.watched.file();
        regular(file).map_err(|error| vec![is_read_once(file, error)])?;
        let new = (self.load)().map_err(of_error)?;
        let (merged, changes) = self.running.take(&new).map_err(|error| of_error(error.into()))?;
        let config = &merged.config;
        // Also where it is refused: what it names may be mended in its place.
        self.watched.follow(config);
        let (plan, access) = self.check(config, &changes)?;

        let is_new = |effect| changes.iter().any(|change| change.effect == Some(effect));
        let named = |is_taken: bool| -> Vec<String> {
            let those = changes.iter().filter(|change| change.effect.is_some() == is_taken);
            those.map(ToString::to_string).collect()
        };
        let (mut taken, left) = (named(true), named(false));
        if self.access.replace(&access) && !is_new(Effect::Access) {
            taken.push("the token".to_owned());
        }
        let former = self.models.wanted().model;
        if !is_same(plan.model.as_ref(), former.as_ref()) && config.model.file.is_some() {
            taken.push(format!("the model `{}`", plan.model_label()));
        }
        self.models.change(plan, config.model.pin.clone());
        if !self.logs.follow(config.log.level.as_deref()) && is_new(Effect::Log) {
            taken.push("`--log` or `RUST_LOG` is stronger".to_owned());
        }
        self.running = merged;
        if !left.is_empty() {
            warn!(keys = left.join(", "), "changed keys wait for a restart");
        }
        Ok(taken)
    }

    /// What would run, if all of it can.
    fn check(
        &self,
        config: &Config,
        changes: &[Change],
    ) -> Result<(Plan, http::Access), Vec<String>> {
        let mut faults = Vec::new();
        let mut or_fault = |fault: String| faults.push(fault);
        let files = [config.http.token_file.as_deref(), config.model.file.as_deref()];
        for file in files.into_iter().flatten() {
            if let Err(error) = regular(file) {
                or_fault(format!("`{}`: {error}", file.display()));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut or_fault = |fault: String| faults.push(fault);
        let token = config.http.token_file.as_deref().map(Token::read).transpose();
        let access = token.and_then(|token| http::guard(config.http.listen, token));
        let access = access.map_err(|error| or_fault(error.to_string())).ok();
        let running = self.models.wanted();
        let rules = if changes.iter().any(|change| change.effect == Some(Effect::Rules)) {
            let skew_ms = running.rules.intake.future_skew_max_ms;
            let rules = plan::rules(config, skew_ms);
            rules.map(Arc::new).map_err(|error| or_fault(error.to_string())).ok()
        } else {
            Some(Arc::clone(&running.rules))
        };
        let model = plan::configured_model(config).map_err(|error| or_fault(error.0)).ok();
        self.models.check_pin(config.model.pin.as_deref()).map_err(or_fault).ok();
        match (rules, model, access) {
            (Some(rules), Some(model), Some(access)) if faults.is_empty() => {
                // The same one, so that nobody is judged anew for nothing.
                let is_running = is_same(model.as_ref(), running.model.as_ref());
                let model = if is_running { running.model } else { model };
                Ok((Plan { rules, model }, access))
            }
            _ => Err(faults),
        }
    }
}

fn is_same<T: PartialEq>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    one.map(AsRef::as_ref) == other.map(AsRef::as_ref)
}

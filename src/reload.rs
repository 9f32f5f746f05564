//! What changes while the processor runs: reads the configuration, the token and the model file
//! again on SIGHUP and when their content has changed, and hands on what can be taken safely. All
//! of it is taken or, where anything is wrong, nothing. Rules and model change as `models` and the
//! engine see to it, which is as a restart would. Run by `commands::run` beside the service.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::Signal;
use tracing::{error, info, warn};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{Change, Config, Effect, Loaded};
use crate::http::{self, Token};
use crate::lifecycle::Shutdown;
use crate::logs::Logs;
use crate::models::Models;
use crate::pipeline::Plan;
use crate::plan;

/// How often the files are looked at. What has changed is taken once it looks the same twice, so
/// that nobody's half-written file is.
const LOOK: Duration = Duration::from_secs(2);
/// No file that is looked at is larger; of one that is, the beginning counts.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Reads the layers of the configuration again.
pub type Load = Box<dyn Fn() -> Result<Loaded> + Send>;

/// What runs, and what it can be told.
pub struct Reloader {
    /// Reads the configuration.
    pub load: Load,
    /// Where the first layer lies.
    pub file: PathBuf,
    /// What runs.
    pub running: Loaded,
    /// The rules and the model to go on with.
    pub models: Arc<Models>,
    /// Who may see customers.
    pub access: http::Access,
    /// What is logged.
    pub logs: Logs,
}

/// The content of files by their paths; absent where there is none.
type Contents = BTreeMap<PathBuf, Option<u64>>;

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Works until shutdown.
    pub async fn run(mut self, mut hangups: Signal, shutdown: Shutdown) {
        let mut taken = self.contents();
        let mut glimpsed = taken.clone();
        let requested = shutdown.requested();
        tokio::pin!(requested);
        loop {
            let is_asked = tokio::select! {
                () = &mut requested => return,
                _ = hangups.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let work = move || {
                let contents = self.contents();
                let is_settled = mem::replace(&mut glimpsed, contents.clone()) == contents;
                if is_asked || (is_settled && contents != taken) {
                    self.reload();
                    taken = self.contents();
                    // What has changed since the look has not been taken for sure.
                    for (path, content) in contents {
                        taken.entry(path).and_modify(|it| *it = content);
                    }
                }
                (self, taken, glimpsed)
            };
            let Ok(done) = tokio::task::spawn_blocking(work).await else {
                error!("what reloads the configuration met a defect and has stopped");
                return;
            };
            (self, taken, glimpsed) = done;
        }
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let Config { http, model, .. } = &self.running.config;
        let others = [http.token_file.as_deref(), model.file.as_deref()];
        others.into_iter().flatten().chain([&*self.file])
    }

    fn contents(&self) -> Contents {
        let content = |path: &Path| {
            let mut bytes = Vec::new();
            let read = regular(path)
                .and_then(|()| File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
            (path.to_owned(), read.ok().map(|_| xxh3_64(&bytes)))
        };
        self.files().map(content).collect()
    }

    /// Takes what can be taken and says so in a line; or nothing, and says why.
    fn reload(&mut self) {
        match self.take() {
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
        regular(&self.file).map_err(|error| vec![is_read_once(&self.file, error)])?;
        let new = (self.load)().map_err(of_error)?;
        let (merged, changes) = self.running.take(&new).map_err(|error| of_error(error.into()))?;
        let config = &merged.config;
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

/// Whether the file can be read as often as one likes: a pipe would be waited for.
///
/// # Errors
/// It is not there, or is no regular file.
pub fn regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::other("no regular file, so that it cannot be read again"))
}

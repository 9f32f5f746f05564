//! One running processor: its lanes, its HTTP server and its end. `run` and `demo` start it; it
//! wires the parts and has no rules of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tracing::{error, info};

use crate::broadcast::Broadcast;
use crate::config::{Config, Misuse};
use crate::engine::Options;
use crate::engine::rebuild::OnLoss;
use crate::http::{self, About, Group, Lists, Member, Services, Token};
use crate::kafka::group::{self, Instance};
use crate::kafka::lane::{self, Common};
use crate::kafka::modeller::{self, Modeller};
use crate::kafka::{signals, topics};
use crate::lifecycle::{LaneState, Lanes, Shutdown};
use crate::lookup::{Finder, Lister};
use crate::metrics::Metrics;
use crate::models::Models;
use crate::plan::Plan;

/// A lane whose loop has not turned for so long is not alive, or for as many transaction timeouts
/// as a commit or an abort may block, if that is longer.
const LANE_SILENCE_MAX: Duration = Duration::from_mins(1);
/// … one to drain, three to learn the outcome, one to spare.
const LANE_SILENCE_TIMEOUTS: u32 = 5;

/// From one look at the metrics to the next: also from one point of the course of what moves the
/// population to the next, before it gets coarser.
const SAMPLED: Duration = Duration::from_secs(5);
/// From one line on refused events to the next, at least.
const REFUSALS_TOLD: Duration = Duration::from_mins(1);

/// Everything that one processor needs to run, checked and connected.
#[derive(Debug)]
pub struct Service {
    common: Common,
    /// Taken by the thread that runs it.
    modeller: Mutex<Option<Modeller>>,
    lanes: Arc<Lanes>,
    access: http::Access,
    broadcast: Arc<Broadcast>,
}

impl Service {
    /// Looks at the cluster and puts the parts together; nothing runs yet.
    ///
    /// # Errors
    /// What is missing on the cluster or in the configuration, with the remedy.
    pub fn new(config: Config, plan: Plan, shutdown: Shutdown, on_loss: OnLoss) -> Result<Self> {
        let token = config.http.token_file.as_deref().map(Token::read).transpose();
        let access = token
            .and_then(|token| http::guard(config.http.listen, token))
            .map_err(|error| Misuse(error.to_string()))?;
        let n_partitions = topics::input_partitions(&config.kafka).map_err(anyhow::Error::msg)?;
        let processing = &config.processing;
        let ground = config.ground(n_partitions);
        let options = Options {
            input_topic: config.kafka.input_topic.clone(),
            emit: processing.emit,
            commit_interval_ms: u64::from(processing.commit_interval_ms),
            transaction_events_max: u64::from(processing.transaction_events_max),
            transaction_bytes_max: u64::from(processing.transaction_bytes_max),
            revoke_budget_ms: u64::from(config.kafka.revoke_budget_ms),
            ground,
        };
        let metrics = Arc::new(Metrics::new(&plan.rules.tiers));
        metrics.set_revoke_budget(Duration::from_millis(options.revoke_budget_ms));
        let timeout = Duration::from_millis(u64::from(config.kafka.transaction_timeout_ms));
        let silence_max = LANE_SILENCE_MAX.max(timeout * LANE_SILENCE_TIMEOUTS);
        let lanes = Lanes::new(processing.workers as usize, silence_max);
        let is_learning = plan.model.is_none() && modeller::is_wanted(&config);
        let models = Arc::new(if is_learning {
            Models::learning(plan.rules, config.model.pin.clone())
        } else {
            Models::fixed(plan)
        });
        let (config, store) = (Arc::new(config), Arc::default());
        let common = Common { config, options, store, models, metrics, shutdown, on_loss };
        let modeller = if is_learning { Modeller::open(&common) } else { Ok(None) };
        let modeller = Mutex::new(modeller.map_err(anyhow::Error::msg)?);
        Ok(Self { common, modeller, lanes, access, broadcast: Arc::default() })
    }

    /// What the processor counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.common.metrics)
    }

    /// What can be changed while it runs.
    pub fn changeable(&self) -> (Arc<Models>, http::Access) {
        (Arc::clone(&self.common.models), self.access.clone())
    }

    /// Runs until shutdown, then until everything is committed and closed. Call it on a thread of a
    /// runtime whose other threads serve HTTP.
    ///
    /// # Errors
    /// What the first lane to fail says. The others have stopped in order by then.
    pub async fn run(self, listener: TcpListener) -> Result<()> {
        let address = listener.local_addr().context("the listener has no address")?;
        let finder = Finder::new(
            Arc::clone(&self.common.store),
            Arc::clone(&self.lanes),
            self.common.options.ground.n_partitions,
            &self.common.models.wanted(),
        );
        let lister = Lister {
            store: Arc::clone(&self.common.store),
            lanes: Arc::clone(&self.lanes),
            n_tiers: self.common.models.rules().tiers.names().count(),
            shutdown: self.common.shutdown.clone(),
        };
        let kafka = &self.common.config.kafka;
        let ground = &self.common.options.ground;
        let services = Services {
            about: About {
                instance: kafka.instance_id.clone(),
                currency: ground.currency,
                tiers: self.common.models.rules().tiers.clone(),
                n_partitions: ground.n_partitions,
            },
            metrics: Arc::clone(&self.common.metrics),
            lanes: Arc::clone(&self.lanes),
            models: Arc::clone(&self.common.models),
            customers: Arc::new(finder),
            signals: Arc::clone(&self.broadcast),
            lists: Lists::new(Arc::new(lister)),
            group: members(&self.common.config),
            access: self.access.clone(),
            limits: http::Limits::default(),
        };
        let shutdown = &self.common.shutdown;
        let server = tokio::spawn(http::serve(listener, services, shutdown.requested()));
        let sampling = tokio::spawn(sample(self.metrics(), shutdown.requested()));
        info!(
            version = env!("CARGO_PKG_VERSION"),
            %address,
            group = kafka.group_id,
            input = kafka.input_topic,
            lanes = self.common.config.processing.workers,
            model = self.common.models.wanted().model_label(),
            "started"
        );
        let failures = tokio::task::spawn_blocking(move || self.run_lanes()).await?;
        server.await?.context("the HTTP server has failed")?;
        sampling.await?;
        if !failures.is_empty() {
            bail!("{}", failures.join("\n"));
        }
        info!("stopped");
        Ok(())
    }

    fn run_lanes(&self) -> Vec<String> {
        let failures = Mutex::new(Vec::new());
        let modeller = self.modeller.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread::scope(|scope| {
            if let Some(mut modeller) = modeller {
                // Without it the models stay as they are, and all else works.
                scope.spawn(move || {
                    if catch_unwind(AssertUnwindSafe(|| modeller.run())).is_err() {
                        error!("the thread that fits models met a defect and has stopped");
                    }
                });
            }
            scope.spawn(|| {
                let kafka = &self.common.config.kafka;
                let reading = || signals::run(kafka, &self.broadcast, &self.common.shutdown);
                if catch_unwind(AssertUnwindSafe(reading)).is_err() {
                    let why = "the thread that reads signals met a defect and has stopped";
                    self.broadcast.refuse(why);
                    error!("{why}");
                }
            });
            for number in 0..self.common.config.processing.workers {
                let failures = &failures;
                scope.spawn(move || {
                    if let Err(failure) = self.run_lane(number) {
                        error!(lane = number, "{failure}");
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        // What fails all lanes alike is said once.
                        if !failures.contains(&failure) {
                            failures.push(failure);
                        }
                    }
                    // One lane alone is not what was asked for.
                    self.common.shutdown.request();
                });
            }
        });
        failures.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_lane(&self, number: u32) -> Result<(), String> {
        let health = self.lanes.lane(number as usize);
        health.set(LaneState::Starting);
        let lane = AssertUnwindSafe(|| lane::run(&self.common, number, &health));
        catch_unwind(lane)
            .unwrap_or_else(|_| Err(format!("lane `{number}` met a defect and has stopped")))
    }
}

/// How the server asks who the members are.
fn members(config: &Arc<Config>) -> Group {
    let config = Arc::clone(config);
    let member =
        |it: Instance| Member { instance: it.name, address: it.address, partitions: it.partitions };
    Group::new(Arc::new(move || {
        let instances = group::instances(&config.kafka)?;
        Ok(instances.into_iter().map(member).collect())
    }))
}

/// Samples until `end` what moves the population, and tells of refused events now and then.
async fn sample(metrics: Arc<Metrics>, end: impl Future<Output = ()>) {
    let mut ticks = tokio::time::interval(SAMPLED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut n_told, mut told_at) = (0, None::<Instant>);
    tokio::pin!(end);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = &mut end => return,
        }
        metrics.sample_drivers();
        let n_refused = metrics.n_rejections();
        if n_refused > n_told && told_at.is_none_or(|at| at.elapsed() >= REFUSALS_TOLD) {
            let events = n_refused - n_told;
            info!(events, "events were refused; `lifetide redrive` shows which and why");
            (n_told, told_at) = (n_refused, Some(Instant::now()));
        }
    }
}

//! From a configuration to what the pure modules work with: rules, model, pipeline. Reads the model
//! file and nothing else. Called by `run`, `replay`, `demo` and `check`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::calendar::Calendar;
use crate::churn;
use crate::clv::{Horizon, Model, ModelFile, RatePrior};
use crate::config::{Config, Misuse};
use crate::customer::Windows;
use crate::event::Intake;
use crate::pipeline::{Pipeline, Rules};

/// The rules of a configuration. `future_skew_max_ms` is absent where events carry no time of
/// arrival.
///
/// # Errors
/// What is wrong with the value tiers.
pub fn rules(config: &Config, future_skew_max_ms: Option<i64>) -> Result<Rules> {
    let (processing, churn, model) = (&config.processing, &config.churn, &config.model);
    Ok(Rules {
        calendar: Calendar::new(processing.time_zone.clone()),
        intake: Intake {
            currency: processing.currency,
            rates: processing.rates.clone(),
            future_skew_max_ms,
        },
        windows: Windows {
            refund_days: processing.refund_window_days,
            lateness_days: processing.lateness_days,
            dedup_events: processing.dedup_events as usize,
            erasure_memory_days: processing.erasure_memory_days,
        },
        churn: churn::Settings {
            at_risk_silence_tail: churn.at_risk_silence_tail,
            lapse_p_alive: churn.lapse_p_alive,
            lapse_silence_tail: churn.lapse_silence_tail,
            lapse_days_single: churn.lapse_days_single,
            lapse_days_min: churn.lapse_days_min,
            cooldown_days: churn.cooldown_days,
            prior: RatePrior { r: churn.prior_orders, alpha_weeks: churn.prior_weeks },
            false_alarms_per_customer_year: churn.false_alarms_per_customer_year,
            usage_false_alarms_per_customer_year: churn.usage_false_alarms_per_customer_year,
            signals_from_ms: churn.signals_from_ms,
            score_drift_max: processing.score_drift_max,
        },
        tiers: churn::Tiers::new(config.segments.tiers.clone()).map_err(anyhow::Error::msg)?,
        horizon: Horizon {
            months: model.horizon_months,
            discount_monthly: model.discount_monthly,
            orders_days: model.orders_horizon_days,
        },
        retention_months: model.retention_months,
    })
}

/// Reads a model file.
///
/// # Errors
/// It cannot be read, or is no such file.
pub fn read_model_file(path: &Path) -> Result<ModelFile, Misuse> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Misuse(format!("the model file `{name}` cannot be read: {error}")))?;
    toml::from_str(&text)
        .map_err(|error| Misuse(format!("the model file `{name}` is not one: {error}")))
}

/// Reads a model file and checks it against the configuration.
///
/// # Errors
/// All that is wrong with the file, each with the remedy.
pub fn read_model(path: &Path, config: &Config) -> Result<Arc<Model>, Misuse> {
    let name = path.display();
    let file = read_model_file(path)?;
    let model = Model::from_file(file).map_err(|faults| {
        Misuse(format!("the model file `{name}` is refused:\n{}", faults.join("\n")))
    })?;
    let currency = config.processing.currency;
    if let Some(other) = model.currency().filter(|other| *other != currency) {
        return Err(Misuse(format!(
            "the model file `{name}` is in `{other}` and `processing.currency` is `{currency}`: \
             give a model that was fitted to amounts in `{currency}`"
        )));
    }
    Ok(Arc::new(model))
}

/// The model that `model.file` names, if it names one.
///
/// # Errors
/// All that is wrong with the file, or that `model.pin` wants another one.
pub fn configured_model(config: &Config) -> Result<Option<Arc<Model>>, Misuse> {
    let Some(path) = config.model.file.as_deref() else { return Ok(None) };
    let model = read_model(path, config)?;
    if let Some(pin) = config.model.pin.as_deref().filter(|pin| *pin != model.label()) {
        return Err(Misuse(format!(
            "the model file `{}` holds `{}` and `model.pin` is `{pin}`: name the pinned model's \
             file, or change the pin",
            path.display(),
            model.label()
        )));
    }
    Ok(Some(model))
}

/// What makes the pipelines of a process: each thread that scores has its own.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The rules.
    pub rules: Arc<Rules>,
    /// The model, if one is configured.
    pub model: Option<Arc<Model>>,
}

impl Plan {
    /// The plan of a configuration.
    ///
    /// # Errors
    /// What is wrong with the model file.
    pub fn new(config: &Config, future_skew_max_ms: Option<i64>) -> Result<Self> {
        let rules = Arc::new(rules(config, future_skew_max_ms)?);
        Ok(Self { rules, model: configured_model(config)? })
    }

    /// A pipeline.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline::new(Arc::clone(&self.rules), self.model.clone())
    }
}

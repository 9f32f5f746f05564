//! From a configuration to what the pure modules work with: rules, model, pipeline. Reads the model
//! file and nothing else. Called by `run`, `replay`, `demo` and `check`.

mod shape;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::calendar::Calendar;
use crate::churn;
use crate::clv::{Horizon, Model, ModelFile, RatePrior};
use crate::config::{Config, Misuse, ModelChoice};
use crate::customer::Windows;
use crate::event::Intake;
use crate::money::Currency;
pub use crate::pipeline::Plan;
use crate::pipeline::Rules;

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
/// It cannot be read, or is no such file: all that is not.
pub fn read_model_file(path: &Path) -> Result<ModelFile, Misuse> {
    let (file, faults) = shape::parse(&read(path)?);
    match file {
        Some(file) if faults.is_empty() => Ok(file),
        Some(_) | None => Err(refused(path, &faults)),
    }
}

/// Reads a model file for amounts in this currency, and for who wants this model only.
///
/// # Errors
/// All that is wrong with the file, each with the remedy.
pub fn read_model(
    path: &Path,
    currency: Currency,
    pin: Option<&str>,
) -> Result<Arc<Model>, Misuse> {
    let model = judge(&read(path)?, Some(currency), pin);
    model.map(Arc::new).map_err(|faults| refused(path, &faults))
}

/// The model that `model.file` names, if it names one.
///
/// # Errors
/// All that is wrong with the file, or that `model.pin` wants another one.
pub fn configured_model(config: &Config) -> Result<Option<Arc<Model>>, Misuse> {
    let ModelChoice { file, pin, .. } = &config.model;
    let read = |path| read_model(path, config.processing.currency, pin.as_deref());
    file.as_deref().map(read).transpose()
}

/// All that is wrong with the configured model's file, for who tells it beside other faults.
pub fn model_faults(choice: &ModelChoice, currency: Option<Currency>) -> Vec<String> {
    let Some(path) = choice.file.as_deref() else { return Vec::new() };
    match fs::read_to_string(path) {
        Ok(text) => judge(&text, currency, choice.pin.as_deref()).err().unwrap_or_default(),
        Err(error) => vec![format!("the model file cannot be read: {error}")],
    }
}

fn read(path: &Path) -> Result<String, Misuse> {
    fs::read_to_string(path).map_err(|error| {
        Misuse(format!("the model file `{}` cannot be read: {error}", path.display()))
    })
}

fn refused(path: &Path, faults: &[String]) -> Misuse {
    Misuse(format!("the model file `{}` is refused:\n{}", path.display(), faults.join("\n")))
}

/// The model, or all that is wrong with it. A currency that is not known is not compared.
fn judge(text: &str, currency: Option<Currency>, pin: Option<&str>) -> Result<Model, Vec<String>> {
    let (file, mut faults) = shape::parse(text);
    let Some(file) = file else { return Err(faults) };
    if let (Some(ours), Some(other)) = (currency, file.currency.as_deref())
        && Currency::parse(other).is_some_and(|other| other != ours)
    {
        faults.push(format!(
            "`currency` is `{other}` and `processing.currency` is `{ours}`: give a model that was \
             fitted to amounts in `{ours}`"
        ));
    }
    let label = format!("{}/{}", file.name, file.version);
    if let Some(pin) = pin.filter(|pin| *pin != label) {
        faults.push(format!(
            "it holds `{label}` and `model.pin` is `{pin}`: name the pinned model's file, or \
             change the pin"
        ));
    }
    match Model::from_file(file) {
        Ok(model) if faults.is_empty() => Ok(model),
        Ok(_) => Err(faults),
        Err(values) => {
            // What is not there or of another kind has been said.
            let is_said = |value: &String| {
                let key = value.split('`').nth(1);
                faults.iter().any(|fault| key.is_some() && fault.split('`').nth(1) == key)
            };
            let values: Vec<String> = values.into_iter().filter(|it| !is_said(it)).collect();
            faults.extend(values);
            Err(faults)
        }
    }
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
}

//! The model file as it is written (TOML, `lifetide.model/1`), before anything in it is believed.
//! Reads no file and knows no TOML: serde does. Serialized and deserialized by the commands,
//! made by `fit`, validated by `model`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A model file. A key that is not listed here is an error that names it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// `lifetide.model/1`.
    pub schema: String,
    /// `bg-nbd`, `mbg-nbd` or `pareto-nbd`.
    pub name: String,
    /// What tells this fit from others of the same name.
    pub version: String,
    /// The unit of time of the parameters: `week`.
    pub unit: String,
    /// ISO 4217 code of the money in `spend`, where there is one.
    pub currency: Option<String>,
    /// Parameters of the purchase model.
    pub parameters: Parameters,
    /// Parameters of the spend model, where there is one.
    pub spend: Option<Spend>,
    /// The season index, where there is one.
    pub season: Option<SeasonIndex>,
    /// What is known of the fit.
    pub evidence: Option<Evidence>,
}

/// Parameters of the purchase model: `r alpha a b` (BG/NBD, MBG/NBD) or `r alpha s beta`
/// (Pareto/NBD).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Shape of the purchase rates.
    pub r: Option<f64>,
    /// Rate of the purchase rates, in weeks.
    pub alpha: Option<f64>,
    /// First shape of the chance of death.
    pub a: Option<f64>,
    /// Second shape of the chance of death.
    pub b: Option<f64>,
    /// Shape of the death rates.
    pub s: Option<f64>,
    /// Rate of the death rates, in weeks.
    pub beta: Option<f64>,
}

/// Parameters of the Gamma-Gamma model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    /// Shape of a purchase day's value within a customer.
    pub p: Option<f64>,
    /// Shape of the customers' rates; above 1.
    pub q: Option<f64>,
    /// Scale of the customers' rates, in major units of money.
    pub gamma: Option<f64>,
}

/// How much is bought in each part of the year against the year's mean.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SeasonIndex {
    /// 52 numbers of mean 1: one for each seven days from the first of January, the last for the
    /// rest of the year too.
    pub index: Vec<f64>,
}

/// What is known of a fit. Only `identifiable` changes an answer; the rest is for the reader.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Customers in the fit.
    pub customers: Option<u64>,
    /// Total log-likelihood of the purchase model.
    pub log_likelihood: Option<f64>,
    /// Total log-likelihood of the NBD model, in which nobody dies, on the same customers.
    pub nbd_log_likelihood: Option<f64>,
    /// Total log-likelihood of the spend model.
    pub spend_log_likelihood: Option<f64>,
    /// Standard errors by parameter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub standard_errors: BTreeMap<String, f64>,
    /// Whether the data tell death from rare buying; absent means true.
    pub identifiable: Option<bool>,
}

//! What may be said of a maximum: standard errors, and which parameters the data leave open. It
//! finds no maximum and writes no sentence. Called by `mod`.

use super::climb::{Summit, steepness};
use super::symmetric::Eigen;

/// A parameter is left open by the data when its standard error is more than this in its logarithm:
/// a factor of a thousand either way.
const LN_ERROR_MAX: f64 = 6.9;

/// Less curvature than this is none: a floor under which no standard error would be a number.
const STEEPNESS_MIN: f64 = 1e-30;

/// A parameter and how well the data know it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Its key in the model file.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// Its standard error; `None` where the data leave it open: it has run to a boundary.
    pub standard_error: Option<f64>,
}

/// The maximum of a model's likelihood.
#[derive(Clone, Debug, PartialEq)]
pub struct Maximum {
    /// Total log-likelihood.
    pub log_likelihood: f64,
    /// The parameters, in the model's order.
    pub estimates: Vec<Estimate>,
    /// Whether the search came to rest within its steps.
    pub is_settled: bool,
}

impl Maximum {
    /// With standard errors from the curvature in the logarithms of the parameters, carried over to
    /// the parameters by the delta method; one that a bound holds back counts as known.
    pub(super) fn of<const N: usize>(keys: [&'static str; N], summit: &Summit<N>) -> Self {
        let Eigen { values, vectors } = Eigen::of(&steepness(&summit.point, summit.held));
        let ln_error = |i: usize| {
            let terms =
                (0..N).map(|k| vectors[k][i] * vectors[k][i] / values[k].max(STEEPNESS_MIN));
            terms.sum::<f64>().sqrt()
        };
        let estimate = |i: usize| {
            let value = summit.parameters[i];
            let known = Some(ln_error(i)).filter(|error| !summit.held[i] && *error <= LN_ERROR_MAX);
            Estimate { key: keys[i], value, standard_error: known.map(|error| value * error) }
        };
        Self {
            log_likelihood: summit.point.value,
            estimates: (0..N).map(estimate).collect(),
            is_settled: summit.is_settled,
        }
    }

    /// The value of a parameter.
    pub fn value(&self, key: &str) -> Option<f64> {
        self.estimates.iter().find(|it| it.key == key).map(|it| it.value)
    }

    /// The parameters that the data leave open.
    pub(super) fn open(&self) -> Vec<&Estimate> {
        self.estimates.iter().filter(|it| it.standard_error.is_none()).collect()
    }
}

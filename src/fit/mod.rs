//! Fits the models of `clv` to a history by maximum likelihood.
//!
//! `statistics` and `activity` what a fit needs of a history · `nbd`, `beta_geometric`,
//! `pareto_nbd`, `gamma_gamma` the log-likelihoods with their derivatives · `special` derivatives
//! of ln Γ · `climb` the search for the maximum · `symmetric` its linear algebra · `verdict`
//! standard errors and what the data leave open · `succession` whether a fit may take another's
//! place.
//!
//! Pure: the same customers give the same parameters, bit for bit, in whatever order they come and
//! on whatever machine. No parameter leaves the bounds within which `clv` computes, and none runs
//! to a boundary without a warning. Called by `commands` and by
//! `kafka::modeller`.

mod activity;
mod beta_geometric;
mod climb;
mod gamma_gamma;
mod nbd;
mod pareto_nbd;
mod special;
mod statistics;
pub mod succession;
mod symmetric;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::clv::{self, Evidence, GAMMA_MAX, NoSeason, PARAMETER_MAX, PARAMETER_MIN, SeasonIndex};
use crate::money::Currency;
use climb::{Bounds, Point, Summit, climb};
use statistics::{Histories, Row};

pub use statistics::Statistics;
pub use verdict::{Estimate, Maximum};

/// Customers with a repeat day, below which four parameters would be drawn from noise.
pub const REPEATERS_MIN: u64 = 10;

/// The likelihood ratio against NBD from which on the data tell death from rare buying.
///
/// It is the 95 % point of χ² with the two degrees of freedom that the dropout adds. Under NBD
/// these two stand at their boundary, where the ratio is 0 about as often as not and its tail is
/// thinner than that of χ²: so fewer than 5 % of histories without dropout pass. The error is on
/// the side of caution, for what fails only loses P(alive), not the score.
pub const LIKELIHOOD_RATIO_MIN: f64 = 5.991_464_547_107_98;

/// Distinct histories, or spends, on which the starts of a search compete; the best goes on with
/// all.
const EXPLORED_MAX: usize = 1_024;

/// Starts: r of NBD; a and b; s, and beta as a share of the mean age; p and q. Where next to nobody
/// dies, the models with a death are NBD: the last start of each sees to it that none ends below.
const NBD_STARTS: [f64; 2] = [0.3, 3.0];
const BETA_STARTS: [[f64; 2]; 4] = [[0.5, 2.0], [0.1, 10.0], [5.0, 5.0], [1e-3, 1e3]];
const PARETO_STARTS: [[f64; 2]; 4] = [[0.5, 0.5], [0.1, 3.0], [5.0, 5.0], [1e-3, 1e3]];
const SPEND_STARTS: [[f64; 2]; 3] = [[5.0, 4.0], [1.0, 2.0], [50.0, 20.0]];

/// A purchase model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Nobody dies before their second purchase day.
    BgNbd,
    /// Death is possible right after the first.
    MbgNbd,
    /// Death is possible at any time.
    ParetoNbd,
}

impl Name {
    /// All of them, as they are tried.
    pub const ALL: [Self; 3] = [Self::MbgNbd, Self::ParetoNbd, Self::BgNbd];

    /// As model files state it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BgNbd => "bg-nbd",
            Self::MbgNbd => "mbg-nbd",
            Self::ParetoNbd => "pareto-nbd",
        }
    }

    /// Whether it is chosen without being named: BG/NBD takes everyone who bought on one day alone
    /// for alive, however long ago.
    const fn is_candidate(self) -> bool {
        !matches!(self, Self::BgNbd)
    }
}

/// What is to be fitted.
#[derive(Clone, Debug)]
pub struct Request {
    /// The purchase model; `None` takes MBG/NBD or Pareto/NBD, whichever is likelier.
    pub name: Option<Name>,
    /// What tells this fit from others of the same name.
    pub version: String,
    /// The money of the spends.
    pub currency: Option<Currency>,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// Too few customers bought again.
    #[error(
        "`{n_repeaters}` of `{n_customers}` customers bought on more than one day, and a fit needs \
         `{REPEATERS_MIN}`; give it a longer history or more customers"
    )]
    Repeaters {
        /// Customers with a repeat day.
        n_repeaters: u64,
        /// All customers.
        n_customers: u64,
    },
    /// A likelihood is not finite anywhere.
    #[error(
        "the likelihood of `{0}` is not finite on this history; look for a customer with an \
         impossible number of purchase days, or take another model"
    )]
    NotFinite(&'static str),
    /// The model would not be read again.
    #[error("the fitted model is not usable: {0}")]
    Refused(String),
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The model; [`clv::Model::from_file`] takes it.
    pub file: clv::ModelFile,
    /// What the reader must know, a sentence each, with the remedy.
    pub warnings: Vec<String>,
    /// The purchase models that were fitted; the first is the one in the file.
    pub tried: Vec<(Name, Maximum)>,
    /// NBD, in which nobody dies, for comparison.
    pub nbd: Maximum,
    /// Twice the gain in log-likelihood over NBD.
    pub likelihood_ratio: f64,
    /// The spend model, where there is one.
    pub spend: Option<Maximum>,
    /// Why there is no season index in the file.
    pub no_season: Option<NoSeason>,
}

/// Fits a purchase model and the spend model.
///
/// # Errors
/// The history has too little in it, or the request does not make a model file.
pub fn fit(statistics: &Statistics, request: &Request) -> Result<Fitted, Unfit> {
    let (n_repeaters, n_customers) = (statistics.n_repeaters(), statistics.n_customers());
    if n_repeaters < REPEATERS_MIN {
        return Err(Unfit::Repeaters { n_repeaters, n_customers });
    }
    let search =
        Search { few: statistics.histories(EXPLORED_MAX), all: statistics.histories(usize::MAX) };
    let nbd = search.nbd()?;
    let names = request.name.map_or(Name::ALL.to_vec(), |name| vec![name]);
    let (mut tried, mut warnings) = (Vec::new(), Vec::new());
    for name in names {
        match search.purchasing(name, &nbd) {
            Ok(maximum) => tried.push((name, maximum)),
            // Another model may do.
            Err(unfit) if request.name.is_none() => warnings.push(unfit.to_string()),
            Err(unfit) => return Err(unfit),
        }
    }
    // Stable, so that of equals the first stays the first.
    let rank = |(name, maximum): &(Name, Maximum)| (name.is_candidate(), maximum.log_likelihood);
    tried.sort_by(|one, other| {
        let ((is_one, one), (is_other, other)) = (rank(one), rank(other));
        is_other.cmp(&is_one).then(other.total_cmp(&one))
    });
    let Some((name, purchasing)) = tried.first() else {
        return Err(Unfit::NotFinite("every model"));
    };
    // A search ends a hair below what it contains.
    let gain = purchasing.log_likelihood - nbd.log_likelihood;
    let likelihood_ratio = (2.0 * gain).max(0.0);
    let is_identifiable = likelihood_ratio >= LIKELIHOOD_RATIO_MIN;
    if !is_identifiable {
        warnings.push(unidentifiable(*name, likelihood_ratio));
    }
    warnings.extend(unsure(name.as_str(), purchasing, "take another model with `--name`"));
    let spend = spending(statistics, &mut warnings);
    let evidence = Evidence {
        customers: Some(n_customers),
        log_likelihood: Some(purchasing.log_likelihood),
        nbd_log_likelihood: Some(nbd.log_likelihood),
        spend_log_likelihood: spend.as_ref().map(|spend| spend.log_likelihood),
        standard_errors: standard_errors([Some(purchasing), spend.as_ref()]),
        identifiable: Some(is_identifiable),
    };
    let season = statistics.season();
    let mut file = file(request, *name, purchasing, spend.as_ref(), evidence);
    file.season = season.ok().map(|index| SeasonIndex { index: index.to_vec() });
    let no_season = season.err();
    match clv::Model::from_file(file.clone()) {
        Err(faults) => Err(Unfit::Refused(faults.join("; "))),
        Ok(_) => Ok(Fitted { file, warnings, tried, nbd, likelihood_ratio, spend, no_season }),
    }
}

/// The total log-likelihood of a purchase model on a history; `None` for one that is no model.
pub fn log_likelihood(statistics: &Statistics, file: &clv::ModelFile) -> Option<f64> {
    let histories = statistics.histories(usize::MAX);
    let clv::Parameters { r, alpha, a, b, s, beta } = file.parameters;
    let (r, alpha) = (r?, alpha?);
    let beta_geometric = |may_die_at_first| {
        let parameters = [r, alpha, a?, b?];
        Some(beta_geometric::likelihood(&histories, &parameters, may_die_at_first).value)
    };
    match Name::ALL.into_iter().find(|name| name.as_str() == file.name)? {
        Name::BgNbd => beta_geometric(false),
        Name::MbgNbd => beta_geometric(true),
        Name::ParetoNbd => Some(pareto_nbd::likelihood(&histories, &[r, alpha, s?, beta?]).value),
    }
}

fn file(
    request: &Request,
    name: Name,
    purchasing: &Maximum,
    spend: Option<&Maximum>,
    evidence: Evidence,
) -> clv::ModelFile {
    clv::ModelFile {
        schema: clv::SCHEMA.to_owned(),
        name: name.as_str().to_owned(),
        version: request.version.clone(),
        unit: "week".to_owned(),
        currency: request.currency.map(|currency| currency.code().to_owned()),
        parameters: clv::Parameters {
            r: purchasing.value("r"),
            alpha: purchasing.value("alpha"),
            a: purchasing.value("a"),
            b: purchasing.value("b"),
            s: purchasing.value("s"),
            beta: purchasing.value("beta"),
        },
        spend: spend.map(|spend| clv::Spend {
            p: spend.value("p"),
            q: spend.value("q"),
            gamma: spend.value("gamma"),
        }),
        season: None,
        evidence: Some(evidence),
    }
}

fn standard_errors(maxima: [Option<&Maximum>; 2]) -> BTreeMap<String, f64> {
    let estimates = maxima.into_iter().flatten().flat_map(|maximum| &maximum.estimates);
    estimates.filter_map(|it| Some((it.key.to_owned(), it.standard_error?))).collect()
}

/// The searches on one history.
struct Search {
    few: Histories,
    all: Histories,
}

impl Search {
    fn nbd(&self) -> Result<Maximum, Unfit> {
        let total = |of: fn(&Row) -> f64| self.all.rows.iter().map(of).sum::<f64>();
        let rate = total(|row| row.n * row.x) / total(|row| row.n * row.t_weeks).max(PARAMETER_MIN);
        let starts = NBD_STARTS.map(|r| [r, r / rate]);
        let summit = self.summit(&starts, nbd::likelihood).ok_or(Unfit::NotFinite("nbd"))?;
        Ok(Maximum::of(["r", "alpha"], &summit))
    }

    fn purchasing(&self, name: Name, nbd: &Maximum) -> Result<Maximum, Unfit> {
        let (r, alpha) = (nbd.value("r").unwrap_or(1.0), nbd.value("alpha").unwrap_or(1.0));
        let beta_starts = BETA_STARTS.map(|[a, b]| [r, alpha, a, b]);
        let (keys, summit) = match name {
            Name::BgNbd | Name::MbgNbd => {
                let may_die_at_first = name == Name::MbgNbd;
                let summit = self.summit(&beta_starts, |histories, parameters| {
                    beta_geometric::likelihood(histories, parameters, may_die_at_first)
                });
                (["r", "alpha", "a", "b"], summit)
            }
            Name::ParetoNbd => {
                let n = self.all.reached.first().copied().unwrap_or(1.0);
                let age = self.all.rows.iter().map(|row| row.n * row.t_weeks).sum::<f64>() / n;
                let starts = PARETO_STARTS.map(|[s, share]| [r, alpha, s, share * age]);
                (["r", "alpha", "s", "beta"], self.summit(&starts, pareto_nbd::likelihood))
            }
        };
        let summit = summit.ok_or(Unfit::NotFinite(name.as_str()))?;
        Ok(Maximum::of(keys, &summit))
    }

    fn summit<const N: usize>(
        &self,
        starts: &[[f64; N]],
        of: impl Fn(&Histories, &[f64; N]) -> Point<N>,
    ) -> Option<Summit<N>> {
        let bounds = Bounds { min: [PARAMETER_MIN; N], max: [PARAMETER_MAX; N] };
        let few = (!self.few.is_whole).then_some(|parameters: &_| of(&self.few, parameters));
        ascend(starts, &bounds, few, |parameters| of(&self.all, parameters))
    }
}

/// The maximum by all of a history; where it is long, the starts compete on a few of it.
fn ascend<const N: usize>(
    starts: &[[f64; N]],
    bounds: &Bounds<N>,
    few: Option<impl Fn(&[f64; N]) -> Point<N>>,
    all: impl Fn(&[f64; N]) -> Point<N>,
) -> Option<Summit<N>> {
    match few {
        None => climb(starts, bounds, all),
        Some(few) => climb(&[climb(starts, bounds, few)?.parameters], bounds, all),
    }
}

/// The spend model, or a warning that there is none.
fn spending(statistics: &Statistics, warnings: &mut Vec<String>) -> Option<Maximum> {
    const LEFT_OUT: &str = "`[spend]` is left out, and with it order values and `predicted`";
    let n_spenders = statistics.n_spenders();
    if n_spenders < REPEATERS_MIN {
        warnings.push(format!(
            "`{n_spenders}` customers have repeat days of a mean value above 0, and the spend \
             model needs `{REPEATERS_MIN}`: {LEFT_OUT}; fit a longer history"
        ));
        return None;
    }
    let groups = statistics.spends(usize::MAX);
    let means = || groups.iter().flat_map(|group| &group.means);
    let total = means().map(|(mean, n)| mean * n).sum::<f64>();
    let mean = total / means().map(|(_, n)| n).sum::<f64>();
    let starts = SPEND_STARTS.map(|[p, q]| [p, q, mean * (q - 1.0) / p]);
    let bounds = Bounds { min: [PARAMETER_MIN; 3], max: [PARAMETER_MAX, PARAMETER_MAX, GAMMA_MAX] };
    let explored = statistics.spends(EXPLORED_MAX);
    let is_whole = explored == groups;
    let few = |parameters: &_| gamma_gamma::likelihood(&explored, parameters);
    let all = |parameters: &_| gamma_gamma::likelihood(&groups, parameters);
    let Some(summit) = ascend(&starts, &bounds, (!is_whole).then_some(few), all) else {
        warnings.push(format!(
            "the likelihood of the spend model is not finite: {LEFT_OUT}; look for amounts that \
             cannot be meant"
        ));
        return None;
    };
    let maximum = Maximum::of(["p", "q", "gamma"], &summit);
    let q = maximum.value("q").unwrap_or_default();
    if q <= 1.0 {
        warnings.push(format!(
            "`q` of the spend model is `{q:.4}`, and at most 1 the population has no mean: \
             {LEFT_OUT}; fit again without outliers, or a longer history"
        ));
        return None;
    }
    let Some(unsure) = unsure("gamma-gamma", &maximum, "without outliers") else {
        return Some(maximum);
    };
    warnings.push(format!("{unsure}; {LEFT_OUT}"));
    None
}

fn unidentifiable(name: Name, likelihood_ratio: f64) -> String {
    format!(
        "`{}` explains this history hardly better than NBD, in which nobody ever leaves (ratio of \
         likelihoods `{likelihood_ratio:.2}`, needed `{LIKELIHOOD_RATIO_MIN:.2}`): `identifiable = \
         false`, P(alive) is not acted on, and expected orders and the silence tail speak instead; \
         fit a longer history",
        name.as_str()
    )
}

/// A sentence where a maximum lies on a boundary or was not reached.
fn unsure(name: &str, maximum: &Maximum, remedy: &str) -> Option<String> {
    let open = maximum.open();
    if open.is_empty() {
        let note = "the search came to no rest: the parameters may be off";
        return (!maximum.is_settled).then(|| format!("`{name}`: {note}; {remedy}"));
    }
    let values: Vec<String> =
        open.iter().map(|it| format!("`{}` (`{:.4e}`)", it.key, it.value)).collect();
    Some(format!(
        "`{name}`: the data leave {} open, a boundary on which the likelihood hardly changes any \
         more, so no standard error is given; fit a longer history, or {remedy}",
        values.join(" and ")
    ))
}

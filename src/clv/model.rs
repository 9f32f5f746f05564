//! The validated model, the one thing the rest of the program asks. Computes nothing itself: hands
//! each question to the purchase model or the spend model. Built from a `ModelFile` by the
//! commands; asked by `forecaster`, `churn` and the scores.

use super::bg_nbd::BetaGeometric;
use super::gamma_gamma::GammaGamma;
use super::model_file::{Evidence, ModelFile, Parameters, SeasonIndex, Spend};
use super::pareto_nbd::ParetoNbd;
use super::{Purchases, RatePrior, SEASON_PARTS, Season, weeks};
use crate::money::Currency;

/// The schema that model files state.
pub(crate) const SCHEMA: &str = "lifetide.model/1";

/// Bounds of every parameter but `gamma`: a fit that leaves them has run to its boundary, and
/// within them no result overflows and none loses more than a few digits.
pub(crate) const PARAMETER_MIN: f64 = 1e-6;
pub(crate) const PARAMETER_MAX: f64 = 1e6;

/// Upper bound of `gamma`, which is money and large in currencies of small units.
pub(crate) const GAMMA_MAX: f64 = 1e12;

/// Bounds of the season index: a week without any purchase, or with more, is an odd week and no
/// season.
pub(super) const SEASON_MIN: f64 = 0.02;
pub(super) const SEASON_MAX: f64 = 50.0;

/// How far rounding may take the mean of the season index from 1.
const SEASON_MEAN_ERROR_MAX: f64 = 0.001;

/// The longest version, in characters: it goes into every score.
const VERSION_CHARS_MAX: usize = 64;

/// A purchase model, with a spend model where the file has one, whose parameters are sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    label: String,
    currency: Option<Currency>,
    purchasing: Purchasing,
    spending: Option<GammaGamma>,
    season: Option<Season>,
    is_identifiable: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Purchasing {
    BetaGeometric(BetaGeometric),
    ParetoNbd(ParetoNbd),
}

impl Model {
    /// Validates a model file.
    ///
    /// # Errors
    /// All faults of the file, each naming the key, the value and the remedy.
    pub fn from_file(file: ModelFile) -> Result<Self, Vec<String>> {
        let mut check = Check { faults: Vec::new() };
        check.text("schema", &file.schema, SCHEMA);
        check.text("unit", &file.unit, "week");
        check.version(&file.version);
        let currency = file.currency.and_then(|code| check.currency(&code));
        let purchasing = check.purchasing(&file.name, &file.parameters);
        let spending = file.spend.as_ref().map(|spend| check.spending(spend));
        let season = file.season.as_ref().and_then(|season| check.season(season));
        let evidence = file.evidence.unwrap_or_default();
        check.evidence(&evidence);
        match purchasing {
            Some(purchasing) if check.faults.is_empty() => Ok(Self {
                label: format!("{}/{}", file.name, file.version),
                currency,
                purchasing,
                spending,
                season,
                is_identifiable: evidence.identifiable.unwrap_or(true),
            }),
            _ => Err(check.faults),
        }
    }

    /// `name/version`, as scores state it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether the fit could tell death from rare buying. If not, P(alive) must not be acted on.
    pub fn identifiable(&self) -> bool {
        self.is_identifiable
    }

    /// The season index, where the file has one.
    pub fn season(&self) -> Option<&Season> {
        self.season.as_ref()
    }

    /// The currency of the spend model, where the file states it.
    pub fn currency(&self) -> Option<Currency> {
        self.currency
    }

    /// The prior of purchase rates.
    pub fn rate_prior(&self) -> RatePrior {
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => model.prior,
            Purchasing::ParetoNbd(model) => model.prior,
        }
    }

    /// The chance that the customer is alive, that is, may still buy. Falls with silence.
    pub fn p_alive(&self, purchases: &Purchases) -> f64 {
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => model.p_alive(purchases),
            Purchasing::ParetoNbd(model) => model.p_alive(purchases),
        }
    }

    /// The logarithm D of the odds that the customer is dead, so that [`Self::p_alive`] is
    /// 1 / (1 + e^D); `None` where that is 1, because nothing can have happened yet.
    pub fn ln_odds_of_death(&self, purchases: &Purchases) -> Option<f64> {
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => model.ln_odds_of_death(purchases),
            Purchasing::ParetoNbd(model) => model.ln_odds_of_death(purchases),
        }
    }

    /// The smallest age in whole days, at least `t_x_days`, at which [`Self::p_alive`] is at most
    /// `p` if the customer stays silent; `None` when that lies above 100 years.
    pub fn p_alive_falls_to(&self, x: u32, t_x_days: u32, p: f64) -> Option<u32> {
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => model.p_alive_falls_to(x, t_x_days, p),
            Purchasing::ParetoNbd(model) => model.p_alive_falls_to(x, t_x_days, p),
        }
    }

    /// Whether P(alive) of everyone who bought on a single day is 1, as under BG/NBD: never act on
    /// it then.
    pub fn is_never_dead_without_repeat(&self) -> bool {
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => !model.may_die_at_first,
            Purchasing::ParetoNbd(_) => false,
        }
    }

    /// Expected purchase days over the next `horizon_weeks` of a customer who lives at the age of
    /// `t_days`. Times P(alive) they are the expected purchase days of the customer.
    pub fn expected_orders_alive(&self, x: u32, t_days: u32, horizon_weeks: f64) -> f64 {
        let mut orders = [0.0];
        self.fill_expected_orders_alive(x, t_days, &[horizon_weeks], &mut orders);
        orders[0]
    }

    /// The chances of 0, 1, 2 … purchase days over the next `horizon_weeks` of a customer who lives
    /// at the age of `t_days`, up to where hardly any chance is left. Their mean is
    /// [`Self::expected_orders_alive`].
    pub fn order_chances_alive(&self, x: u32, t_days: u32, horizon_weeks: f64) -> Vec<f64> {
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => model.order_chances_alive(x, t_days, horizon_weeks),
            Purchasing::ParetoNbd(model) => model.order_chances_alive(x, t_days, horizon_weeks),
        }
    }

    /// [`Self::expected_orders_alive`] for several horizons at once, which costs less.
    pub(super) fn fill_expected_orders_alive(
        &self,
        x: u32,
        t_days: u32,
        horizons_weeks: &[f64],
        orders: &mut [f64],
    ) {
        let t_weeks = weeks(t_days);
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => {
                model.expected_orders_alive(x, t_weeks, horizons_weeks, orders);
            }
            Purchasing::ParetoNbd(model) => {
                model.expected_orders_alive(x, t_weeks, horizons_weeks, orders);
            }
        }
    }

    /// The mean value of a purchase day over the population, in major units; `None` without a spend
    /// model.
    pub fn population_mean_value(&self) -> Option<f64> {
        self.spending.map(|spending| spending.population_mean())
    }

    /// The expected value of a purchase day of a customer whose `x` repeat days had the mean
    /// `mean_major`, in major units; the population's mean where there is no repeat day or their
    /// mean is not above 0; `None` without a spend model.
    pub fn expected_value(&self, x: u32, mean_major: f64) -> Option<f64> {
        self.spending.map(|spending| spending.expected_value(x, mean_major))
    }

    /// The chance that `n_orders` further purchase days of a customer whose `x` repeat days had the
    /// mean `mean_major` bring less than `amount_major` together; `None` without a spend model.
    pub fn chance_of_less(
        &self,
        x: u32,
        mean_major: f64,
        n_orders: u32,
        amount_major: f64,
    ) -> Option<f64> {
        self.spending.map(|it| it.chance_of_less(x, mean_major, n_orders, amount_major))
    }

    /// The weight of the customer's own mean in [`Self::expected_value`], the rest being the
    /// population's; 0 where it does not count, `None` without a spend model.
    pub fn own_value_share(&self, x: u32, mean_major: f64) -> Option<f64> {
        self.spending.map(|spending| spending.own_share(x, mean_major).unwrap_or(0.0))
    }

    /// The parameters of the purchase model, as in the file.
    pub fn parameters(&self) -> Parameters {
        let RatePrior { r, alpha_weeks } = self.rate_prior();
        let shared = Parameters { r: Some(r), alpha: Some(alpha_weeks), ..Parameters::default() };
        match &self.purchasing {
            Purchasing::BetaGeometric(model) => {
                Parameters { a: Some(model.a), b: Some(model.b), ..shared }
            }
            Purchasing::ParetoNbd(model) => {
                Parameters { s: Some(model.s), beta: Some(model.beta_weeks), ..shared }
            }
        }
    }

    /// The parameters of the spend model, as in the file.
    pub fn spend(&self) -> Option<Spend> {
        let GammaGamma { p, q, gamma } = self.spending?;
        Some(Spend { p: Some(p), q: Some(q), gamma: Some(gamma) })
    }

    /// Gamma-Gamma's p: values vary within a customer with a coefficient of 1/√p. `None` without a
    /// spend model.
    pub fn basket_shape(&self) -> Option<f64> {
        self.spending.map(|spending| spending.p)
    }
}

/// Gathers the faults of a file.
struct Check {
    faults: Vec<String>,
}

impl Check {
    fn text(&mut self, key: &str, value: &str, expected: &str) {
        if value != expected {
            self.faults.push(format!("`{key}` is `{value}`; it must be `{expected}`"));
        }
    }

    fn version(&mut self, version: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if version.is_empty() || version.len() > VERSION_CHARS_MAX || !version.bytes().all(is_plain)
        {
            self.faults.push(format!(
                "`version` is `{version}`; give 1 to {VERSION_CHARS_MAX} letters, digits, `.`, `_` \
                 or `-`"
            ));
        }
    }

    fn currency(&mut self, code: &str) -> Option<Currency> {
        let currency = Currency::parse(code);
        if currency.is_none() {
            self.faults.push(format!(
                "`currency` is `{code}`; give three capital letters (ISO 4217), or leave it out"
            ));
        }
        currency
    }

    fn purchasing(&mut self, name: &str, parameters: &Parameters) -> Option<Purchasing> {
        let Parameters { r, alpha, a, b, s, beta } = *parameters;
        let has_beta_chance = match name {
            "bg-nbd" | "mbg-nbd" => true,
            "pareto-nbd" => false,
            _ => {
                self.faults.push(format!(
                    "`name` is `{name}`; it must be `bg-nbd`, `mbg-nbd` or `pareto-nbd`"
                ));
                return None;
            }
        };
        let prior = RatePrior {
            r: self.parameter("parameters.r", r),
            alpha_weeks: self.parameter("parameters.alpha", alpha),
        };
        if has_beta_chance {
            self.foreign("parameters.s", s, name);
            self.foreign("parameters.beta", beta, name);
            Some(Purchasing::BetaGeometric(BetaGeometric {
                prior,
                a: self.parameter("parameters.a", a),
                b: self.parameter("parameters.b", b),
                may_die_at_first: name == "mbg-nbd",
            }))
        } else {
            self.foreign("parameters.a", a, name);
            self.foreign("parameters.b", b, name);
            Some(Purchasing::ParetoNbd(ParetoNbd {
                prior,
                s: self.parameter("parameters.s", s),
                beta_weeks: self.parameter("parameters.beta", beta),
            }))
        }
    }

    fn spending(&mut self, spend: &Spend) -> GammaGamma {
        if let Some(q) = spend.q
            && (PARAMETER_MIN..=1.0).contains(&q)
        {
            self.faults.push(format!(
                "`spend.q` is `{q}`; it must be above 1, or the population has no mean value: fit \
                 again without outliers, or leave `[spend]` out"
            ));
        }
        GammaGamma {
            p: self.parameter("spend.p", spend.p),
            q: self.parameter("spend.q", spend.q),
            gamma: self.within("spend.gamma", spend.gamma, GAMMA_MAX),
        }
    }

    fn season(&mut self, season: &SeasonIndex) -> Option<Season> {
        let n_before = self.faults.len();
        for (i, weight) in season.index.iter().enumerate() {
            if !(SEASON_MIN..=SEASON_MAX).contains(weight) {
                self.faults.push(format!(
                    "`season.index[{i}]` is `{weight}`; it must lie between `{SEASON_MIN}` and \
                     `{SEASON_MAX}`: fit the model again, or leave `[season]` out"
                ));
            }
        }
        let Ok(index) = <[f64; SEASON_PARTS]>::try_from(season.index.as_slice()) else {
            self.faults.push(format!(
                "`season.index` has `{}` numbers; give {SEASON_PARTS}, one for each seven days of \
                 the year, or leave `[season]` out",
                season.index.len()
            ));
            return None;
        };
        let mean = index.iter().sum::<f64>() / 52.0;
        if n_before == self.faults.len() && (mean - 1.0).abs() > SEASON_MEAN_ERROR_MAX {
            self.faults.push(format!(
                "`season.index` has the mean `{mean}`; it must be 1: divide each number by it"
            ));
        }
        Season::new(&index)
    }

    fn evidence(&mut self, evidence: &Evidence) {
        let figures = [
            ("log_likelihood", evidence.log_likelihood),
            ("nbd_log_likelihood", evidence.nbd_log_likelihood),
            ("spend_log_likelihood", evidence.spend_log_likelihood),
        ];
        let errors = evidence.standard_errors.iter();
        let errors = errors.map(|(key, value)| (format!("standard_errors.{key}"), *value));
        let figures = figures.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        for (key, value) in figures.chain(errors) {
            if !value.is_finite() {
                self.faults.push(format!(
                    "`evidence.{key}` is `{value}`; give a finite number, or leave it out"
                ));
            }
        }
    }

    fn foreign(&mut self, key: &str, value: Option<f64>, name: &str) {
        if let Some(value) = value {
            self.faults.push(format!("`{key}` is `{value}`; `{name}` has none: remove it"));
        }
    }

    fn parameter(&mut self, key: &str, value: Option<f64>) -> f64 {
        self.within(key, value, PARAMETER_MAX)
    }

    /// The value, or 1 with a fault noted, so that one pass finds all faults.
    fn within(&mut self, key: &str, value: Option<f64>, max: f64) -> f64 {
        match value {
            Some(value) if (PARAMETER_MIN..=max).contains(&value) => return value,
            Some(value) => self.faults.push(format!(
                "`{key}` is `{value}`; it must lie between `{PARAMETER_MIN:e}` and `{max:e}`: fit \
                 the model again"
            )),
            None => self.faults.push(format!("`{key}` is missing; every parameter must be given")),
        }
        1.0
    }
}

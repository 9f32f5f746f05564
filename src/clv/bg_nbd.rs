//! BG/NBD (Fader, Hardie and Lee 2005) and MBG/NBD (Batislam, Denizel and Filiztekin 2007):
//! purchases at a gamma rate, after each of which the customer dies with a beta chance. The two
//! differ only in whether the first purchase counts. Knows nothing of money. Called by `model`.

use super::deadline::first_day;
use super::quadrature::{BetaNodes, Smoothness};
use super::{Purchases, RatePrior, decayed_span};

/// Terms of the series for the expected orders; what needs more is integrated instead.
const TERMS_MAX: u32 = 512;

/// Below half of a double's last digit a further term changes nothing.
const LAST_DIGIT: f64 = f64::EPSILON / 2.0;

/// How much larger than the result the series' parts may be: three digits of sixteen are lost at
/// most, else the integral is taken.
const CANCELLATION_MAX: f64 = 1e3;

/// Parameters of the BG/NBD and MBG/NBD models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BetaGeometric {
    /// Purchase rates.
    pub(super) prior: RatePrior,
    /// First shape of the chance of death.
    pub(super) a: f64,
    /// Second shape of the chance of death.
    pub(super) b: f64,
    /// Whether a customer may die right after the first purchase (MBG/NBD).
    pub(super) may_die_at_first: bool,
}

impl BetaGeometric {
    /// The chance that the customer is alive: 1 / (1 + e^D) with the log-odds of death
    /// D = −ln S + ln(a / (b + k − 1)), where k purchases could have been followed by a death.
    pub(super) fn p_alive(&self, purchases: &Purchases) -> f64 {
        if self.is_immortal(purchases.x) {
            return 1.0;
        }
        let growth = self.prior.ln_odds_growth(purchases);
        1.0 / (1.0 + self.odds_at_purchase(purchases.x) * libm::exp(growth))
    }

    /// The log-odds D of death; `None` for who has had no chance to die.
    pub(super) fn ln_odds_of_death(&self, purchases: &Purchases) -> Option<f64> {
        let at_purchase = || libm::log(self.odds_at_purchase(purchases.x));
        let growth = self.prior.ln_odds_growth(purchases);
        (!self.is_immortal(purchases.x)).then(|| growth + at_purchase())
    }

    /// The smallest age in whole days, at least `t_x_days`, at which P(alive) is at most `p`.
    pub(super) fn p_alive_falls_to(&self, x: u32, t_x_days: u32, p: f64) -> Option<u32> {
        let growth = if self.is_immortal(x) {
            f64::INFINITY
        } else {
            libm::log((1.0 - p) / p.max(0.0)) - libm::log(self.odds_at_purchase(x))
        };
        let silence_weeks = self.prior.silence_weeks(x, t_x_days, growth);
        first_day(t_x_days, silence_weeks, |t_days| {
            self.p_alive(&Purchases { x, t_x_days, t_days }) <= p
        })
    }

    /// Nobody can have died who had no chance to: a single purchase under BG/NBD.
    fn is_immortal(&self, x: u32) -> bool {
        x == 0 && !self.may_die_at_first
    }

    /// The odds of death on the day of the last purchase, a / (b + k − 1); k is at least 1.
    fn odds_at_purchase(&self, x: u32) -> f64 {
        let survived = if self.may_die_at_first { x } else { x.saturating_sub(1) };
        self.a / (self.b + f64::from(survived))
    }

    /// The second shape of the chance of death once the customer is known to live.
    pub(super) fn b_alive(&self, x: u32) -> f64 {
        self.b + f64::from(x) + f64::from(u8::from(self.may_die_at_first))
    }

    /// Expected purchase days of a living customer, for each horizon in weeks.
    ///
    /// One series serves all horizons, since its coefficients do not depend on them. Where it
    /// converges slowly or cancels, the integral over the chance of death takes its place.
    pub(super) fn expected_orders_alive(
        &self,
        x: u32,
        t_weeks: f64,
        horizons_weeks: &[f64],
        orders: &mut [f64],
    ) {
        let scale = self.prior.alpha_weeks + t_weeks;
        let longest = horizons_weeks.iter().copied().fold(0.0, f64::max) / scale;
        let series = Series::new(self, x, longest);
        let mut integral = None;
        for (orders, horizon_weeks) in orders.iter_mut().zip(horizons_weeks) {
            let ratio = horizon_weeks / scale;
            let sum = series.as_ref().and_then(|series| series.sum(ratio));
            *orders = sum.unwrap_or_else(|| {
                integral.get_or_insert_with(|| Integral::new(self, x, longest)).average(ratio)
            });
        }
    }
}

/// The series of the expected orders given alive, with n = r + x, c = a + b' − 1 and, for a horizon
/// t, L = ln(1 + t / (alpha + T)) and z = 1 − e^−L:
///
/// c ∫ e^(−(a−1)v) dv over 0..L − e^(−(a−1)L) Σ (c−n)_k (a)_(k−1) z^k / ((c+1)_(k−1) k!), k ≥ 1.
///
/// The textbook's hypergeometric function after Euler's and a contiguous relation: regular at a = 1
/// and at a + b + x = 1, with parameters c − n and a that do not grow with x.
struct Series {
    a: f64,
    c: f64,
    coefficients: Vec<f64>,
}

impl Series {
    /// The coefficients for horizons of up to `longest` times alpha + T; `None` when they are more
    /// than [`TERMS_MAX`].
    fn new(model: &BetaGeometric, x: u32, longest: f64) -> Option<Self> {
        let a = model.a;
        let c = a + model.b_alive(x) - 1.0;
        let c_less_n = a + model.b_alive(0) - 1.0 - model.prior.r;
        let ratio = longest / (1.0 + longest);
        let mut coefficients = Vec::with_capacity(64);
        let (mut coefficient, mut power) = (c_less_n, ratio);
        let negligible = LAST_DIGIT * coefficient.abs() * ratio;
        for k in (1..=TERMS_MAX).map(f64::from) {
            coefficients.push(coefficient);
            let growth = (c_less_n + k) * (a + k - 1.0) / ((c + k) * (k + 1.0));
            let rest_factor = 1.0 - (growth.abs() * ratio).max(ratio);
            if (coefficient * power).abs() <= negligible * rest_factor {
                return Some(Self { a, c, coefficients });
            }
            coefficient *= growth;
            power *= ratio;
        }
        None
    }

    /// The expected orders for a horizon of `ratio` times alpha + T; `None` when they cancel.
    fn sum(&self, ratio: f64) -> Option<f64> {
        let span = libm::log1p(ratio);
        let z = ratio / (1.0 + ratio);
        let (mut sum, mut magnitude, mut power) = (0.0, 0.0, 1.0);
        for coefficient in &self.coefficients {
            power *= z;
            let term = coefficient * power;
            sum += term;
            magnitude += term.abs();
        }
        let lead = self.c * decayed_span(self.a - 1.0, span);
        let decay = libm::exp(-(self.a - 1.0) * span);
        let orders = lead - decay * sum;
        let parts = lead.abs() + decay * magnitude;
        (parts <= CANCELLATION_MAX * orders).then_some(orders)
    }
}

/// The expected orders given alive as the average over the chance of death p of
/// (1 − (1 + p t / (alpha + T))^−(r+x)) / p: positive by construction, for every parameter.
struct Integral {
    shape: f64,
    nodes: BetaNodes,
}

impl Integral {
    /// The nodes for horizons of up to `longest` times alpha + T.
    fn new(model: &BetaGeometric, x: u32, longest: f64) -> Self {
        let shape = model.prior.shape(x);
        let smoothness = Smoothness {
            flat: LAST_DIGIT / ((shape + 1.0) * longest.max(1.0)),
            ln_rise: libm::log1p(shape.max(1.0) * longest),
        };
        Self { shape, nodes: BetaNodes::new(model.a, model.b_alive(x), smoothness) }
    }

    /// The expected orders for a horizon of `ratio` times alpha + T.
    fn average(&self, ratio: f64) -> f64 {
        self.nodes.average(|p| -libm::expm1(-self.shape * libm::log1p(p * ratio)) / p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clv::weeks;

    fn model(name: &str, [r, alpha_weeks, a, b]: [f64; 4]) -> BetaGeometric {
        let prior = RatePrior { r, alpha_weeks };
        BetaGeometric { prior, a, b, may_die_at_first: name == "mbg" }
    }

    fn expected(model: &BetaGeometric, x: u32, t_weeks: f64, horizon_weeks: f64) -> f64 {
        let mut orders = [0.0];
        model.expected_orders_alive(x, t_weeks, &[horizon_weeks], &mut orders);
        orders[0]
    }

    /// Expected orders from the textbook form with the hypergeometric function, by mpmath 1.3 with
    /// 80 digits: model, r alpha a b, x, T in days, horizon in weeks.
    #[test]
    fn expected_orders_agree_with_80_digits_of_the_textbook_form() {
        let check = |name, parameters, x, t_days, horizon_weeks, reference: f64| {
            let orders = expected(&model(name, parameters), x, weeks(t_days), horizon_weeks);
            let error = orders / reference - 1.0;
            assert!(error.abs() < 2e-13, "{parameters:?} {x} {t_days} {horizon_weeks}: {error:e}");
        };
        let cdnow = [0.242_594_5, 4.413_601_9, 0.792_922_1, 2.425_907_2];
        check("bg", cdnow, 0, 0, 39.0, 1.195_009_969_793_275_2);
        check("bg", cdnow, 0, 0, 2_609.0, 9.520_184_581_247_895);
        check("bg", cdnow, 29, 272, 39.0, 20.365_633_708_759_994);
        check("bg", cdnow, 4_000, 10_950, 52.0, 130.893_872_705_171_8);
        check("bg", cdnow, 4_000, 10_950, 2_609.0, 4_344.599_596_032_609);
        check("bg", cdnow, 1, 0, 0.001, 0.000_281_524_070_417_107_6);
        let cdnow = [0.524_843_2, 6.183_086_1, 0.891_359_2, 1.614_002_1];
        check("mbg", cdnow, 0, 0, 39.0, 1.835_213_362_296_705_7);
        check("mbg", cdnow, 3, 200, 52.0, 3.779_353_390_766_339);
        check("mbg", cdnow, 4_000, 10_950, 2_609.0, 4_132.202_061_314_264);
        // At and near a = 1, where the textbook form divides by a − 1.
        check("bg", [0.243, 4.414, 1.0, 2.426], 0, 0, 39.0, 1.084_279_010_591_518_8);
        check("bg", [0.243, 4.414, 1.0, 2.426], 4_000, 10_950, 52.0, 130.452_710_403_486_35);
        check("bg", [0.243, 4.414, 1.000_000_001, 2.426], 29, 272, 39.0, 19.132_369_448_412_597);
        // At a + b + x = 1, where it divides by 0, and with a scale of hours.
        check("bg", [0.5, 0.05, 0.7, 0.3], 0, 0, 39.0, 5.358_628_228_628_232);
        check("bg", [0.5, 0.05, 0.7, 0.3], 3, 200, 52.0, 4.097_667_970_584_929);
        check("mbg", [0.01, 1e-3, 0.02, 0.05], 0, 0, 2_609.0, 19_849.066_164_307_365);
        // Where the series cancels or overflows.
        check("bg", [50.0, 80.0, 0.9, 2.5], 0, 0, 39.0, 7.027_383_556_795_2);
        check("bg", [50.0, 80.0, 0.9, 2.5], 4_000, 10_950, 2_609.0, 4_022.450_320_947_684);
        check("bg", [3.0, 10.0, 200.0, 1e4], 0, 0, 39.0, 10.115_833_833_440_625);
        check("bg", [3.0, 10.0, 200.0, 1e4], 4_000, 10_950, 52.0, 60.067_678_413_503_62);
        check("mbg", [1e4, 1e4, 30.0, 1e-3], 29, 272, 39.0, 2.034_517_042_749_480_5);
        check("mbg", [1e4, 1e4, 30.0, 1e-3], 4_000, 10_950, 52.0, 50.315_008_950_874_14);
        // At the bounds of the parameters.
        check("bg", [1e-6, 1e6, 1e-6, 1e-6], 0, 0, 39.0, 3.899_961_975_950_597e-11);
        check("bg", [1e-6, 1e6, 1e-6, 1e-6], 4_000, 10_950, 2_609.0, 10.419_700_600_228_824);
        check("bg", [1e6, 1e6, 1e6, 1e6], 0, 0, 39.0, 2.000_000_993_202_456);
        check("bg", [1e6, 1e6, 1e6, 1e6], 4_000, 10_950, 2_609.0, 2.004_001_004_001_004);
    }

    #[test]
    fn expected_orders_are_a_number_where_lifetimes_gives_none() {
        let model = model("bg", [0.11, 2.24, 0.31, 0.5]);
        let orders = expected(&model, 0, 1.0, 30.0);
        assert!((orders - 0.564_588_615_5).abs() < 1e-10, "{orders}");
    }

    #[test]
    fn series_and_integral_agree_wherever_the_series_holds() {
        let mut n_by_series = 0;
        for a in [0.05, 0.8, 1.0, 3.0] {
            for b in [0.05, 0.9, 2.4, 20.0] {
                for (r, alpha_weeks) in [(0.2, 4.0), (2.0, 9.0), (9.0, 90.0)] {
                    for (x, t_weeks) in [(0, 0.0), (2, 11.0), (40, 60.0), (2_000, 1_000.0)] {
                        let model = model("mbg", [r, alpha_weeks, a, b]);
                        let ratio = 39.0 / (alpha_weeks + t_weeks);
                        let series = Series::new(&model, x, ratio);
                        let Some(sum) = series.and_then(|series| series.sum(ratio)) else {
                            continue;
                        };
                        let error = sum / Integral::new(&model, x, ratio).average(ratio) - 1.0;
                        assert!(error.abs() < 2e-12, "{model:?} {x}: {error:e}");
                        n_by_series += 1;
                    }
                }
            }
        }
        assert!(n_by_series > 150, "{n_by_series}");
    }

    #[test]
    fn one_horizon_is_answered_alike_alone_and_among_others() {
        let model = model("bg", [0.242_594_5, 4.413_601_9, 0.792_922_1, 2.425_907_2]);
        let horizons_weeks = [0.0, 4.345, 39.0, 52.14, 400.0];
        for (x, t_weeks) in [(0, 0.0), (3, 20.0), (300, 900.0)] {
            let mut together = [0.0; 5];
            model.expected_orders_alive(x, t_weeks, &horizons_weeks, &mut together);
            for (orders, horizon_weeks) in together.iter().zip(horizons_weeks) {
                let alone = expected(&model, x, t_weeks, horizon_weeks);
                assert!((orders - alone).abs() <= 1e-12 * alone, "{x} {horizon_weeks}");
            }
        }
    }
}

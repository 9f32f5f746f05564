//! Pareto/NBD (Schmittlein, Morrison and Colombo 1987; Fader and Hardie, notes 004 and 009):
//! purchases at a gamma rate until a death at another gamma rate. Knows nothing of money. Called by
//! `model`.

use super::deadline::{AGE_DAYS_MAX, first_day};
use super::quadrature::{each_node, integral};
use super::{DAYS_PER_WEEK, Purchases, RatePrior, decayed_span, weeks};

/// Where the integrand of the odds of death has fallen by e^−45 (3e-20), the rest does not count.
const LN_NEGLIGIBLE: f64 = 45.0;

/// Width of a panel of the integral, in the logarithm of time and in the fall of the integrand's
/// logarithm: 16 nodes then give 14 digits. Most customers need a single panel.
const PANEL_SPAN_MAX: f64 = 4.0;
const PANEL_FALL_MAX: f64 = 10.0;

/// Newton steps towards a deadline; three or four are usual.
const STEPS_MAX: usize = 64;

/// A start for the search of the day that is this near costs no more than an exact one.
const ERROR_DAYS_MAX: f64 = 0.25;

/// Parameters of the Pareto/NBD model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ParetoNbd {
    /// Purchase rates.
    pub(super) prior: RatePrior,
    /// Shape of the death rates.
    pub(super) s: f64,
    /// Rate of the death rates, in weeks.
    pub(super) beta_weeks: f64,
}

/// Odds of death after a silence.
struct Odds {
    ln: f64,
    /// The derivative of `ln` by the silence in weeks.
    slope: f64,
}

impl ParetoNbd {
    /// The chance that the customer is alive.
    pub(super) fn p_alive(&self, purchases: &Purchases) -> f64 {
        self.ln_odds_of_death(purchases).map_or(1.0, |ln| 1.0 / (1.0 + libm::exp(ln)))
    }

    /// The log-odds of death; `None` on the day of a purchase, which nobody dead makes.
    pub(super) fn ln_odds_of_death(&self, purchases: &Purchases) -> Option<f64> {
        let silence_weeks = purchases.silence_weeks();
        let odds = || self.odds_of_death(purchases.x, purchases.t_x_weeks(), silence_weeks).ln;
        (silence_weeks > 0.0).then(odds)
    }

    /// The smallest age in whole days, at least `t_x_days`, at which P(alive) is at most `p`.
    ///
    /// Newton in the logarithm of the silence, in which the log-odds of death are nearly straight;
    /// a step that leaves the bracket is replaced by its middle.
    pub(super) fn p_alive_falls_to(&self, x: u32, t_x_days: u32, p: f64) -> Option<u32> {
        let holds = |t_days| self.p_alive(&Purchases { x, t_x_days, t_days }) <= p;
        first_day(t_x_days, self.silence_weeks(x, t_x_days, (1.0 - p) / p.max(0.0)), holds)
    }

    /// The silence in weeks after which the odds of death reach `odds`, to within half a day;
    /// [`first_day`] makes it exact.
    fn silence_weeks(&self, x: u32, t_x_days: u32, odds: f64) -> f64 {
        let t_x_weeks = weeks(t_x_days);
        let (mut low, mut high) = (0.0, weeks(AGE_DAYS_MAX));
        let mut silence_weeks = self.silence_weeks_if_equal(x, t_x_weeks, odds);
        if !(silence_weeks > low && odds.is_finite()) {
            return silence_weeks;
        }
        for _ in 0..STEPS_MAX {
            silence_weeks = silence_weeks.min(high);
            let at = self.odds_of_death(x, t_x_weeks, silence_weeks);
            let excess = at.ln - libm::log(odds);
            if excess < 0.0 {
                if silence_weeks >= weeks(AGE_DAYS_MAX) {
                    return f64::INFINITY;
                }
                low = silence_weeks;
            } else {
                high = silence_weeks;
            }
            let newton = silence_weeks * libm::exp(-excess / (at.slope * silence_weeks));
            let next = if newton >= low && newton <= high { newton } else { low.midpoint(high) };
            // The error left by a Newton step is about the square of the step, relative to the
            // whole.
            let step = next / silence_weeks - 1.0;
            silence_weeks = next;
            if step * step * silence_weeks * DAYS_PER_WEEK < ERROR_DAYS_MAX {
                break;
            }
        }
        silence_weeks
    }

    /// The silence at given odds of death if both scales, α + `t_x` and β + `t_x`, were the one
    /// that gives the same growth at the start: closed, and exact when they are equal.
    fn silence_weeks_if_equal(&self, x: u32, t_x_weeks: f64, odds: f64) -> f64 {
        let (shape, alpha, beta) = self.at_last_purchase(x, t_x_weeks);
        let exponent = shape + self.s;
        let scale = exponent / (shape / alpha + self.s / beta);
        scale * libm::expm1(libm::log1p(odds * exponent * beta / self.s / scale) / exponent)
    }

    /// The odds of death O = s ∫ ((α+T)/(α+y))^(r+x) ((β+T)/(β+y))^s dy/(β+y) over y from `t_x` to
    /// T: positive and growing, where the textbook's difference of two hypergeometric functions
    /// cancels. The variable is the logarithm of y plus the smaller scale, in which the integrand
    /// is smooth whatever the scales.
    fn odds_of_death(&self, x: u32, t_x_weeks: f64, silence_weeks: f64) -> Odds {
        let (shape, alpha, beta) = self.at_last_purchase(x, t_x_weeks);
        let Course { ln_growth, near, span, n_panels } =
            Course::of([shape, alpha, self.s, beta], silence_weeks);
        let sum = integral(span, n_panels, |ln_near| {
            let since = near * libm::expm1(ln_near);
            let (ln_alpha, ln_beta) = if alpha <= beta {
                (ln_near, libm::log1p(since / beta))
            } else {
                (libm::log1p(since / alpha), ln_near)
            };
            libm::exp(-shape * ln_alpha - self.s * ln_beta) * (near + since) / (beta + since)
        });
        let ln = ln_growth + libm::log(self.s * sum);
        let slope = shape / (alpha + silence_weeks)
            + self.s / (beta + silence_weeks) * (1.0 + libm::exp(-ln));
        Odds { ln, slope }
    }

    /// r + x, α + `t_x` and β + `t_x`.
    fn at_last_purchase(&self, x: u32, t_x_weeks: f64) -> (f64, f64, f64) {
        let alpha = self.prior.alpha_weeks + t_x_weeks;
        (self.prior.shape(x), alpha, self.beta_weeks + t_x_weeks)
    }

    /// Expected purchase days of a living customer, for each horizon in weeks (note 004): closed.
    pub(super) fn expected_orders_alive(
        &self,
        x: u32,
        t_weeks: f64,
        horizons_weeks: &[f64],
        orders: &mut [f64],
    ) {
        let (alpha, beta) = (self.prior.alpha_weeks + t_weeks, self.beta_weeks + t_weeks);
        let rate = self.prior.shape(x) / alpha;
        for (orders, horizon_weeks) in orders.iter_mut().zip(horizons_weeks) {
            let span = libm::log1p(horizon_weeks / beta);
            *orders = rate * beta * decayed_span(self.s - 1.0, span);
        }
    }
}

/// What the integral of the odds of death runs over.
struct Course {
    /// ln of the odds' growth over the silence: it stands before the integral.
    ln_growth: f64,
    /// The smaller scale.
    near: f64,
    /// The logarithm of time over which to integrate, and in how many panels.
    span: f64,
    n_panels: f64,
}

impl Course {
    /// For r + x, α + `t_x`, s and β + `t_x`.
    fn of([shape, alpha, s, beta]: [f64; 4], silence_weeks: f64) -> Self {
        let ln_growth =
            shape * libm::log1p(silence_weeks / alpha) + s * libm::log1p(silence_weeks / beta);
        let (end_weeks, fall) = if ln_growth > LN_NEGLIGIBLE {
            let by_shape = alpha * libm::expm1(LN_NEGLIGIBLE / shape);
            let by_s = beta * libm::expm1(LN_NEGLIGIBLE / s);
            (silence_weeks.min(by_shape).min(by_s), 2.0 * LN_NEGLIGIBLE)
        } else {
            (silence_weeks, ln_growth)
        };
        let near = alpha.min(beta);
        let span = libm::log1p(end_weeks / near);
        let n_panels = (span / PANEL_SPAN_MAX).max(fall / PANEL_FALL_MAX).ceil().max(1.0);
        Self { ln_growth, near, span, n_panels }
    }
}

/// One of the moments of a silence at which a death may have happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Weeks since the last purchase.
    pub(crate) since_weeks: f64,
    /// By how much the logarithms of both scales have grown since then.
    pub(crate) ln_alpha: f64,
    pub(crate) ln_beta: f64,
    /// Its share of the odds of death, up to a factor that all share.
    pub(crate) weight: f64,
}

/// The odds of death of a silence, taken apart into moments, for r + x, α + `t_x`, s and β + `t_x`:
/// what a fit needs for their derivatives. Returns the logarithm of the factor that makes odds of
/// the sum of the weights.
pub(crate) fn each_moment_of_death(
    [shape, alpha, s, beta]: [f64; 4],
    silence_weeks: f64,
    mut take: impl FnMut(Moment),
) -> f64 {
    let Course { ln_growth, near, span, n_panels } =
        Course::of([shape, alpha, s, beta], silence_weeks);
    each_node(span, n_panels, |ln_near, width| {
        let since_weeks = near * libm::expm1(ln_near);
        let (ln_alpha, ln_beta) = if alpha <= beta {
            (ln_near, libm::log1p(since_weeks / beta))
        } else {
            (libm::log1p(since_weeks / alpha), ln_near)
        };
        let fall = libm::exp(-shape * ln_alpha - s * ln_beta);
        let weight = width * fall * (near + since_weeks) / (beta + since_weeks);
        take(Moment { since_weeks, ln_alpha, ln_beta, weight });
    });
    ln_growth + libm::log(s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model([r, alpha_weeks, s, beta_weeks]: [f64; 4]) -> ParetoNbd {
        ParetoNbd { prior: RatePrior { r, alpha_weeks }, s, beta_weeks }
    }

    /// ln of the odds of death by mpmath 1.3: the textbook form with two hypergeometric functions
    /// at 150 digits, which agrees with the subdivided integral at 40 digits in all 17 digits shown
    /// (the last case but one: the integral alone). r alpha s beta, x, `t_x` and T in days.
    #[test]
    fn odds_of_death_agree_with_150_digits_of_the_textbook_form() {
        let check = |parameters, x, t_x_days, t_days: u32, reference: f64| {
            let silence_weeks = weeks(t_days - t_x_days);
            let odds = model(parameters).odds_of_death(x, weeks(t_x_days), silence_weeks);
            let error = odds.ln - reference;
            let allowed = 2e-14 * reference.abs().max(4.0);
            assert!(error.abs() < allowed, "{parameters:?} {x} {t_x_days} {t_days}: {error:e}");
        };
        let cdnow = [0.553_277, 10.577_682_4, 0.606_239_8, 11.668_729_2];
        check(cdnow, 0, 0, 1, -4.901_984_743_269_868);
        check(cdnow, 0, 0, 272, 0.870_681_176_198_768_3);
        check(cdnow, 2, 213, 272, -1.893_325_920_874_583_2);
        check(cdnow, 500, 2_000, 2_030, 0.475_244_980_128_032_6);
        check(cdnow, 5_000, 9_000, 9_010, -3.514_341_304_831_218);
        check(cdnow, 3, 30, 10_950, 17.378_371_810_521_866);
        check(cdnow, 500, 2_000, 2_190, 37.206_519_252_598_61);
        check([0.553_277, 10.0, 0.606_239_8, 10.0], 0, 0, 272, 1.017_808_906_790_844_5);
        // Scales a million apart, either way.
        check([0.5, 1e-3, 0.6, 1e3], 0, 0, 272, -3.068_153_796_652_424);
        check([0.5, 1e-3, 0.6, 1e3], 3, 30, 10_950, 14.323_160_105_189_023);
        check([0.5, 1e3, 0.6, 1e-3], 0, 0, 1, 2.929_300_302_304_908_7);
        check([0.5, 1e3, 0.6, 1e-3], 26, 216, 217, -5.885_221_915_502_275);
        check([0.5, 10.0, 1.0, 1e6], 500, 2_000, 2_030, -7.139_200_401_648_237);
        // Scales that both lie within the silence, many powers of ten apart.
        check([0.5, 1e-3, 0.6, 10.0], 0, 0, 10_950, 5.673_528_043_321_291);
        check([0.5, 10.0, 0.6, 1e-3], 0, 0, 10_950, 11.082_615_847_647_322);
        check([2.0, 10.0, 3.0, 1e-3], 0, 0, 10_950, 52.906_665_219_554_2);
        check([20.0, 300.0, 8.0, 5.0], 3, 30, 10_950, 82.636_639_370_461_98);
        // At the bounds of the parameters and far beyond any chance that a double can hold.
        check([1e-6, 1e-6, 1e-6, 1e-6], 0, 0, 272, -10.954_698_761_698_301);
        check([1e-3, 1e6, 50.0, 1e6], 5_000, 9_000, 9_010, -9.544_493_538_216_553);
        check([1e4, 1e4, 1e3, 10.0], 3, 30, 10_950, 6_151.797_008_453_725);
        check([1e4, 1e4, 1e3, 10.0], 0, 0, 272, 1_625.087_378_856_307_4);
    }

    #[test]
    fn newton_comes_within_half_a_day_of_the_deadline() {
        for (x, t_x_days) in [(0, 0), (1, 12), (7, 206), (26, 216), (900, 9_000)] {
            for odds in [1e-3, 0.1, 1.0, 19.0] {
                let model = model([0.553_277, 10.577_682_4, 0.606_239_8, 11.668_729_2]);
                let found = model.silence_weeks(x, t_x_days, odds);
                if found > weeks(AGE_DAYS_MAX) {
                    continue;
                }
                let at = |silence| model.odds_of_death(x, weeks(t_x_days), silence).ln;
                let half_day = 0.5 / DAYS_PER_WEEK;
                assert!(at((found - half_day).max(1e-9)) < libm::log(odds), "{x} {odds}");
                assert!(at(found + half_day) > libm::log(odds), "{x} {odds}");
            }
        }
    }
}

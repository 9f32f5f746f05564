//! The log-likelihood of the Gamma-Gamma model of spend with its derivatives by ln p, ln q and ln
//! gamma (Fader and Hardie, note 025). Called by `mod`.

use super::climb::Point;
use super::special::{digamma, trigamma};
use super::statistics::Spends;

/// p, q and gamma.
pub(super) fn likelihood(spends: &[Spends], &[p, q, gamma]: &[f64; 3]) -> Point<3> {
    let mut sum = Point::ZERO;
    let (ln_q, slope_q, curve_q) = (libm::lgamma(q), digamma(q), trigamma(q));
    let ln_gamma = libm::log(gamma);
    for Spends { x, means } in spends {
        let px = p * x;
        let total = px + q;
        let ln_shapes = libm::lgamma(total) - libm::lgamma(px) - ln_q + px * libm::log(*x);
        let (slope_total, curve_total) = (digamma(total), trigamma(total));
        let slope_px = slope_total - digamma(px) + libm::log(*x);
        let curve_px = curve_total - trigamma(px);
        for &(mean, n) in means {
            let ln_mean = libm::log(mean);
            let ln_rate = libm::log(gamma + x * mean);
            let share = gamma / (gamma + x * mean);
            sum.value += n * (ln_shapes + q * ln_gamma + (px - 1.0) * ln_mean - total * ln_rate);
            let by_p = px * (slope_px + ln_mean - ln_rate);
            let by_q = q * (slope_total - slope_q + ln_gamma - ln_rate);
            sum.slope[0] += n * by_p;
            sum.slope[1] += n * by_q;
            sum.slope[2] += n * (q - total * share);
            sum.curve[0][0] += n * (by_p + px * px * curve_px);
            sum.curve[0][1] += n * px * q * curve_total;
            sum.curve[0][2] -= n * px * share;
            sum.curve[1][1] += n * (by_q + q * q * (curve_total - curve_q));
            sum.curve[1][2] += n * q * (1.0 - share);
            sum.curve[2][2] -= n * total * share * (1.0 - share);
        }
    }
    sum.mirrored()
}

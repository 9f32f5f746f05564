//! The log-likelihood of Pareto/NBD with its derivatives by the logarithms of r, alpha, s and beta
//! (Schmittlein, Morrison and Colombo 1987). Called by `mod`.

use super::climb::Point;
use super::nbd;
use super::statistics::{Histories, Row};
use crate::clv::{Moment, each_moment_of_death};

/// r, alpha, s and beta.
pub(super) fn likelihood(histories: &Histories, parameters: &[f64; 4]) -> Point<4> {
    let [r, alpha, s, beta] = *parameters;
    let mut sum = Point::ZERO;
    nbd::add(&mut sum, histories, r, alpha);
    for row in &histories.rows {
        let fall = libm::log1p(row.t_weeks / beta);
        let share = beta / (beta + row.t_weeks);
        sum.value -= row.n * s * fall;
        sum.slope[2] -= row.n * s * fall;
        sum.slope[3] += row.n * s * (1.0 - share);
        sum.curve[2][2] -= row.n * s * fall;
        sum.curve[2][3] += row.n * s * (1.0 - share);
        sum.curve[3][3] -= row.n * s * share * (1.0 - share);
        if row.t_weeks > row.t_x_weeks {
            add_death(&mut sum, row, parameters);
        }
    }
    sum.mirrored()
}

/// Adds ln(1 + O) of one history, O the odds of death, an integral over the moments of death. The
/// derivatives of ln O are averages over these moments: of the integrand's logarithm's slope, and
/// of its curve and the products of its slope.
fn add_death(sum: &mut Point<4>, row: &Row, &[r, alpha, s, beta]: &[f64; 4]) {
    let shape = r + row.x;
    let silence_weeks = row.t_weeks - row.t_x_weeks;
    let scales = [alpha + row.t_x_weeks, beta + row.t_x_weeks];
    let ln_alpha_end = libm::log1p(silence_weeks / scales[0]);
    let ln_beta_end = libm::log1p(silence_weeks / scales[1]);
    let alpha_end = alpha / (alpha + row.t_weeks);
    let beta_end = beta / (beta + row.t_weeks);
    let mut all = Point::<4>::ZERO;
    let ln_factor =
        each_moment_of_death([shape, scales[0], s, scales[1]], silence_weeks, |moment| {
            let Moment { since_weeks, ln_alpha, ln_beta, weight } = moment;
            let alpha_now = alpha / (scales[0] + since_weeks);
            let beta_now = beta / (scales[1] + since_weeks);
            let (left_alpha, left_beta) = (ln_alpha_end - ln_alpha, ln_beta_end - ln_beta);
            let slope = [
                r * left_alpha,
                shape * (alpha_end - alpha_now),
                1.0 + s * left_beta,
                s * beta_end - (s + 1.0) * beta_now,
            ];
            all.value += weight;
            for i in 0..4 {
                all.slope[i] += weight * slope[i];
                for k in i..4 {
                    all.curve[i][k] += weight * slope[i] * slope[k];
                }
            }
            all.curve[0][0] += weight * r * left_alpha;
            all.curve[0][1] += weight * r * (alpha_end - alpha_now);
            all.curve[1][1] +=
                weight * shape * (alpha_end * (1.0 - alpha_end) - alpha_now * (1.0 - alpha_now));
            all.curve[2][2] += weight * s * left_beta;
            all.curve[2][3] += weight * s * (beta_end - beta_now);
            all.curve[3][3] += weight
                * (s * beta_end * (1.0 - beta_end) - (s + 1.0) * beta_now * (1.0 - beta_now));
        });
    let ln_odds = ln_factor + libm::log(all.value);
    let odds = libm::exp(ln_odds);
    let (dead, ln_sum) =
        if odds.is_finite() { (odds / (1.0 + odds), libm::log1p(odds)) } else { (1.0, ln_odds) };
    sum.value += row.n * ln_sum;
    let weight = row.n * dead;
    for i in 0..4 {
        let mean = all.slope[i] / all.value;
        sum.slope[i] += weight * mean;
        for k in i..4 {
            let product = dead * mean * all.slope[k] / all.value;
            sum.curve[i][k] += weight * (all.curve[i][k] / all.value - product);
        }
    }
}

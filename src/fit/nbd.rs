//! The log-likelihood of the NBD model, purchases at a gamma rate and nobody ever dies (Ehrenberg
//! 1959), with its derivatives by ln r and ln alpha. The part that all purchase models portion.
//! Called by `mod` and by the models with a death.

use super::climb::Point;
use super::statistics::Histories;

/// r and alpha.
pub(super) fn likelihood(histories: &Histories, &[r, alpha]: &[f64; 2]) -> Point<2> {
    let mut sum = Point::ZERO;
    add(&mut sum, histories, r, alpha);
    sum.mirrored()
}

/// Adds lnΓ(r+x) − lnΓ(r) + r ln α − (r+x) ln(α+T) of all customers to the first two parameters'
/// part of a sum. The difference of the two gamma functions is ln r + … + ln(r+x−1): nothing
/// cancels, and its derivatives are as simple.
pub(super) fn add<const N: usize>(sum: &mut Point<N>, histories: &Histories, r: f64, alpha: f64) {
    let mut shape = r;
    for n in histories.reached.iter().skip(1) {
        let portion = r / shape;
        sum.value += n * libm::log(shape);
        sum.slope[0] += n * portion;
        sum.curve[0][0] += n * portion * (1.0 - portion);
        shape += 1.0;
    }
    let ln_alpha = libm::log(alpha);
    for row in &histories.rows {
        let fall = libm::log1p(row.t_weeks / alpha);
        let portion = alpha / (alpha + row.t_weeks);
        let shape = r + row.x;
        sum.value -= row.n * (shape * fall + row.x * ln_alpha);
        sum.slope[0] -= row.n * r * fall;
        sum.slope[1] += row.n * (r - shape * portion);
        sum.curve[0][0] -= row.n * r * fall;
        sum.curve[0][1] += row.n * r * (1.0 - portion);
        sum.curve[1][1] -= row.n * shape * portion * (1.0 - portion);
    }
}

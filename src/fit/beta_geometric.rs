//! The log-likelihoods of BG/NBD and MBG/NBD with their derivatives by the logarithms of r, alpha,
//! a and b (Fader, Hardie and Lee 2005; Batislam, Denizel and Filiztekin 2007). Called by `mod`.

use super::climb::Point;
use super::nbd;
use super::statistics::Histories;

/// r, alpha, a and b; `may_die_at_first` is what tells MBG/NBD from BG/NBD.
pub(super) fn likelihood(
    histories: &Histories,
    &[r, alpha, a, b]: &[f64; 4],
    may_die_at_first: bool,
) -> Point<4> {
    let mut sum = Point::ZERO;
    nbd::add(&mut sum, histories, r, alpha);
    add_survivals(&mut sum, &histories.reached[usize::from(!may_die_at_first)..], a, b);
    for row in &histories.rows {
        let k = if may_die_at_first { row.x } else { row.x - 1.0 };
        if k < 0.0 {
            continue;
        }
        // The log-odds of death, and their derivatives.
        let shape = r + row.x;
        let fall = libm::log1p((row.t_weeks - row.t_x_weeks) / (alpha + row.t_x_weeks));
        let at_end = alpha / (alpha + row.t_weeks);
        let at_last = alpha / (alpha + row.t_x_weeks);
        let portion = b / (b + k);
        let odds = libm::exp(shape * fall + libm::log(a / (b + k)));
        let (dead, ln_sum) = if odds.is_finite() {
            (odds / (1.0 + odds), libm::log1p(odds))
        } else {
            (1.0, shape * fall + libm::log(a / (b + k)))
        };
        let slope = [r * fall, shape * (at_end - at_last), 1.0, -portion];
        sum.value += row.n * ln_sum;
        let (weight, spread) = (row.n * dead, row.n * dead * (1.0 - dead));
        for i in 0..4 {
            sum.slope[i] += weight * slope[i];
            for j in i..4 {
                sum.curve[i][j] += spread * slope[i] * slope[j];
            }
        }
        sum.curve[0][0] += weight * r * fall;
        sum.curve[0][1] += weight * r * (at_end - at_last);
        sum.curve[1][1] += weight * shape * (at_end * (1.0 - at_end) - at_last * (1.0 - at_last));
        sum.curve[3][3] -= weight * portion * (1.0 - portion);
    }
    sum.mirrored()
}

/// Adds lnΓ(a+b) + lnΓ(b+m) − lnΓ(b) − lnΓ(a+b+m) of all customers, m their chances to die: the
/// logarithms of (b+i)/(a+b+i) over i < m, without the cancellation of the gamma functions.
fn add_survivals(sum: &mut Point<4>, survivors: &[f64], a: f64, b: f64) {
    let mut i = 0.0;
    for n in survivors {
        let (alive, all) = (b + i, a + b + i);
        sum.value -= n * libm::log1p(a / alive);
        sum.slope[2] -= n * a / all;
        sum.slope[3] += n * (b / alive) * (a / all);
        sum.curve[2][2] -= n * (a / all) * (alive / all);
        sum.curve[2][3] += n * (a / all) * (b / all);
        sum.curve[3][3] += n * (b / alive * (i / alive) - b / all * ((a + i) / all));
        i += 1.0;
    }
}

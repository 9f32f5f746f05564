//! How many purchase days a living customer has in the weeks to come: the chance of each number,
//! where `bg_nbd` and `pareto_nbd` give its mean. No money. Called by `model`.
//!
//! All of it is sums of products of chances, so that nothing cancels. With n = r + x and
//! A = alpha + T, a customer who could not die would have k purchase days within u weeks with the
//! negative binomial chance
//! Γ(n + k) / (Γ(n) k!) (A / (A + u))^n (u / (A + u))^k.

use super::bg_nbd::BetaGeometric;
use super::pareto_nbd::ParetoNbd;
use super::quadrature::each_node;
use super::weeks;

/// More purchase days than eleven years have; what lies above is left out of the chances.
pub(super) const ORDERS_MAX: u32 = 4_096;

/// The chances end where what is left of them is less than this.
const TAIL_NEGLIGIBLE: f64 = 1e-11;

/// Who lives on with a chance of e^−45 (3e-20) does not count.
const LN_NEGLIGIBLE: f64 = 45.0;

/// The fall in the logarithm of that chance over which a panel of 16 nodes keeps 14 digits, and the
/// most panels: beyond, only the shares of neighbouring numbers blur.
const PANEL_FALL_MAX: f64 = 8.0;
const PANELS_MAX: f64 = 64.0;

/// Numbers of purchase days without death, from 0 on.
struct NegativeBinomial {
    shape: f64,
    ln_share: f64,
    ln_chance: f64,
    k: f64,
}

impl NegativeBinomial {
    /// For the shape n and the horizon u over the scale A.
    fn new(shape: f64, ratio: f64) -> Self {
        let ln_share = -libm::log1p(1.0 / ratio);
        Self { shape, ln_share, ln_chance: -shape * libm::log1p(ratio), k: 0.0 }
    }

    /// The chance of the next number. In logarithms: that of none may be below every double.
    fn next(&mut self) -> f64 {
        let chance = libm::exp(self.ln_chance);
        self.ln_chance += libm::log((self.shape + self.k) / (self.k + 1.0)) + self.ln_share;
        self.k += 1.0;
        chance
    }
}

impl BetaGeometric {
    /// The chances of 0, 1, 2 … purchase days over the horizon.
    ///
    /// A living customer has at least k when the rate would bring k, and k − 1 of them were
    /// survived; the two are independent. So the chance of k is that of k without death times that
    /// of k − 1 survivals, and that of more than k without death times that of dying at the k-th.
    pub(super) fn order_chances_alive(&self, x: u32, t_days: u32, horizon_weeks: f64) -> Vec<f64> {
        let scale = self.prior.alpha_weeks + weeks(t_days);
        let mut immortal = NegativeBinomial::new(self.prior.shape(x), horizon_weeks / scale);
        let b = self.b_alive(x);
        let none = immortal.next();
        let (mut more, mut survived) = (1.0 - none, 1.0);
        let mut chances = vec![none];
        for k in (1..ORDERS_MAX).map(f64::from) {
            if more * survived < TAIL_NEGLIGIBLE {
                break;
            }
            let this = immortal.next();
            more = (more - this).max(0.0);
            let dies = self.a / (self.a + b + k - 1.0);
            chances.push(survived * (this + more * dies));
            survived *= 1.0 - dies;
        }
        chances
    }
}

impl ParetoNbd {
    /// The chances of 0, 1, 2 … purchase days over the horizon.
    ///
    /// The average of the chances without death over how long the customer lives on: weights that
    /// sum to 1, so that the chances do, and have the mean of the closed form.
    pub(super) fn order_chances_alive(&self, x: u32, t_days: u32, horizon_weeks: f64) -> Vec<f64> {
        let shape = self.prior.shape(x);
        let alpha = self.prior.alpha_weeks + weeks(t_days);
        let beta = self.beta_weeks + weeks(t_days);
        let span = libm::log1p(horizon_weeks / beta);
        let mut lives =
            vec![(libm::exp(-self.s * span), NegativeBinomial::new(shape, horizon_weeks / alpha))];
        // The more is known of the rate, the narrower the moments at which a death leaves k.
        let dying_span = span.min(LN_NEGLIGIBLE / self.s);
        let n_panels = (shape.sqrt() * dying_span).max(dying_span * self.s / PANEL_FALL_MAX);
        each_node(dying_span, n_panels.ceil().clamp(1.0, PANELS_MAX), |ln_growth, width| {
            let lived_weeks = beta * libm::expm1(ln_growth);
            let weight = width * self.s * libm::exp(-self.s * ln_growth);
            lives.push((weight, NegativeBinomial::new(shape, lived_weeks / alpha)));
        });
        let (mut chances, mut rest) = (Vec::new(), 1.0);
        for _ in 0..ORDERS_MAX {
            let chance =
                lives.iter_mut().map(|(weight, lived)| *weight * lived.next()).sum::<f64>();
            chances.push(chance);
            rest -= chance;
            if rest < TAIL_NEGLIGIBLE {
                break;
            }
        }
        chances
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clv::RatePrior;
    use crate::dice::Dice;

    const WEEKS: f64 = 39.0;

    fn beta_geometric(may_die_at_first: bool, [r, alpha_weeks, a, b]: [f64; 4]) -> BetaGeometric {
        BetaGeometric { prior: RatePrior { r, alpha_weeks }, a, b, may_die_at_first }
    }

    fn pareto([r, alpha_weeks, s, beta_weeks]: [f64; 4]) -> ParetoNbd {
        ParetoNbd { prior: RatePrior { r, alpha_weeks }, s, beta_weeks }
    }

    /// The chances sum to 1 and have the mean that the model gives in closed form.
    fn check(what: &str, chances: &[f64], mean: f64) {
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)), "{what}: {chances:?}");
        let sum: f64 = chances.iter().sum();
        assert!((sum - 1.0).abs() < 1e-10, "{what}: {sum}");
        let found: f64 = (0..).zip(chances).map(|(k, chance)| f64::from(k) * chance).sum();
        // A tail of 1e-11 left out at some hundred purchase days.
        assert!((found - mean).abs() < 2e-8 * mean.max(1.0), "{what}: {found} is not {mean}");
    }

    #[test]
    fn the_chances_sum_to_one_and_have_the_mean_of_the_closed_form() {
        let histories = [(0, 0), (0, 300), (1, 40), (7, 260), (60, 400), (900, 3_000)];
        let mut mean = [0.0];
        for (x, t_days) in histories {
            for weeks_ahead in [1.0 / 7.0, 4.0, WEEKS, 200.0] {
                let what = format!("{x} {t_days} {weeks_ahead}");
                for parameters in [
                    [0.242_594_5, 4.413_601_9, 0.792_922_1, 2.425_907_2],
                    [3.0, 20.0, 0.01, 5.0],
                    [0.5, 10.0, 30.0, 2.0],
                    [9.0, 90.0, 1e-6, 1e6],
                ] {
                    for may_die_at_first in [false, true] {
                        let model = beta_geometric(may_die_at_first, parameters);
                        model.expected_orders_alive(x, weeks(t_days), &[weeks_ahead], &mut mean);
                        let chances = model.order_chances_alive(x, t_days, weeks_ahead);
                        check(&what, &chances, mean[0]);
                    }
                }
                for parameters in [
                    [0.553_277, 10.577_682_4, 0.606_239_8, 11.668_729_2],
                    [3.0, 20.0, 1.0, 1e4],
                    [0.5, 10.0, 900.0, 50.0],
                    [9.0, 90.0, 1e-6, 1e6],
                ] {
                    let model = pareto(parameters);
                    model.expected_orders_alive(x, weeks(t_days), &[weeks_ahead], &mut mean);
                    let chances = model.order_chances_alive(x, t_days, weeks_ahead);
                    check(&what, &chances, mean[0]);
                }
            }
        }
    }

    /// Gamma with any shape: one of the dice has a shape of at least 1.
    fn gamma(dice: &mut Dice, shape: f64, rate: f64) -> f64 {
        let more = dice.gamma(shape + 1.0, (shape + 1.0) / rate);
        more * libm::pow(dice.unit(), 1.0 / shape)
    }

    /// The shares of simulated lives lie within four standard errors of the chances.
    fn compare(chances: &[f64], mut life: impl FnMut(&mut Dice) -> usize) {
        const LIVES: u32 = 200_000;
        let mut dice = Dice::new(11, 0);
        let mut n_lives = vec![0_u32; chances.len() + 1];
        for _ in 0..LIVES {
            let n_orders = life(&mut dice).min(chances.len());
            n_lives[n_orders] += 1;
        }
        let n = f64::from(LIVES);
        for (k, (chance, found)) in chances.iter().zip(n_lives).enumerate() {
            let error = 4.0 * (chance * (1.0 - chance) / n).sqrt() + 2.0 / n;
            let share = f64::from(found) / n;
            assert!((share - chance).abs() < error, "{k}: {share} is not {chance}");
        }
    }

    #[test]
    fn lives_simulated_by_the_stories_of_bg_and_mbg_have_these_chances() {
        for may_die_at_first in [false, true] {
            let model = beta_geometric(may_die_at_first, [0.8, 6.0, 0.9, 2.5]);
            let (x, t_days) = (3, 140);
            compare(&model.order_chances_alive(x, t_days, WEEKS), |dice| {
                let rate = gamma(dice, 0.8 + 3.0, 6.0 + 20.0);
                let (dies, lives) = (gamma(dice, 0.9, 1.0), gamma(dice, model.b_alive(x), 1.0));
                let p = dies / (dies + lives);
                let (mut at_weeks, mut n_orders) = (dice.exponential(1.0 / rate), 0);
                while at_weeks < WEEKS {
                    n_orders += 1;
                    if dice.chance(p) {
                        break;
                    }
                    at_weeks += dice.exponential(1.0 / rate);
                }
                n_orders
            });
        }
    }

    #[test]
    fn lives_simulated_by_the_story_of_pareto_have_these_chances() {
        let model = pareto([0.8, 6.0, 0.7, 9.0]);
        compare(&model.order_chances_alive(3, 140, WEEKS), |dice| {
            let rate = gamma(dice, 0.8 + 3.0, 6.0 + 20.0);
            let death = gamma(dice, 0.7, 9.0 + 20.0);
            let end_weeks = dice.exponential(1.0 / death).min(WEEKS);
            let (mut at_weeks, mut n_orders) = (dice.exponential(1.0 / rate), 0);
            while at_weeks < end_weeks {
                n_orders += 1;
                at_weeks += dice.exponential(1.0 / rate);
            }
            n_orders
        });
    }
}

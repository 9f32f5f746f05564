//! Two integration rules for the models: Gauss-Legendre in panels, and the average over a beta
//! distribution. No model's formula stands here. Called by `bg_nbd` and `pareto_nbd`.

/// The lower half of the 16 Gauss-Legendre nodes of (0, 1) with their weights; the upper half
/// mirrors it. From 60-digit Newton steps on the Legendre polynomial, rounded to doubles.
const LOWER_HALF: [(f64, f64); 8] = [
    (0.005_299_532_504_175_033, 0.013_576_229_705_877_048),
    (0.027_712_488_463_383_71, 0.031_126_761_969_323_947),
    (0.067_184_398_806_084_12, 0.047_579_255_841_246_39),
    (0.122_297_795_822_498_49, 0.062_314_485_627_766_94),
    (0.191_061_877_798_678_11, 0.074_797_994_408_288_37),
    (0.270_991_611_171_386_3, 0.084_578_259_697_501_27),
    (0.359_198_224_610_370_54, 0.091_301_707_522_461_79),
    (0.452_493_745_081_181_3, 0.094_725_305_227_534_25),
];

/// The integral of `f` over 0 to `span`, in `n_panels` equal panels of 16 nodes each (a whole
/// number of at least 1, as a float).
pub(super) fn integral(span: f64, n_panels: f64, f: impl Fn(f64) -> f64) -> f64 {
    let width = span / n_panels;
    let (mut sum, mut panel) = (0.0, 0.0);
    while panel < n_panels {
        for (node, weight) in &LOWER_HALF {
            sum += weight * (f((panel + node) * width) + f((panel + 1.0 - node) * width));
        }
        panel += 1.0;
    }
    sum * width
}

/// Gives `take` the nodes of [`integral`] with their weights.
pub(super) fn each_node(span: f64, n_panels: f64, mut take: impl FnMut(f64, f64)) {
    let width = span / n_panels;
    let mut panel = 0.0;
    while panel < n_panels {
        for (node, weight) in &LOWER_HALF {
            take((panel + node) * width, weight * width);
            take((panel + 1.0 - node) * width, weight * width);
        }
        panel += 1.0;
    }
}

/// A node whose weight has fallen to e^−42 (6e-19) of the largest adds nothing any more.
const LN_NEGLIGIBLE: f64 = -42.0;

/// The step in ln(p / (1 − p)): the error of the trapezoidal rule is about e^(−π² / step).
const STEP_MAX: f64 = 0.2;

/// The step in standard deviations of ln(p / (1 − p)), where the distribution is narrow.
const STEP_DEVIATIONS: f64 = 0.5;

/// More nodes than any validated model needs on one side of the mode (about 1,000).
const NODES_PER_SIDE_MAX: usize = 4_096;

/// Nodes and weights of an average over a beta distribution: the trapezoidal rule in
/// ln(p / (1 − p)), which converges geometrically for every shape of it.
#[derive(Debug)]
pub(super) struct BetaNodes {
    /// p with its weight, not normalised.
    nodes: Vec<(f64, f64)>,
    weight: f64,
}

/// What [`BetaNodes`] must know of the functions to average, all falling in p.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smoothness {
    /// Below this p, and above 1 minus it, the functions do not change any more.
    pub(super) flat: f64,
    /// Logarithm of how much larger a function may be at 0 than at the mode.
    pub(super) ln_rise: f64,
}

impl BetaNodes {
    /// The nodes for Beta(a, b).
    pub(super) fn new(a: f64, b: f64, smoothness: Smoothness) -> Self {
        let deviation = ((a + b) / a / b).sqrt();
        let step = STEP_MAX.min(STEP_DEVIATIONS * deviation);
        let mode = Mode { a, b, p: a / (a + b), q: b / (a + b) };
        let mut sum = Self { nodes: vec![(mode.p, 1.0)], weight: 1.0 };
        sum.extend(&mode, -step, LN_NEGLIGIBLE - smoothness.ln_rise, smoothness.flat);
        sum.extend(&mode, step, LN_NEGLIGIBLE, smoothness.flat);
        sum
    }

    /// The average of `f`.
    pub(super) fn average(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().map(|&(p, weight)| weight * f(p)).sum::<f64>() / self.weight
    }

    /// Adds the nodes on one side of the mode, until they stop counting or the functions are flat;
    /// from there the weights are a geometric series, which the last node takes whole.
    fn extend(&mut self, mode: &Mode, step: f64, ln_negligible: f64, flat: f64) {
        let mut distance = 0.0;
        for _ in 0..NODES_PER_SIDE_MAX {
            distance += step;
            let (p, q) = mode.at(distance);
            let ln_weight = mode.ln_density(distance);
            let weight = libm::exp(ln_weight);
            let (rest, decay) = if step < 0.0 { (p, mode.a) } else { (q, mode.b) };
            if rest < flat {
                let tail = weight * (1.0 + 1.0 / libm::expm1(decay * step.abs()));
                self.push(p, tail);
                return;
            }
            self.push(p, weight);
            if ln_weight < ln_negligible {
                return;
            }
        }
    }

    fn push(&mut self, p: f64, weight: f64) {
        self.nodes.push((p, weight));
        self.weight += weight;
    }
}

/// The mode of the density of ln(p / (1 − p)), p and q = 1 − p there.
struct Mode {
    a: f64,
    b: f64,
    p: f64,
    q: f64,
}

impl Mode {
    /// p and 1 − p at a distance from the mode.
    fn at(&self, distance: f64) -> (f64, f64) {
        let p = self.p / (self.p + self.q * libm::exp(-distance));
        let q = self.q / (self.q + self.p * libm::exp(distance));
        (p, q)
    }

    /// Logarithm of the density relative to the mode's, without the cancellation of a·ln p + b·ln
    /// q.
    fn ln_density(&self, distance: f64) -> f64 {
        -self.a * libm::log1p(self.q * libm::expm1(-distance))
            - self.b * libm::log1p(self.p * libm::expm1(distance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_integrate_powers_up_to_degree_31() {
        for degree in 0..=31 {
            for (span, n_panels) in [(1.0, 1.0), (1.5, 1.0), (1.2, 3.0)] {
                let sum = integral(span, n_panels, |point| point.powi(degree));
                let exact = f64::powi(span, degree + 1) / f64::from(degree + 1);
                assert!((sum / exact - 1.0).abs() < 1e-14, "{degree} {sum}");
            }
        }
    }

    #[test]
    fn beta_averages_agree_with_the_moments_for_every_shape() {
        let shapes = [1e-6, 1e-3, 0.3, 0.8, 1.0, 2.4, 6.0, 9.0, 30.0, 50.0, 300.0, 1e4, 1e6];
        let smoothness = Smoothness { flat: 1e-20, ln_rise: 3.0 };
        for a in shapes {
            for b in shapes {
                let nodes = BetaNodes::new(a, b, smoothness);
                let (mean, second) = (a / (a + b), a / (a + b) * (a + 1.0) / (a + b + 1.0));
                let error = nodes.average(|p| (2.0 - p) * (2.0 - p)) / (4.0 - 4.0 * mean + second);
                assert!((error - 1.0).abs() < 1e-13, "{a} {b} {error}");
                if b > 1e-3 * a {
                    let error = nodes.average(|p| 1.0 - p) / (b / (a + b)) - 1.0;
                    assert!(error.abs() < 1e-12, "{a} {b} {error}");
                }
                assert!(nodes.nodes.len() < 2_000, "{a} {b} {}", nodes.nodes.len());
            }
        }
    }
}

//! Finds the maximum of a log-likelihood: a Newton method in a trust region, in the logarithms of
//! the parameters and within bounds, from each of several starts. It knows no model. Called by
//! `mod`, for each model.

use super::symmetric::Eigen;

/// Steps from one start; ten to twenty are usual, forty towards a boundary.
const STEPS_MAX: usize = 120;

/// The trust region at the start, at most, and where the search has stalled, in the logarithm of a
/// parameter.
const RADIUS_START: f64 = 1.0;
const RADIUS_MAX: f64 = 4.0;
const RADIUS_MIN: f64 = 1e-10;

/// A step that promises less than this ends the search. Newton's error falls with its square, so
/// that after it the parameters stand to far more digits than their standard errors have.
const GAIN_NEGLIGIBLE: f64 = 1e-9;
/// … and less than this share of the log-likelihood, the noise of a long sum.
const GAIN_NOISE: f64 = 1e-14;

/// A search whose next step would have promised more than this has not settled.
const GAIN_UNSETTLED: f64 = 1e-4;

/// Halvings in search of the damping at which a step ends at the edge of the trust region.
const HALVINGS_MAX: usize = 60;

/// A function's value with its first and second derivatives, by the logarithms of the parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<const N: usize> {
    pub(super) value: f64,
    pub(super) slope: [f64; N],
    pub(super) curve: [[f64; N]; N],
}

impl<const N: usize> Point<N> {
    pub(super) const ZERO: Self = Self { value: 0.0, slope: [0.0; N], curve: [[0.0; N]; N] };

    /// Makes the lower half of the second derivatives equal to the upper one.
    pub(super) fn mirrored(mut self) -> Self {
        for i in 0..N {
            for k in 0..i {
                self.curve[i][k] = self.curve[k][i];
            }
        }
        self
    }

    fn is_finite(&self) -> bool {
        let mut all = self.slope.iter().chain(self.curve.iter().flatten());
        self.value.is_finite() && all.all(|it| it.is_finite())
    }
}

/// Where parameters may lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<const N: usize> {
    pub(super) min: [f64; N],
    pub(super) max: [f64; N],
}

impl<const N: usize> Bounds<N> {
    fn ln_of(&self, parameters: [f64; N]) -> [f64; N] {
        let mut ln = [0.0; N];
        for i in 0..N {
            ln[i] = libm::log(parameters[i].clamp(self.min[i], self.max[i]));
        }
        ln
    }

    /// The exponentials, of which those of the bounds' logarithms may not leave them.
    pub(super) fn parameters_of(&self, ln: &[f64; N]) -> [f64; N] {
        let mut parameters = [0.0; N];
        for i in 0..N {
            parameters[i] = libm::exp(ln[i]).clamp(self.min[i], self.max[i]);
        }
        parameters
    }

    /// Which of them lie at a bound and would leave it this way.
    fn held(&self, ln: &[f64; N], way: &[f64; N]) -> [bool; N] {
        let mut held = [false; N];
        for i in 0..N {
            held[i] = (way[i] < 0.0 && ln[i] <= libm::log(self.min[i]))
                || (way[i] > 0.0 && ln[i] >= libm::log(self.max[i]));
        }
        held
    }

    /// Where a step ends: at the first bound that it meets, without a turn there, since to cut one
    /// parameter's part off would leave the ridge on which several go together. Also whether it met
    /// none.
    fn walk(&self, ln: &[f64; N], step: &[f64; N]) -> ([f64; N], bool) {
        let mut share = 1.0_f64;
        for i in 0..N {
            let bound = if step[i] < 0.0 { self.min[i] } else { self.max[i] };
            let room = libm::log(bound) - ln[i];
            if room.abs() < share * step[i].abs() {
                share = room / step[i];
            }
        }
        let mut next = *ln;
        for i in 0..N {
            let (min, max) = (libm::log(self.min[i]), libm::log(self.max[i]));
            next[i] = (ln[i] + share * step[i]).clamp(min, max);
        }
        (next, share >= 1.0)
    }
}

/// Where a search has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summit<const N: usize> {
    pub(super) parameters: [f64; N],
    pub(super) point: Point<N>,
    /// Which parameters a bound holds back.
    pub(super) held: [bool; N],
    /// Whether no further step promised anything to speak of.
    pub(super) is_settled: bool,
}

/// The highest end of the searches from `starts`, the first of equals; `None` where the function is
/// finite at none of them.
pub(super) fn climb<const N: usize>(
    starts: &[[f64; N]],
    bounds: &Bounds<N>,
    mut of: impl FnMut(&[f64; N]) -> Point<N>,
) -> Option<Summit<N>> {
    let mut best: Option<Summit<N>> = None;
    for start in starts {
        let found = climb_from(bounds.ln_of(*start), bounds, &mut of);
        if let Some(found) = found
            && best.is_none_or(|best| found.point.value > best.point.value)
        {
            best = Some(found);
        }
    }
    best
}

fn climb_from<const N: usize>(
    mut ln: [f64; N],
    bounds: &Bounds<N>,
    of: &mut impl FnMut(&[f64; N]) -> Point<N>,
) -> Option<Summit<N>> {
    let mut point = of(&bounds.parameters_of(&ln));
    if !point.is_finite() {
        return None;
    }
    let mut radius = RADIUS_START;
    for _ in 0..STEPS_MAX {
        let (next, is_free) = bounds.walk(&ln, &bounded_step(&point, bounds, &ln, radius));
        let mut moved = [0.0; N];
        for i in 0..N {
            moved[i] = next[i] - ln[i];
        }
        let promised = gain(&point, &moved);
        let there = of(&bounds.parameters_of(&next));
        let won = if there.is_finite() { there.value - point.value } else { f64::NEG_INFINITY };
        let noise = GAIN_NOISE * point.value.abs();
        let is_last = is_free && promised <= GAIN_NEGLIGIBLE.max(noise) && norm(&moved) < radius;
        if won > 0.1 * promised && won > 0.0 || is_last && won >= -noise {
            (ln, point) = (next, there);
        }
        if is_last {
            break;
        }
        if won < 0.25 * promised || promised <= 0.0 {
            radius = 0.25 * norm(&moved).min(radius);
        } else if won > 0.75 * promised {
            radius = RADIUS_MAX.min(radius.max(2.0 * norm(&moved)));
        }
        if radius < RADIUS_MIN {
            break;
        }
    }
    let held = bounds.held(&ln, &point.slope);
    let rest = bounded_step(&point, bounds, &ln, RADIUS_START);
    let is_settled = gain(&point, &rest) <= GAIN_UNSETTLED;
    Some(Summit { parameters: bounds.parameters_of(&ln), point, held, is_settled })
}

/// The step from a place within bounds: what would leave them there does not move.
fn bounded_step<const N: usize>(
    point: &Point<N>,
    bounds: &Bounds<N>,
    ln: &[f64; N],
    radius: f64,
) -> [f64; N] {
    let mut held = bounds.held(ln, &point.slope);
    let mut length = step(point, held, radius);
    // Each turn holds one more, or is the last.
    for _ in 0..N {
        let leaving = bounds.held(ln, &length);
        if leaving == [false; N] {
            break;
        }
        for i in 0..N {
            held[i] |= leaving[i];
        }
        length = step(point, held, radius);
    }
    length
}

/// The step of at most `radius` that promises the most; what a bound holds back does not move.
fn step<const N: usize>(point: &Point<N>, held: [bool; N], radius: f64) -> [f64; N] {
    let Eigen { values, vectors } = Eigen::of(&steepness(point, held));
    let mut slopes = [0.0; N];
    for k in 0..N {
        slopes[k] = (0..N).filter(|i| !held[*i]).map(|i| vectors[k][i] * point.slope[i]).sum();
    }
    let damped = |damping: f64| {
        let mut step = [0.0; N];
        for k in 0..N {
            let length = slopes[k] / (values[k] + damping);
            for i in (0..N).filter(|i| length.is_finite() && !held[*i]) {
                step[i] += length * vectors[k][i];
            }
        }
        step
    };
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    if lowest > 0.0 {
        let newton = damped(0.0);
        if norm(&newton) <= radius {
            return newton;
        }
    }
    // Between these two the step's length falls from beyond the radius to below it.
    let mut low = (-lowest).max(0.0);
    let mut high = low + norm(&slopes) / radius + f64::MIN_POSITIVE;
    for _ in 0..HALVINGS_MAX {
        let middle = low.midpoint(high);
        if norm(&damped(middle)) > radius {
            low = middle;
        } else {
            high = middle;
        }
    }
    damped(high)
}

/// The negative second derivatives, with what is held back cut off from the rest.
pub(super) fn steepness<const N: usize>(point: &Point<N>, held: [bool; N]) -> [[f64; N]; N] {
    let mut matrix = [[0.0; N]; N];
    for i in 0..N {
        for k in 0..N {
            if !held[i] && !held[k] {
                matrix[i][k] = -point.curve[i][k];
            }
        }
        if held[i] {
            matrix[i][i] = 1.0;
        }
    }
    matrix
}

/// What the second-order expansion promises of a step.
fn gain<const N: usize>(point: &Point<N>, step: &[f64; N]) -> f64 {
    let mut gain = 0.0;
    for i in 0..N {
        gain += step[i] * point.slope[i];
        for k in 0..N {
            gain += 0.5 * step[i] * point.curve[i][k] * step[k];
        }
    }
    gain
}

fn norm<const N: usize>(step: &[f64; N]) -> f64 {
    step.iter().map(|it| it * it).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds<2> = Bounds { min: [1e-6; 2], max: [1e6; 2] };

    /// Rosenbrock's valley in the logarithms, turned upside down; its summit is at (2, 4).
    fn valley(parameters: &[f64; 2]) -> Point<2> {
        let [u, v] = [libm::log(parameters[0] / 2.0), libm::log(parameters[1] / 4.0)];
        let off = v - u * u;
        Point {
            value: -u * u - 100.0 * off * off,
            slope: [-2.0 * u + 400.0 * u * off, -200.0 * off],
            curve: [[-2.0 + 400.0 * off - 800.0 * u * u, 400.0 * u], [400.0 * u, -200.0]],
        }
    }

    #[test]
    fn the_summit_is_found_from_far_away_also_where_the_ground_is_not_concave() {
        for start in [[1e-6, 1e6], [1e6, 1e-6], [40.0, 4.0], [2.0, 4.0]] {
            let found = climb(&[start], &BOUNDS, valley).unwrap();
            assert!((found.parameters[0] - 2.0).abs() < 1e-6, "{start:?} {found:?}");
            assert!((found.parameters[1] - 4.0).abs() < 1e-6, "{start:?} {found:?}");
            assert_eq!(found.held, [false; 2]);
        }
    }

    #[test]
    fn a_parameter_that_runs_away_is_held_at_its_bound_and_the_other_is_found() {
        let rise = |parameters: &[f64; 2]| {
            let [u, v] = [libm::log(parameters[0]), libm::log(parameters[1] / 3.0)];
            Point { value: u - v * v, slope: [1.0, -2.0 * v], curve: [[0.0, 0.0], [0.0, -2.0]] }
        };
        let found = climb(&[[1.0, 1.0]], &BOUNDS, rise).unwrap();
        assert!((found.parameters[0] / 1e6 - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!(found.held, [true, false]);
        assert!((found.parameters[1] - 3.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_function_that_is_finite_nowhere_ends_the_search() {
        let nowhere = |_: &[f64; 2]| Point { value: f64::NAN, ..Point::ZERO };
        assert!(climb(&[[1.0, 1.0], [2.0, 2.0]], &BOUNDS, nowhere).is_none());
        // It is finite at the start alone.
        let cliff = |parameters: &[f64; 2]| {
            let value = if (parameters[0] - 1.0).abs() < 1e-12 { 0.0 } else { f64::NAN };
            Point { value, slope: [1.0, 0.0], curve: [[-1.0, 0.0], [0.0, -1.0]] }
        };
        assert!((climb(&[[1.0, 1.0]], &BOUNDS, cliff).unwrap().parameters[0] - 1.0).abs() < 1e-12);
    }
}

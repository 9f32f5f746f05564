//! The regularised incomplete beta function, which `libm` has not. Knows no model. Called by
//! `gamma_gamma`.

/// Steps of the continued fraction; about the root of the larger shape are needed, and shapes go up
/// to some 10^9.
const STEPS_MAX: u32 = 1 << 17;

/// Stands in for a denominator of 0 (Lentz 1976).
const TINY: f64 = 1e-300;

/// The chance that a beta variate with shapes `a` and `b`, both positive, lies below
/// `odds` / (1 + `odds`).
///
/// By the continued fraction (Abramowitz and Stegun 26.5.8) on the side of the mean where it
/// converges fast. The odds instead of the bound itself keep the digits on both sides.
pub(super) fn incomplete_beta(a: f64, b: f64, odds: f64) -> f64 {
    if odds.is_nan() || odds <= 0.0 {
        return 0.0;
    }
    if odds.is_infinite() {
        return 1.0;
    }
    let is_lower = odds * (b + 1.0) < a + 1.0;
    let (a, b, odds) = if is_lower { (a, b, odds) } else { (b, a, 1.0 / odds) };
    let (ln_bound, ln_rest) = (-libm::log1p(1.0 / odds), -libm::log1p(odds));
    let ln_front = a * ln_bound + b * ln_rest - ln_beta(a, b) - libm::log(a);
    let tail = (libm::exp(ln_front) * fraction(a, b, odds / (1.0 + odds))).clamp(0.0, 1.0);
    if is_lower { tail } else { 1.0 - tail }
}

/// ln B(a, b).
fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

fn fraction(a: f64, b: f64, bound: f64) -> f64 {
    let off_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / off_zero(1.0 - (a + b) * bound / (a + 1.0));
    let mut value = d;
    for m in (1..=STEPS_MAX).map(f64::from) {
        let even = m * (b - m) * bound / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * bound / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = value;
        for numerator in [even, odd] {
            d = 1.0 / off_zero(1.0 + numerator * d);
            c = off_zero(1.0 + numerator / c);
            value *= c * d;
        }
        if (value - before).abs() <= f64::EPSILON * value.abs() {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By mpmath 1.3 with 50 digits: a, b, odds, the chance.
    const KNOWN: [(f64, f64, f64, f64); 11] = [
        (6.25, 3.75, 0.5, 0.029_380_238_248_276_676),
        (6.25, 9.5, 0.031_25, 1.236_535_361_096_274e-6),
        (0.5, 0.5, 1.0, 0.5),
        (1e-6, 3.0, 0.25, 0.999_999_510_561_900_1),
        (62.5, 22.25, 2.0, 0.074_148_893_290_070_59),
        (62.5, 22.25, 4.0, 0.910_936_967_072_710_6),
        (625.0, 300.0, 1.0, 1.609_137_829_466_367_6e-27),
        (2_500.0, 9.0, 100.0, 8.004_920_566_723_496e-5),
        (2_500.0, 9.0, 1_000.0, 0.998_851_187_412_957),
        (12.5, 2_500.0, 0.007_812_5, 0.963_160_930_505_990_5),
        (1.0, 1.0, 3.0, 0.75),
    ];

    #[test]
    fn the_chances_agree_with_50_digits() {
        for (a, b, odds, chance) in KNOWN {
            let found = incomplete_beta(a, b, odds);
            let allowed = 1e-15 * (a + b + 100.0) * chance + 1e-300;
            assert!((found - chance).abs() < allowed, "{a} {b} {odds}: {found:e} {chance:e}");
        }
    }

    #[test]
    fn the_ends_are_certain_and_the_two_sides_add_up() {
        for (a, b) in [(1e-6, 3.0), (0.5, 0.5), (6.25, 3.74), (2_500.0, 9.0), (4e6, 2e3)] {
            assert!(incomplete_beta(a, b, 0.0) <= 0.0);
            assert!(incomplete_beta(a, b, f64::INFINITY) >= 1.0);
            for odds in [1e-12, 0.03, 0.7, 1.0, 40.0, 1e9] {
                let sum = incomplete_beta(a, b, odds) + incomplete_beta(b, a, 1.0 / odds);
                assert!((sum - 1.0).abs() < 1e-12, "{a} {b} {odds}: {sum}");
            }
        }
    }
}

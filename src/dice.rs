//! Seeded draws: a splitmix64 generator and the distributions that the shop needs. It has no other
//! source of chance. Called by `demo` and `sim`.

/// A stream of draws. Two streams of one seed share nothing.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// The stream of the given number under a seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self { state: mixed(seed) ^ mixed(!stream) }
    }

    /// The next 64 bits (Steele, Lea and Flood 2014).
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }

    /// Uniform between 0 and 1, never either.
    pub(crate) fn unit(&mut self) -> f64 {
        let bits = self.bits();
        let [high, low] = [bits >> 32, bits & 0xffff_ffff]
            .map(|half| f64::from(u32::try_from(half).expect("half of 64 bits fits 32")));
        // 21 bits of the lower half, so that the sum is exact and its largest value under 1.
        ((libm::floor(low / 2048.0) + 0.5) / 2_097_152.0 + high) / 4_294_967_296.0
    }

    /// True with the given chance.
    pub(crate) fn chance(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// One of a few, each as likely.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let place = self.bits() % from.len() as u64;
        &from[usize::try_from(place).expect("a place in a slice fits its index")]
    }

    /// A whole number below a bound that is not 0, each as likely.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// Uniform between two bounds.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Exponential with the given mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(self.unit())
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(self.unit())).sqrt();
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }

    /// Gamma with a shape of at least 1 and the given mean (Marsaglia and Tsang 2000).
    pub(crate) fn gamma(&mut self, shape: f64, mean: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        loop {
            let normal = self.normal();
            let root = 1.0 + normal / (9.0 * d).sqrt();
            let v = root * root * root;
            if v > 0.0
                && libm::log(self.unit()) < 0.5 * normal * normal + d * (1.0 - v + libm::log(v))
            {
                return d * v * mean / shape;
            }
        }
    }
}

fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The nearest whole number, held at the ends of its type.
#[expect(clippy::cast_possible_truncation, reason = "the cast of a rounded float saturates")]
pub(crate) fn rounded(value: f64) -> i64 {
    libm::round(value) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const N_DRAWS: u32 = 200_000;

    /// Mean and variance within four standard errors.
    fn check(name: &str, mean: f64, variance: f64, mut draw: impl FnMut(&mut Dice) -> f64) {
        let mut dice = Dice::new(7, 1);
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..N_DRAWS {
            let value = draw(&mut dice);
            sum += value;
            squares += (value - mean) * (value - mean);
        }
        let n = f64::from(N_DRAWS);
        let error = 4.0 * (variance / n).sqrt();
        assert!((sum / n - mean).abs() < error, "{name}: mean {}", sum / n);
        assert!((squares / n / variance - 1.0).abs() < 0.04, "{name}: variance {}", squares / n);
    }

    #[test]
    fn draws_have_the_mean_and_variance_of_their_distribution() {
        check("unit", 0.5, 1.0 / 12.0, Dice::unit);
        check("between", 3.0, 16.0 / 12.0, |dice| dice.between(1.0, 5.0));
        check("chance", 0.2, 0.16, |dice| f64::from(u8::from(dice.chance(0.2))));
        check("exponential", 3.0, 9.0, |dice| dice.exponential(3.0));
        check("normal", 0.0, 1.0, Dice::normal);
        check("gamma", 5.0, 12.5, |dice| dice.gamma(2.0, 5.0));
    }

    #[test]
    fn each_of_a_few_is_picked_as_often() {
        let mut dice = Dice::new(7, 1);
        let mut n_picked = [0; 3];
        for _ in 0..30_000 {
            n_picked[*dice.pick(&[0, 1, 2])] += 1;
        }
        assert!(n_picked.iter().all(|n| (9_700..10_300).contains(n)), "{n_picked:?}");
    }

    #[test]
    fn the_generator_is_splitmix64() {
        let mut dice = Dice { state: 1_234_567 };
        let got = [dice.bits(), dice.bits(), dice.bits()];
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(got, published);
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let first = |seed, stream| Dice::new(seed, stream).bits();
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
        assert_ne!(first(1, 2), first(2, 1));
    }
}

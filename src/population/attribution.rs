//! From one share of a customer to the next: who came and went counts whole; of who stayed, the
//! change of the product is split among its factors by their Shapley values, as the complete
//! decomposition of Sun (1998), "Changes in energy consumption and energy intensity", Energy
//! Economics 20, which Shorrocks (2013) derives for any attribution. It treats the factors alike,
//! leaves no residual, and unlike a split by logarithms holds where a factor is 0.

use super::{Effect, Factors, Presence, Share, whole};

/// What drove one change, in minor units: the parts add up to it. Those of 0 are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts([Option<(Effect, i64)>; 3]);

impl Parts {
    /// A change that has one cause.
    fn one(effect: Effect, minor: i64) -> Self {
        Self([Some((effect, minor)).filter(|_| minor != 0), None, None])
    }

    /// The parts, in the order of [`Effect::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Effect, i64)> {
        self.0.into_iter().flatten()
    }
}

/// Attributes the change between two shares of one customer; `None` is one who is not known, and
/// after an erasure not any more.
pub fn attribute(before: Option<&Share>, after: Option<&Share>) -> Parts {
    use Presence::{Absent, Lapsed, Present};
    let Some(after) = after else {
        return Parts::one(Effect::Erased, -before.map_or(0, Share::value_minor));
    };
    let Some(before) = before else {
        return Parts::one(Effect::New, after.value_minor());
    };
    let change = after.value_minor() - before.value_minor();
    match (before.presence, after.presence) {
        (Present, Present) => split(&before.factors, &after.factors, change),
        (Absent, Present) | (Present, Absent) => Parts::one(Effect::New, change),
        (Present, Lapsed) => Parts::one(Effect::Lost, change),
        (Lapsed, Present) => Parts::one(Effect::Recovered, change),
        // Both count with nothing.
        (Absent | Lapsed, Absent | Lapsed) => Parts::default(),
    }
}

/// Splits `change` among the factors, in whole units by largest remainder.
fn split(before: &Factors, after: &Factors, change: i64) -> Parts {
    let exact = shapley(before, after);
    let floors = exact.map(libm::floor);
    let mut parts = floors.map(whole);
    let mut by_remainder = [0, 1, 2];
    by_remainder.sort_by(|&i, &k| (exact[k] - floors[k]).total_cmp(&(exact[i] - floors[i])));
    let mut left = change - parts.iter().sum::<i64>();
    for i in by_remainder {
        if left > 0 {
            parts[i] += 1;
            left -= 1;
        }
    }
    // Nothing is left unless the amounts are so large that floats have lost whole units.
    parts[by_remainder[0]] += left;
    let [retention, frequency, basket] = parts;
    let part = |effect, minor| Some((effect, minor)).filter(|_| minor != 0);
    Parts([
        part(Effect::Retention, retention),
        part(Effect::Frequency, frequency),
        part(Effect::Basket, basket),
    ])
}

/// The mean effect of each factor's change over the six orders in which the three may change.
fn shapley(before: &Factors, after: &Factors) -> [f64; 3] {
    let part = |own: (f64, f64), one: (f64, f64), other: (f64, f64)| {
        let alike = one.0 * other.0 + one.1 * other.1;
        let crossed = one.0 * other.1 + one.1 * other.0;
        (own.1 - own.0) * (2.0 * alike + crossed) / 6.0
    };
    let retention = (before.retention, after.retention);
    let frequency = (before.frequency, after.frequency);
    let basket = (before.basket, after.basket);
    [
        part(retention, frequency, basket),
        part(frequency, retention, basket),
        part(basket, retention, frequency),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::Lifecycle;

    fn share(lifecycle: Lifecycle, retention: f64, frequency: f64, basket: f64) -> Share {
        let factors = Factors { retention, frequency, basket };
        Share::new(0, lifecycle, true, Some((retention * frequency * basket, factors)))
    }

    fn parts(before: Option<Share>, after: Option<Share>) -> Vec<(&'static str, i64)> {
        let parts = attribute(before.as_ref(), after.as_ref());
        parts.iter().map(|(effect, minor)| (effect.as_str(), minor)).collect()
    }

    #[test]
    fn who_comes_and_goes_counts_whole() {
        let active = Some(share(Lifecycle::Active, 0.5, 4.0, 1000.0));
        let lapsed = Some(share(Lifecycle::Lapsed, 0.4, 4.0, 1000.0));
        let taken_back = Some(Share::new(0, Lifecycle::New, false, None));
        assert_eq!(parts(None, active), [("new", 2000)]);
        assert_eq!(parts(taken_back, active), [("new", 2000)]);
        assert_eq!(parts(active, taken_back), [("new", -2000)]);
        assert_eq!(parts(active, lapsed), [("lost", -2000)]);
        assert_eq!(parts(lapsed, active), [("recovered", 2000)]);
        assert_eq!(parts(active, None), [("erased", -2000)]);
        assert_eq!(parts(lapsed, taken_back), []);
        assert_eq!(parts(lapsed, None), []);
    }

    /// By hand: from 0.5 × 4 × 1200 to 0.25 × 8 × 3600, the mean over the six orders.
    #[test]
    fn the_parts_of_who_stays_are_the_shapley_values() {
        let before = Some(share(Lifecycle::Active, 0.5, 4.0, 1200.0));
        let after = Some(share(Lifecycle::AtRisk, 0.25, 8.0, 3600.0));
        let expect = [("retention", -3800), ("frequency", 3400), ("basket", 5200)];
        assert_eq!(parts(before, after), expect);
    }

    #[test]
    fn a_factor_that_did_not_change_has_no_part_however_the_total_rounds() {
        for n in 0..1000 {
            let basket = 1000.0 + f64::from(n) * 0.37;
            let before = share(Lifecycle::Active, 0.7, 1.3, basket);
            let after = share(Lifecycle::Active, 0.7, 1.3001, basket);
            let change = after.value_minor() - before.value_minor();
            let got = parts(Some(before), Some(after));
            let expect = [("frequency", change)];
            assert_eq!(got, expect.iter().filter(|part| part.1 != 0).copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_parts_add_up_for_factors_of_every_size() {
        let sizes = [0.0, 1e-300, 0.3, 0.999, 7.7, 1e8, 1e17, 1e300, f64::INFINITY];
        let all = || {
            let pairs = sizes.into_iter().flat_map(|a| sizes.map(|b| (a, b)));
            pairs.flat_map(|(a, b)| sizes.map(|c| share(Lifecycle::Active, a, b, c)))
        };
        for before in all().step_by(7) {
            for after in all() {
                let sum: i64 = attribute(Some(&before), Some(&after)).iter().map(|it| it.1).sum();
                assert_eq!(sum, after.value_minor() - before.value_minor(), "{before:?} {after:?}");
            }
        }
    }
}

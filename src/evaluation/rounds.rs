//! How far chance alone moves a figure: the percentile bootstrap over customers (Efron 1979). The
//! draws are handed in. Called by this module.

use serde::Serialize;

/// The chance that an interval is to have.
pub const CONFIDENCE: f64 = 0.95;

/// Rounds of few customers and of many, and the draws of all rounds in between.
const ROUNDS_MAX: u64 = 1_000;
const ROUNDS_MIN: u64 = 200;
const DRAWS: u64 = 20_000_000;

/// How many rounds so many customers get.
pub(super) fn n_rounds(n_customers: usize) -> u64 {
    let n_customers = u64::try_from(n_customers).unwrap_or(u64::MAX).max(1);
    (DRAWS / n_customers).clamp(ROUNDS_MIN, ROUNDS_MAX)
}

/// Draws as many customers as there are, with replacement: how often each was drawn.
pub(super) fn resample(weights: &mut [u32], below: &mut dyn FnMut(u64) -> u64) {
    weights.fill(0);
    let n = weights.len() as u64;
    for _ in 0..n {
        let drawn = usize::try_from(below(n)).unwrap_or(0);
        weights[drawn] += 1;
    }
}

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The figure itself.
    pub value: f64,
    /// Where the interval begins; absent where too few rounds had a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// The values of a figure, first of all customers as they are, then of each round.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    value: Option<f64>,
    rounds: Vec<f64>,
    n_absent: usize,
}

impl Series {
    pub(super) fn new(value: Option<f64>) -> Self {
        Self { value, ..Self::default() }
    }

    pub(super) fn push(&mut self, value: Option<f64>) {
        match value {
            Some(value) => self.rounds.push(value),
            None => self.n_absent += 1,
        }
    }

    /// The figure; its interval only where most rounds had a value.
    pub(super) fn figure(mut self) -> Option<Figure> {
        let value = self.value?;
        if self.rounds.is_empty() || self.n_absent >= self.rounds.len() {
            return Some(Figure { value, low: None, high: None });
        }
        self.rounds.sort_by(f64::total_cmp);
        let margin = (1.0 - CONFIDENCE) / 2.0;
        let at = |share| Some(quantile(&self.rounds, share));
        Some(Figure { value, low: at(margin), high: at(1.0 - margin) })
    }
}

/// The quantile of ascending values, of which there is one at least, straight between neighbours.
fn quantile(values: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are at most a thousand rounds")]
    let place = share * (values.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place between 0 and the length"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(values.len() - 1);
    values[below] + (values[above] - values[below]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    #[test]
    fn an_interval_covers_the_truth_as_often_as_it_says() {
        const TRIALS: u32 = 400;
        let (mut dice, mut n_covered) = (Dice::new(3, 0), 0_u32);
        for _ in 0..TRIALS {
            let values: Vec<f64> = (0..60).map(|_| dice.exponential(1.0)).collect();
            let mean = |weights: &[u32]| {
                let sum: f64 = values.iter().zip(weights).map(|(v, w)| v * f64::from(*w)).sum();
                Some(sum / 60.0)
            };
            let mut weights = vec![1; 60];
            let mut series = Series::new(mean(&weights));
            for _ in 0..200 {
                resample(&mut weights, &mut |bound| dice.below(bound));
                assert_eq!(weights.iter().sum::<u32>(), 60);
                series.push(mean(&weights));
            }
            let figure = series.figure().unwrap();
            n_covered += u32::from(figure.low.unwrap() < 1.0 && 1.0 < figure.high.unwrap());
        }
        // The percentile interval of a skewed mean is known to be a little short.
        assert!((360..=392).contains(&n_covered), "{n_covered} of {TRIALS}");
    }

    #[test]
    fn a_figure_that_most_rounds_do_not_have_gets_no_interval() {
        let mut series = Series::new(Some(0.5));
        series.push(Some(0.4));
        series.push(None);
        assert_eq!(series.figure(), Some(Figure { value: 0.5, low: None, high: None }));
        assert_eq!(Series::new(None).figure(), None);
    }

    #[test]
    fn many_customers_get_fewer_rounds_and_none_gets_none_too_few() {
        assert_eq!([1, 2_357, 20_000].map(n_rounds), [1_000; 3]);
        assert_eq!([50_000, 100_000, 300_000].map(n_rounds), [400, 200, 200]);
    }
}

//! Whether forecasts come true on average: sums by frequency, and predicted against actual in bands
//! of the prediction. Called by this module.

use serde::Serialize;

use super::cohort::Cohort;
use super::ranking::count;
use super::rounds::{Figure, Series};
use super::scores::Forecast;

/// Bands of a calibration; fewer where many customers have the same prediction.
const BANDS: usize = 10;

/// From so many repeat days on customers are one group.
const X_MAX: u32 = 7;

/// What a sum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Purchase days in the window.
    Orders,
    /// Net spend in the window, in major units.
    Spend,
}

/// Predicted and actual of a group of customers, summed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bias {
    /// What was summed.
    pub quantity: Quantity,
    /// The customers with so many repeat days, the last with at least so many; absent of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<u32>,
    /// Customers.
    pub customers: u64,
    /// What the model expected of them.
    pub predicted: f64,
    /// What came.
    pub actual: f64,
    /// Predicted ÷ actual; absent where nothing came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Figure>,
}

/// A sum over a group, before the rounds are in.
pub(super) struct Sum {
    quantity: Quantity,
    x: Option<u32>,
    /// Each customer by number, with predicted and actual.
    members: Vec<(u32, f64, f64)>,
    predicted: f64,
    actual: f64,
    ratio: Series,
}

impl Sum {
    pub(super) fn round(&mut self, weights: &[u32]) {
        let ratio = self.under(weights);
        self.ratio.push(ratio);
    }

    fn under(&self, weights: &[u32]) -> Option<f64> {
        let (mut predicted, mut actual) = (0.0, 0.0);
        for (customer, foreseen, came) in &self.members {
            let weight = f64::from(weights[*customer as usize]);
            predicted += weight * foreseen;
            actual += weight * came;
        }
        (actual > 0.0).then(|| predicted / actual)
    }

    pub(super) fn bias(self) -> Bias {
        let Self { quantity, x, members, predicted, actual, ratio } = self;
        let customers = members.len() as u64;
        Bias { quantity, x, customers, predicted, actual, ratio: ratio.figure() }
    }
}

/// The sums over all customers and by frequency, empty groups left out.
pub(super) fn sums(cohort: &Cohort, forecasts: &[Forecast]) -> Vec<Sum> {
    let groups = || [None].into_iter().chain((0..=X_MAX).map(Some));
    let mut sums = Vec::new();
    for quantity in [Quantity::Orders, Quantity::Spend] {
        sums.extend(groups().filter_map(|x| sum(quantity, x, cohort, forecasts)));
    }
    sums
}

fn sum(quantity: Quantity, x: Option<u32>, cohort: &Cohort, forecasts: &[Forecast]) -> Option<Sum> {
    let rows = (0..).zip(&cohort.known).zip(cohort.became.iter().zip(forecasts));
    let in_group = rows.filter(|((_, known), _)| {
        x.is_none_or(|x| known.purchases.x == x || (x == X_MAX && known.purchases.x > x))
    });
    let members: Vec<(u32, f64, f64)> = in_group
        .map(|((customer, _), (became, forecast))| match quantity {
            Quantity::Orders => {
                Some((customer, forecast.expected_orders, f64::from(became.n_days)))
            }
            Quantity::Spend => Some((customer, forecast.expected_spend?, became.net_major)),
        })
        .collect::<Option<_>>()?;
    if members.is_empty() {
        return None;
    }
    let predicted = members.iter().map(|member| member.1).sum();
    let actual = members.iter().map(|member| member.2).sum();
    let mut sum = Sum { quantity, x, members, predicted, actual, ratio: Series::default() };
    sum.ratio = Series::new((actual > 0.0).then(|| predicted / actual));
    Some(sum)
}

/// Customers with about the same prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// Customers.
    pub customers: u64,
    /// The least prediction of them.
    pub predicted_min: f64,
    /// The greatest.
    pub predicted_max: f64,
    /// Their mean prediction.
    pub predicted_mean: f64,
    /// What came, on average.
    pub actual_mean: f64,
}

/// Bands of about equally many customers by rising prediction. Who has the same prediction is in
/// the same band, that of the middle of them, so that no order among equals matters.
pub(super) fn bands(predicted: &[f64], actual: &[f64]) -> Vec<Band> {
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    order.sort_by(|one, other| predicted[*one].total_cmp(&predicted[*other]));
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); BANDS];
    let mut begin = 0;
    for tied in order.chunk_by(|one, other| predicted[*one].total_cmp(&predicted[*other]).is_eq()) {
        let middle = begin + tied.len() / 2;
        members[middle * BANDS / order.len()].extend(tied);
        begin += tied.len();
    }
    members.iter().filter_map(|members| band(members, predicted, actual)).collect()
}

fn band(members: &[usize], predicted: &[f64], actual: &[f64]) -> Option<Band> {
    let (first, last) = (members.first()?, members.last()?);
    let customers = members.len() as u64;
    let mean = |values: &[f64]| members.iter().map(|i| values[*i]).sum::<f64>() / count(customers);
    Some(Band {
        customers,
        predicted_min: predicted[*first],
        predicted_max: predicted[*last],
        predicted_mean: mean(predicted),
        actual_mean: mean(actual),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_of_equal_size_where_nobody_ties() {
        let predicted: Vec<f64> = (0..40).rev().map(f64::from).collect();
        let actual = vec![1.0; 40];
        let bands = bands(&predicted, &actual);
        assert_eq!(bands.len(), 10);
        assert!(bands.iter().all(|band| band.customers == 4 && band.actual_mean > 0.999));
        assert!(bands.is_sorted_by(|one, other| one.predicted_max < other.predicted_min));
    }

    #[test]
    fn who_has_the_same_prediction_is_in_the_same_band_whatever_the_order() {
        let predicted = [0.2, 0.7, 0.2, 0.2, 0.7, 0.9, 0.2, 0.2, 0.2, 0.2];
        let actual = [0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0];
        let found = bands(&predicted, &actual);
        let rows: Vec<_> = found.iter().map(|it| (it.customers, it.predicted_mean)).collect();
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [7, 2, 1]);
        assert!((found[1].actual_mean - 1.5).abs() < 1e-15);
        let turned = |values: &[f64]| values.iter().rev().copied().collect::<Vec<_>>();
        let again = bands(&turned(&predicted), &turned(&actual));
        assert_eq!(again.len(), found.len());
        assert!(again.iter().zip(&found).all(|(one, other)| one.customers == other.customers));
        assert_eq!(bands(&[0.5], &[1.0]).len(), 1);
        assert_eq!(bands(&[], &[]), Vec::new());
    }
}

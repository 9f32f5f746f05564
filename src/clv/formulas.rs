//! The customer lifetime values of the textbooks, beside which the models' are shown. No model, no
//! chance of death, no discount. Called when a score is made.

use super::{DAYS_PER_WEEK, WEEKS_PER_MONTH};

/// The `simple` value: average order value × orders, in the unit of the first.
pub fn simple(average_order_value: f64, n_orders: u64) -> f64 {
    average_order_value * count(n_orders)
}

/// Orders a month over the customer's age, which counts as one month at least.
///
/// The age runs to today, not to the last order: the observed lifespan is 0 for everyone who bought
/// on a single day, which is most customers.
pub fn orders_per_month(n_orders: u64, age_days: u32) -> f64 {
    let age_months = f64::from(age_days) / (DAYS_PER_WEEK * WEEKS_PER_MONTH);
    count(n_orders) / age_months.max(1.0)
}

/// The `formula` value: average order value × orders a month × months of retention, in the unit of
/// the first.
pub fn formula(average_order_value: f64, orders_per_month: f64, retention_months: f64) -> f64 {
    average_order_value * orders_per_month * retention_months
}

#[expect(clippy::cast_precision_loss, reason = "no customer has 2^53 orders")]
fn count(n_orders: u64) -> f64 {
    n_orders as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_4_345_weeks_and_no_age_is_under_one_month() {
        let check = |n_orders, age_days, per_month: f64, value: f64| {
            let rate = orders_per_month(n_orders, age_days);
            assert!((rate - per_month).abs() < 1e-12, "{rate}");
            assert!((formula(25.0, rate, 24.0) - value).abs() < 1e-9);
        };
        check(3, 0, 3.0, 1_800.0);
        check(3, 30, 3.0, 1_800.0);
        check(12, 6_083, 0.06, 36.0);
    }

    #[test]
    fn simple_is_the_gross_when_the_average_is() {
        assert!((simple(24.5, 4) - 98.0).abs() < f64::EPSILON);
    }
}

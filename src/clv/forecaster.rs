//! The costly part of a score, what a living customer will buy, behind a bounded table. It depends
//! on two small whole numbers only, x and the age in days, so most scores find it there. Holds no
//! customer and no money. One for each engine thread.

use std::sync::Arc;

use super::{Memo, Model, WEEKS_PER_MONTH, weeks};

/// 2^17 places of 24 bytes are 3 MiB. They hold every pair of 64 frequencies and 2,048 ages at
/// once; rarer pairs take each other's places.
const TABLE_BITS: u32 = 17;

/// How far ahead a forecast looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Horizon {
    /// Months of [`Alive::discounted_orders`].
    pub months: u32,
    /// Discount a month, as a fraction.
    pub discount_monthly: f64,
    /// Days of [`Alive::expected_orders`].
    pub orders_days: u32,
}

/// What a living customer will buy; each times P(alive) is what the customer will buy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Alive {
    /// Expected purchase days over [`Horizon::orders_days`].
    pub expected_orders: f64,
    /// Expected purchase days over [`Horizon::months`], those of the i-th month divided by
    /// (1 + discount)^i.
    pub discounted_orders: f64,
}

/// Forecasts for living customers under one model and horizon.
#[derive(Debug)]
pub struct Forecaster {
    computation: Computation,
    table: Memo<Alive>,
}

/// The computation behind the table.
#[derive(Debug)]
struct Computation {
    model: Arc<Model>,
    /// The ends of the months, then the end of the orders' horizon.
    horizons_weeks: Vec<f64>,
    /// 1 / (1 + discount)^i at the end of each month.
    discounts: Vec<f64>,
    /// Expected orders at `horizons_weeks`, for the pair at hand.
    orders: Vec<f64>,
}

impl Forecaster {
    /// An empty table in front of `model`.
    pub fn new(model: Arc<Model>, horizon: Horizon) -> Self {
        let months = 1..=horizon.months;
        let mut horizons_weeks: Vec<f64> =
            months.clone().map(|month| f64::from(month) * WEEKS_PER_MONTH).collect();
        horizons_weeks.push(weeks(horizon.orders_days));
        let discounts = months
            .map(|month| libm::pow(1.0 + horizon.discount_monthly, -f64::from(month)))
            .collect();
        let orders = vec![0.0; horizons_weeks.len()];
        let computation = Computation { model, horizons_weeks, discounts, orders };
        Self { computation, table: Memo::new(TABLE_BITS) }
    }

    /// The forecast for a living customer with `x` purchase days after the first, `t_days` after
    /// it. A function of its arguments, whatever the table holds.
    pub fn alive(&mut self, x: u32, t_days: u32) -> Alive {
        self.table.get(x, t_days).unwrap_or_else(|| {
            let alive = self.computation.compute(x, t_days);
            self.table.put(x, t_days, alive);
            alive
        })
    }
}

impl Computation {
    fn compute(&mut self, x: u32, t_days: u32) -> Alive {
        self.model.fill_expected_orders_alive(x, t_days, &self.horizons_weeks, &mut self.orders);
        let (mut until_before, mut discounted_orders) = (0.0, 0.0);
        for (until, discount) in self.orders.iter().zip(&self.discounts) {
            discounted_orders += (until - until_before) * discount;
            until_before = *until;
        }
        let expected_orders = self.orders.last().copied().unwrap_or(0.0);
        Alive { expected_orders, discounted_orders }
    }
}

//! The costly part of a score, what a living customer will buy, behind a bounded table. It depends
//! on two small whole numbers only, x and the age in days, so most scores find it there. Holds no
//! customer and no money. One for each engine thread.

use std::sync::Arc;

use super::{Model, WEEKS_PER_MONTH, weeks};

/// Entries of the table, a power of two: 3 MiB at 24 bytes each. It holds every pair of 64
/// frequencies and 2,048 ages at once; rarer pairs take each other's places.
const ENTRIES: u32 = 1 << 17;

/// Between the places of one x and the next: the golden section of the table, so that the ages of
/// few frequencies are spread evenly over it.
const STRIDE: u32 = 81_007;

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alive {
    /// Expected purchase days over [`Horizon::orders_days`].
    pub expected_orders: f64,
    /// Expected purchase days over [`Horizon::months`], those of the i-th month divided by
    /// (1 + discount)^i.
    pub discounted_orders: f64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    x: u32,
    t_days: u32,
    alive: Alive,
}

/// Forecasts for living customers under one model and horizon.
#[derive(Debug)]
pub struct Forecaster {
    model: Arc<Model>,
    /// The ends of the months, then the end of the orders' horizon.
    horizons_weeks: Vec<f64>,
    /// 1 / (1 + discount)^i at the end of each month.
    discounts: Vec<f64>,
    /// Expected orders at `horizons_weeks`, for the pair at hand.
    orders: Vec<f64>,
    table: Box<[Entry]>,
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
        let mut forecaster =
            Self { model, horizons_weeks, discounts, orders, table: Box::default() };
        // Every place starts with the truth about one pair, so that no place is empty.
        let entry = Entry { x: 0, t_days: 0, alive: forecaster.compute(0, 0) };
        forecaster.table = vec![entry; ENTRIES as usize].into();
        forecaster
    }

    /// The forecast for a living customer with `x` purchase days after the first, `t_days` after
    /// it. A function of its arguments, whatever the table holds.
    pub fn alive(&mut self, x: u32, t_days: u32) -> Alive {
        let place = (x.wrapping_mul(STRIDE).wrapping_add(t_days) % ENTRIES) as usize;
        let entry = self.table[place];
        if entry.x == x && entry.t_days == t_days {
            return entry.alive;
        }
        let alive = self.compute(x, t_days);
        self.table[place] = Entry { x, t_days, alive };
        alive
    }

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

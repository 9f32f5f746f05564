//! The channels of one customer purchase by purchase, with alarms that latch and clear as in
//! operation, at O(1) a purchase: for simulations of many customers. Holds what operation derives
//! anew from the ledger each time. Called by `calibration`.

use std::collections::VecDeque;

use crate::calendar::Day;
use crate::clv::{RatePrior, Season};
use crate::customer::Driver;

use super::basket::Basket;
use super::channels::{BASELINE_LAG_DAYS, BASKET_SHAPE_DEFAULT, Channel, Parameters};
use super::orders::Orders;
use super::past::Baseline;
use super::thresholds::Thresholds;

/// What a watched customer is judged by.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Purchase rates of the population.
    pub prior: RatePrior,
    /// The season index.
    pub season: Option<Season>,
    /// How much evidence is an alarm.
    pub thresholds: Thresholds,
}

/// One alarm of decline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    /// The day on which it was raised.
    pub on: Day,
    /// Whether the orders channel crossed; else the basket channel did.
    pub is_of_orders: bool,
    /// As named, but that silence is not told from frequency.
    pub driver: Driver,
    /// The customer's baseline, in purchase days a week.
    pub rate_weekly: f64,
}

/// One customer under watch.
#[derive(Debug)]
pub struct Watch<'a> {
    known: &'a Parameters,
    first: Day,
    last: Day,
    /// Purchase days younger than the baseline of the last purchase.
    days: VecDeque<Day>,
    n_lagged: u32,
    n_days: u32,
    third_on: Option<Day>,
    orders: Orders,
    basket: Basket,
    /// As above under a standing alarm, its baseline held.
    orders_alarm: Option<(Day, Orders)>,
    basket_alarm: Option<(Day, Basket)>,
}

impl Watched {
    /// What the channels need of it.
    pub fn parameters(self) -> Parameters {
        Parameters {
            prior: self.prior,
            season: self.season,
            basket_shape: BASKET_SHAPE_DEFAULT,
            ln_population_basket: None,
            thresholds: self.thresholds,
        }
    }
}

impl<'a> Watch<'a> {
    /// A customer whose first purchase day this is.
    pub fn new(first: Day, known: &'a Parameters) -> Self {
        Self {
            known,
            first,
            last: first,
            days: VecDeque::from([first]),
            n_lagged: 0,
            n_days: 1,
            third_on: None,
            orders: Orders::new(first),
            basket: Basket::new(first),
            orders_alarm: None,
            basket_alarm: None,
        }
    }

    /// The first day on which the baseline holds three purchase days.
    pub fn gated_on(&self) -> Option<Day> {
        self.third_on.map(|on| on.plus(BASELINE_LAG_DAYS))
    }

    /// The baseline of the last purchase, in purchase days a week.
    pub fn rate_weekly(&self) -> Option<f64> {
        self.orders.baseline.map(|baseline| baseline.rate_weekly)
    }

    /// Whether an alarm stands.
    pub fn is_alarmed(&self) -> bool {
        self.orders_alarm.is_some() || self.basket_alarm.is_some()
    }

    /// Lets silence pass up to and including a day; the alarm that it raised.
    pub fn silent_until(&mut self, day: Day) -> Option<Alarm> {
        if self.orders_alarm.is_some() {
            return None;
        }
        let crosses_on = self.orders.on(self.last, self.known).crosses_on?;
        let on = Some(crosses_on.max(self.last)).filter(|on| *on <= day)?;
        let seen = self.channels(on);
        self.raise(on, &seen, true, false)
    }

    /// A purchase on a later day, its basket in minor units; the alarm that it raised. Silence up
    /// to it has passed already.
    pub fn purchase(&mut self, day: Day, basket_minor: f64) -> Option<Alarm> {
        self.n_days += 1;
        if self.n_days == 3 {
            self.third_on = Some(day);
        }
        let lagged_on = day.plus(-BASELINE_LAG_DAYS);
        self.days.push_back(day);
        while self.days.pop_front_if(|day| *day <= lagged_on).is_some() {
            self.n_lagged += 1;
        }
        self.last = day;
        let baseline = Baseline::of(self.n_lagged, self.first, lagged_on, self.known);
        for orders in
            [&mut self.orders].into_iter().chain(self.orders_alarm.as_mut().map(|(_, held)| held))
        {
            orders.purchase(day, baseline, self.known);
        }
        for basket in
            [&mut self.basket].into_iter().chain(self.basket_alarm.as_mut().map(|(_, held)| held))
        {
            basket.purchase(day, basket_minor, baseline, self.known);
        }
        let seen = self.channels(day);
        let (orders, basket) = &seen;
        self.orders_alarm.take_if(|(on, _)| day > *on && orders.is_under_half());
        self.basket_alarm.take_if(|(on, _)| day > *on && basket.is_under_half());
        let is_of_orders = self.orders_alarm.is_none() && orders.is_crossed();
        let is_of_basket = self.basket_alarm.is_none() && basket.is_crossed();
        self.raise(day, &seen, is_of_orders, is_of_basket)
    }

    fn channels(&self, today: Day) -> (Channel, Channel) {
        let orders = self.orders_alarm.as_ref().map_or(&self.orders, |(_, held)| held);
        let basket = self.basket_alarm.as_ref().map_or(&self.basket, |(_, held)| held);
        (orders.on(today, self.known), basket.channel(self.known))
    }

    fn raise(
        &mut self,
        on: Day,
        (orders, basket): &(Channel, Channel),
        is_of_orders: bool,
        is_of_basket: bool,
    ) -> Option<Alarm> {
        let driver = if is_of_orders {
            if basket.is_above_half() { Driver::Both } else { Driver::Frequency }
        } else if is_of_basket {
            if orders.is_above_half() { Driver::Both } else { Driver::Basket }
        } else {
            return None;
        };
        if is_of_orders {
            let mut held = self.orders.clone();
            held.freeze();
            self.orders_alarm = Some((on, held));
        }
        if is_of_basket {
            let mut held = self.basket.clone();
            held.freeze();
            self.basket_alarm = Some((on, held));
        }
        let rate_weekly = self.rate_weekly()?;
        Some(Alarm { on, is_of_orders, driver, rate_weekly })
    }
}

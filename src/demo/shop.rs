//! The simulated shop: its customers, which of them change and when, and two years of their
//! records in the order in which they reach the topic. It reads no clock and draws only from the
//! seed. Called by the `demo` command.

use crate::calendar::{Calendar, Day};
use crate::churn;
use crate::money::Currency;

use super::life::{Content, Delivery, Habits, live};
use crate::dice::{Dice, rounded};

/// Milliseconds in a week.
pub(super) const WEEK_MS: f64 = 604_800_000.0;
/// How long the shop has been open at the end of its story, in weeks.
const OPEN_WEEKS: f64 = 104.0;
/// The shape of the rates among customers: few buy often.
const RATE_SHAPE: f64 = 2.0;
/// The median customer's mean basket, in major units.
const BASKET_MEDIAN: f64 = 40.0;
/// The deviation of the logarithm of mean baskets among customers.
const BASKET_LOG_DEVIATION: f64 = 0.5;
/// Most customers come in this first part of the story, so that a change has a past before it.
const EARLY_WEEKS: f64 = 26.0;
/// The share of the others, who come at any time up to three months before the end.
const LATE_SHARE: f64 = 0.25;
/// When changes begin, in weeks of the story. They go on to its end, so the last are too recent.
const CHANGES_FROM_WEEK: f64 = 52.0;
/// One in ten customers has each change.
const PLANTED_EVERY: u32 = 10;
/// The share of customers who have the shop's service, whose use is recorded each week.
const MEMBER_SHARE: f64 = 0.3;
/// How long before a purchase its baseline ends (the lag of the churn channels), in days.
pub(super) const BASELINE_LAG_DAYS: i32 = churn::BASELINE_LAG_DAYS;
/// What is left of the story after the change of a customer whom somebody is to follow.
const FOLLOWED_DAYS_MIN: i32 = 182;
/// The purchase days that a baseline needs.
pub(super) const BASELINE_DAYS_MIN: usize = 3;

/// What shop to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The seed: the same gives the same records.
    pub seed: u64,
    /// How many customers there are.
    pub n_customers: u32,
    /// Orders a customer and week, on average.
    pub orders_per_week: f64,
    /// The end of the story in epoch milliseconds; it begins 104 weeks before.
    pub end_ms: i64,
    /// The currency of all money.
    pub currency: Currency,
}

impl Settings {
    /// The demo's own shop: 600 customers who order every other week.
    pub fn new(seed: u64, end_ms: i64, currency: Currency) -> Self {
        Self { seed, n_customers: 600, orders_per_week: 0.5, end_ms, currency }
    }

    /// The beginning of the story in epoch milliseconds.
    pub fn start_ms(&self) -> i64 {
        self.end_ms.saturating_sub(rounded(OPEN_WEEKS * WEEK_MS))
    }
}

/// A change that is planted in a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// No more orders, carts or use.
    Stops,
    /// Half as many orders.
    OrdersHalved,
    /// Orders worth half.
    BasketsHalved,
}

impl Change {
    /// All changes.
    pub const ALL: [Self; 3] = [Self::Stops, Self::OrdersHalved, Self::BasketsHalved];

    /// The change in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stops => "stops",
            Self::OrdersHalved => "orders halved",
            Self::BasketsHalved => "baskets halved",
        }
    }
}

/// A customer who changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Planted {
    /// The customer.
    pub customer_id: String,
    /// What changes.
    pub kind: Change,
    /// The first day of the change.
    pub changed_on: Day,
    /// Purchase days early enough before the change to be in its baseline.
    pub n_baseline_days: usize,
    /// Orders a week before the change.
    pub orders_per_week: f64,
}

/// A customer who does not change: whatever is raised about them is a false alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Loyal {
    /// The customer.
    pub customer_id: String,
    /// The first day on which the baseline suffices for a judgement.
    pub judged_from: Option<Day>,
}

/// What is true of the customers, for the verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// Those who change, by number.
    pub planted: Vec<Planted>,
    /// All others, by number.
    pub loyal: Vec<Loyal>,
}

/// A record for the input topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's key.
    pub key: Vec<u8>,
    /// The record's value.
    pub payload: Vec<u8>,
    /// When it reaches the topic, in epoch milliseconds; never decreasing.
    pub timestamp_ms: i64,
    /// What it adds to the net revenue in the shop's own books, in minor units.
    pub books_minor: i64,
}

/// A shop with all that will happen in it.
#[derive(Debug)]
pub struct Shop {
    deliveries: Vec<Delivery>,
    truth: Truth,
}

impl Shop {
    /// Simulates the whole story. Memory is about 250 bytes a record.
    pub fn open(settings: &Settings) -> Self {
        let mut deliveries = Vec::new();
        let mut truth = Truth::default();
        for number in 0..settings.n_customers {
            let mut dice = Dice::new(settings.seed, u64::from(number));
            let habits = habits(settings, number, &mut dice);
            let days = live(&habits, settings, &mut dice, &mut deliveries);
            truth.add(&habits, &days);
        }
        // Stable: what one customer delivers in one millisecond stays in order.
        deliveries.sort_by_key(|delivery| delivery.arrives_ms);
        Self { deliveries, truth }
    }

    /// What was planted.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// How many records there will be.
    pub fn n_records(&self) -> usize {
        self.deliveries.len()
    }

    /// The records in the order in which they reach the topic: by time of arrival, so that a few
    /// events come late.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record> {
        self.deliveries.iter().map(|delivery| {
            let (key, payload) = match &delivery.content {
                Content::Event(event) => (event.customer_id.as_bytes().to_vec(), event.encode()),
                Content::Poison { key, payload } => (key.clone(), payload.clone()),
            };
            let timestamp_ms = delivery.arrives_ms;
            Record { key, payload, timestamp_ms, books_minor: delivery.books_minor }
        })
    }
}

impl Truth {
    /// Of each change the customer in whom it shows best: who bought most often before it, of
    /// those with half a year left until the story ends on `end`.
    pub fn to_follow(&self, end: Day) -> impl Iterator<Item = &Planted> {
        Change::ALL.into_iter().filter_map(move |kind| {
            let latest = end.plus(-FOLLOWED_DAYS_MIN);
            let early = self.planted.iter().filter(move |it| it.changed_on <= latest);
            early
                .filter(|it| it.kind == kind)
                .max_by(|one, other| one.orders_per_week.total_cmp(&other.orders_per_week))
        })
    }

    /// Adds a customer with the days of their standing orders, ascending.
    fn add(&mut self, habits: &Habits, days: &[Day]) {
        let customer_id = habits.customer_id.clone();
        let Some((kind, changed_ms)) = habits.change else {
            let third = days.get(BASELINE_DAYS_MIN - 1);
            let judged_from = third.map(|day| day.plus(BASELINE_LAG_DAYS));
            self.loyal.push(Loyal { customer_id, judged_from });
            return;
        };
        let changed_on = Calendar::utc().day(changed_ms);
        let baseline_end = changed_on.plus(-BASELINE_LAG_DAYS);
        let n_baseline_days = days.partition_point(|day| *day <= baseline_end);
        let orders_per_week = habits.orders_per_week;
        self.planted.push(Planted {
            customer_id,
            kind,
            changed_on,
            n_baseline_days,
            orders_per_week,
        });
    }
}

fn habits(settings: &Settings, number: u32, dice: &mut Dice) -> Habits {
    let at = |week: f64| settings.start_ms().saturating_add(rounded(week * WEEK_MS));
    let kind = usize::try_from(number % PLANTED_EVERY)
        .ok()
        .and_then(|place| Change::ALL.get(place))
        .copied();
    let is_late = kind.is_none() && dice.chance(LATE_SHARE);
    let joined_week = if is_late {
        dice.between(EARLY_WEEKS, OPEN_WEEKS - 13.0)
    } else {
        dice.between(0.0, EARLY_WEEKS)
    };
    let changed_week = dice.between(CHANGES_FROM_WEEK, OPEN_WEEKS);
    let basket_log = libm::log(BASKET_MEDIAN) + BASKET_LOG_DEVIATION * dice.normal();
    Habits {
        customer_id: format!("c{number:06}"),
        joined_ms: at(joined_week),
        orders_per_week: dice.gamma(RATE_SHAPE, settings.orders_per_week),
        basket: libm::exp(basket_log),
        is_member: dice.chance(MEMBER_SHARE),
        change: kind.map(|kind| (kind, at(changed_week))),
    }
}

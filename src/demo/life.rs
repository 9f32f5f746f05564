//! What one customer of the shop does: orders with their refunds, cancellations and edits, carts,
//! use and questions, each with the time at which its record arrives. Called by `shop`.

use crate::calendar::{Calendar, Day};
use crate::event::{Body, Event};
use crate::money::{Amount, Currency};

use super::poison::poisoned;
use super::shop::{Change, Settings, WEEK_MS};
use crate::dice::{Dice, rounded};

const MINUTE_MS: f64 = 60_000.0;
const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 86_400_000.0;

/// The gamma shape of one customer's baskets: a coefficient of variation of 0.6.
const BASKET_SHAPE: f64 = 2.78;
/// What remains of a rate or a basket that is halved.
const HALF: f64 = 0.5;
/// Shares of orders that are refunded, called off, corrected, and followed by a bad record.
const REFUNDED: f64 = 0.06;
const CANCELLED: f64 = 0.01;
const EDITED: f64 = 0.01;
const POISONED: f64 = 0.004;
/// Of the refunds, the share for a part of the order, and that which arrives before its order
/// (both as in the Online Retail data).
const PARTIAL: f64 = 0.64;
const BEFORE_ORDER: f64 = 0.04;
/// The share of records that are delivered twice, and of those that come hours late.
const REDELIVERED: f64 = 0.02;
const LATE: f64 = 0.03;
/// Carts left behind for each order, questions a week, units of use a week.
const CARTS_PER_ORDER: f64 = 0.4;
const QUESTIONS_PER_WEEK: f64 = 0.02;
const USE_PER_WEEK: f64 = 12.0;
/// Where customers are met, the frequent ones more than once.
const CHANNELS: [&str; 6] = ["web", "web", "web", "app", "app", "store"];

/// What is particular to a customer.
#[derive(Clone, Debug)]
pub(super) struct Habits {
    pub(super) customer_id: String,
    /// The first order.
    pub(super) joined_ms: i64,
    pub(super) orders_per_week: f64,
    /// The mean basket in major units.
    pub(super) basket: f64,
    pub(super) is_member: bool,
    /// What changes and when.
    pub(super) change: Option<(Change, i64)>,
}

/// A record and when it arrives.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) arrives_ms: i64,
    /// What it adds to net revenue, in minor units.
    pub(super) books_minor: i64,
    pub(super) content: Content,
}

/// What a record holds.
#[derive(Debug)]
pub(super) enum Content {
    Event(Event),
    Poison { key: Vec<u8>, payload: Vec<u8> },
}

/// Simulates one customer up to the end of the story. Returns the days of their standing orders,
/// each once, ascending.
pub(super) fn live(
    habits: &Habits,
    settings: &Settings,
    dice: &mut Dice,
    deliveries: &mut Vec<Delivery>,
) -> Vec<Day> {
    let end_ms = settings.end_ms;
    let first = deliveries.len();
    let mut life =
        Life { habits, dice, currency: settings.currency, end_ms, deliveries, n_events: 0 };
    let days = life.orders();
    life.other();
    // What has not arrived by the end is not part of the story.
    let arrived = deliveries.split_off(first).into_iter().filter(|it| it.arrives_ms <= end_ms);
    deliveries.extend(arrived);
    days
}

struct Life<'a> {
    habits: &'a Habits,
    dice: &'a mut Dice,
    currency: Currency,
    end_ms: i64,
    deliveries: &'a mut Vec<Delivery>,
    n_events: u32,
}

/// An event before it has an identity.
#[derive(Clone, Copy)]
struct Draft<'a> {
    occurred_at_ms: i64,
    arrives_ms: i64,
    order_id: Option<&'a str>,
    body: Body,
    books_minor: i64,
}

impl Life<'_> {
    fn orders(&mut self) -> Vec<Day> {
        let mut days = Vec::new();
        let mut next_ms = Some(self.habits.joined_ms);
        let mut n_orders = 0;
        while let Some(at_ms) = next_ms.filter(|at_ms| *at_ms <= self.end_ms) {
            n_orders += 1;
            let order_id = format!("{}-o{n_orders}", self.habits.customer_id);
            let stands = self.order(&order_id, at_ms);
            let day = Calendar::utc().day(at_ms);
            if stands && days.last() != Some(&day) {
                days.push(day);
            }
            next_ms = self.next_ms(at_ms, self.habits.orders_per_week);
        }
        days
    }

    /// The next time of something that happens at the given weekly rate before any change; `None`
    /// once the customer has stopped.
    fn next_ms(&mut self, after_ms: i64, per_week: f64) -> Option<i64> {
        let wait = |dice: &mut Dice, per_week: f64| rounded(dice.exponential(WEEK_MS / per_week));
        let next_ms = |dice: &mut Dice| after_ms.saturating_add(wait(dice, per_week));
        let Some((change, changed_ms)) = self.habits.change else {
            return Some(next_ms(self.dice));
        };
        if after_ms < changed_ms {
            let at_ms = next_ms(self.dice);
            if at_ms < changed_ms {
                return Some(at_ms);
            }
        }
        // Waiting has no memory, so the new rate begins at the change itself.
        let from_ms = after_ms.max(changed_ms);
        let per_week = match change {
            Change::Stops => return None,
            Change::OrdersHalved => per_week * HALF,
            Change::BasketsHalved => per_week,
        };
        Some(from_ms.saturating_add(wait(self.dice, per_week)))
    }

    /// An order and what follows from it. Returns whether it stands in the end.
    fn order(&mut self, order_id: &str, at_ms: i64) -> bool {
        let minor = self.basket_minor(at_ms);
        let mut arrives_ms = at_ms + self.delay_ms();
        let fate = self.dice.unit();
        let mut stands = true;
        if fate < REFUNDED {
            let (part_minor, sent_ms) = self.refund(order_id, at_ms, arrives_ms, minor);
            stands = part_minor < minor;
            arrives_ms = sent_ms;
        } else if fate < REFUNDED + CANCELLED {
            let cancelled_ms = at_ms + self.wait_ms(6.0 * HOUR_MS);
            self.deliver_after(arrives_ms, cancelled_ms, order_id, Body::OrderCancelled, -minor);
            stands = cancelled_ms > self.end_ms;
        } else if fate < REFUNDED + CANCELLED + EDITED {
            // Later by a millisecond at least, because of two completions the later one counts.
            let edited_ms = at_ms + 1 + self.wait_ms(HOUR_MS);
            let new_minor = self.basket_minor(at_ms);
            let body = Body::OrderCompleted(self.money(new_minor));
            self.deliver_after(arrives_ms, edited_ms, order_id, body, new_minor - minor);
        }
        let body = Body::OrderCompleted(self.money(minor));
        self.deliver(Draft {
            occurred_at_ms: at_ms,
            arrives_ms,
            order_id: Some(order_id),
            body,
            books_minor: minor,
        });
        if self.dice.chance(POISONED) {
            self.poison(at_ms, arrives_ms);
        }
        stands
    }

    /// Refunds an order in part or in full. Returns the amount, and when the order arrives: it is
    /// held up where the refund overtakes it.
    fn refund(&mut self, id: &str, at_ms: i64, arrives_ms: i64, minor: i64) -> (i64, i64) {
        let overtakes = self.dice.chance(BEFORE_ORDER);
        let lag_ms = if overtakes { 6.0 * HOUR_MS } else { 14.0 * DAY_MS };
        let refunded_ms = at_ms + self.wait_ms(lag_ms).min(rounded(120.0 * DAY_MS));
        let percent =
            if self.dice.chance(PARTIAL) { rounded(self.dice.between(10.0, 90.0)) } else { 100 };
        let part_minor = (minor * percent / 100).max(1);
        let body = Body::OrderRefunded(self.money(part_minor));
        if !overtakes {
            self.deliver_after(arrives_ms, refunded_ms, id, body, -part_minor);
            return (part_minor, arrives_ms);
        }
        let refund_arrives_ms = refunded_ms + self.delay_ms();
        self.deliver(Draft {
            occurred_at_ms: refunded_ms,
            arrives_ms: refund_arrives_ms,
            order_id: Some(id),
            body,
            books_minor: -part_minor,
        });
        (part_minor, refund_arrives_ms + 1 + self.wait_ms(HOUR_MS))
    }

    /// Carts, questions, use and what it cost to win the customer.
    fn other(&mut self) {
        let joined_ms = self.habits.joined_ms;
        let cost = 5.0 + self.dice.gamma(2.0, 12.0);
        let cost = Body::AcquisitionRecorded(self.money(self.minor(cost)));
        self.happen(joined_ms, cost);
        let carts_per_week = self.habits.orders_per_week * CARTS_PER_ORDER;
        self.repeat(carts_per_week, Body::CartAbandoned);
        self.repeat(QUESTIONS_PER_WEEK, Body::SupportContacted);
        if !self.habits.is_member {
            return;
        }
        let mut week_ms = joined_ms;
        while week_ms <= self.end_ms {
            let stopped = self.habits.change.is_some_and(|(change, changed_ms)| {
                change == Change::Stops && changed_ms <= week_ms
            });
            if stopped {
                break;
            }
            let units = self.dice.gamma(4.0, USE_PER_WEEK);
            let thousandths = u64::try_from(rounded(units * 1000.0)).unwrap_or_default();
            self.happen(week_ms, Body::UsageRecorded { thousandths });
            week_ms += rounded(WEEK_MS);
        }
    }

    fn repeat(&mut self, per_week: f64, body: Body) {
        let mut next_ms = self.next_ms(self.habits.joined_ms, per_week);
        while let Some(at_ms) = next_ms.filter(|at_ms| *at_ms <= self.end_ms) {
            self.happen(at_ms, body);
            next_ms = self.next_ms(at_ms, per_week);
        }
    }

    /// Delivers an event that is about no order.
    fn happen(&mut self, at_ms: i64, body: Body) {
        let arrives_ms = at_ms + self.delay_ms();
        self.deliver(Draft {
            occurred_at_ms: at_ms,
            arrives_ms,
            order_id: None,
            body,
            books_minor: 0,
        });
    }

    /// Delivers a later event of an order, after the order itself.
    fn deliver_after(&mut self, order_ms: i64, at_ms: i64, id: &str, body: Body, books: i64) {
        let arrives_ms = (at_ms + self.delay_ms()).max(order_ms + 1);
        self.deliver(Draft {
            occurred_at_ms: at_ms,
            arrives_ms,
            order_id: Some(id),
            body,
            books_minor: books,
        });
    }

    /// Gives the draft its identity and delivers it, at times twice.
    fn deliver(&mut self, draft: Draft<'_>) {
        self.n_events += 1;
        let event_id = format!("{}-e{}", self.habits.customer_id, self.n_events);
        let event = Event {
            customer_id: self.habits.customer_id.as_str().into(),
            occurred_at_ms: draft.occurred_at_ms,
            event_id: Some(event_id.into()),
            order_id: draft.order_id.map(Into::into),
            channel: Some((*self.dice.pick(&CHANNELS)).into()),
            body: draft.body,
        };
        let Draft { arrives_ms, books_minor, .. } = draft;
        if self.dice.chance(REDELIVERED) {
            let again_ms = arrives_ms + 1 + self.wait_ms(20.0 * MINUTE_MS);
            let content = Content::Event(event.clone());
            self.deliveries.push(Delivery { arrives_ms: again_ms, books_minor: 0, content });
        }
        self.deliveries.push(Delivery { arrives_ms, books_minor, content: Content::Event(event) });
    }

    fn poison(&mut self, at_ms: i64, arrives_ms: i64) {
        self.n_events += 1;
        let customer_id = &self.habits.customer_id;
        let event = Event {
            customer_id: customer_id.as_str().into(),
            occurred_at_ms: at_ms,
            event_id: Some(format!("{customer_id}-e{}", self.n_events).into()),
            order_id: Some(format!("{customer_id}-x{}", self.n_events).into()),
            channel: None,
            body: Body::OrderCompleted(self.money(2_500)),
        };
        let (key, payload) = poisoned(&event, self.dice);
        let content = Content::Poison { key, payload };
        self.deliveries.push(Delivery { arrives_ms, books_minor: 0, content });
    }

    fn basket_minor(&mut self, at_ms: i64) -> i64 {
        let is_halved = self.habits.change.is_some_and(|(change, changed_ms)| {
            change == Change::BasketsHalved && changed_ms <= at_ms
        });
        let mean = self.habits.basket * if is_halved { HALF } else { 1.0 };
        let basket = self.dice.gamma(BASKET_SHAPE, mean);
        self.minor(basket).max(1)
    }

    /// Most records arrive within a minute of what they tell, some after hours or days.
    fn delay_ms(&mut self) -> i64 {
        let mean_ms = if self.dice.chance(LATE) { 6.0 * HOUR_MS } else { MINUTE_MS / 3.0 };
        self.wait_ms(mean_ms).min(rounded(5.0 * DAY_MS))
    }

    fn wait_ms(&mut self, mean_ms: f64) -> i64 {
        rounded(self.dice.exponential(mean_ms))
    }

    fn minor(&self, major: f64) -> i64 {
        rounded(major * self.currency.minor_per_major())
    }

    fn money(&self, minor: i64) -> Amount {
        Amount { minor, currency: self.currency }
    }
}

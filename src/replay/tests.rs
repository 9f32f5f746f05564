//! Comparisons of simulated shops: a price rise with side effects, none, and the edges recounted.

use std::sync::Arc;

use super::{Comparison, Replay, Side, Windows};
use crate::calendar::{Calendar, Day};
use crate::churn::testing::{DAY_MS, model, usd};
use crate::clv::Model;
use crate::dice::{Dice, rounded};
use crate::event::{Body, Event};
use crate::fit::{Request, Statistics, fit};
use crate::money::Amount;
use crate::pipeline::Pipeline;
use crate::pipeline::testing::rules;
use crate::population::{Effect, Presence};

const N_CUSTOMERS: u64 = 1000;
const N_DAYS: i32 = 104 * 7;
/// On this day prices change, in the shops where they do.
const DATE: Day = Day(78 * 7);

fn pipeline(model: Option<&Arc<Model>>) -> Pipeline {
    Pipeline::new(Arc::new(rules()), model.cloned())
}

/// The model that is fitted to what had happened before [`DATE`].
fn fitted(events: &[Event]) -> Arc<Model> {
    let (before, end_ms) = (DATE.plus(-1), Calendar::utc().start_ms(DATE) - 1);
    let mut statistics = Statistics::default();
    for one in replay(events, end_ms).play(&mut pipeline(None), |_| end_ms) {
        statistics.take(&one.customer.ledger, before, usd());
    }
    let request = Request { name: None, version: "1".to_owned(), currency: Some(usd()) };
    let fitted = fit(&statistics, &request).unwrap();
    Arc::new(Model::from_file(fitted.file).unwrap())
}

/// Factors on orders and baskets from [`DATE`] on.
#[derive(Clone, Copy)]
struct Prices {
    orders: f64,
    basket: f64,
}

const AS_BEFORE: Prices = Prices { orders: 1.0, basket: 1.0 };
const RISE: Prices = Prices { orders: 0.7, basket: 1.2 };

/// Customers who come in the first year and order at rates of their own, each until they have had
/// enough; some send an order back, and a few are forgotten.
fn events(seed: u64, prices: Prices) -> Vec<Event> {
    let mut events = Vec::new();
    for n in 0..N_CUSTOMERS {
        let mut dice = Dice::new(seed, n);
        let gap_days = 7.0 / dice.gamma(2.0, 0.5);
        let basket = dice.gamma(4.0, 4000.0);
        let end = dice.exponential(4.0 * 365.0);
        let mut at = dice.between(0.0, 365.0);
        let end = at + end;
        for n_order in 0.. {
            if at > end.min(f64::from(N_DAYS)) {
                break;
            }
            let is_after = at >= f64::from(DATE.0);
            let factor = |factor: f64| if is_after { factor } else { 1.0 };
            let minor = rounded(basket * factor(prices.basket) * dice.gamma(6.0, 1.0)).max(1);
            let amount = Amount { minor, currency: usd() };
            let mut push = |day: f64, body| {
                events.push(Event {
                    customer_id: format!("c{n:03}").as_str().into(),
                    occurred_at_ms: rounded(day * 86_400_000.0),
                    event_id: None,
                    order_id: Some(n_order.to_string().into()),
                    channel: None,
                    body,
                });
            };
            push(at, Body::OrderCompleted(amount));
            if dice.chance(0.05) {
                push(at + dice.between(0.0, 60.0), Body::OrderRefunded(amount));
            }
            if dice.chance(0.001) {
                push(at + 1.0, Body::CustomerErased);
            }
            at += dice.exponential(gap_days / factor(prices.orders));
        }
    }
    events.retain(|event| event.occurred_at_ms < i64::from(N_DAYS) * DAY_MS);
    events.sort_by_key(|event| event.occurred_at_ms);
    events
}

fn replay(events: &[Event], until_ms: i64) -> Replay {
    let mut replay = Replay::default();
    let events = events.iter().filter(|event| event.occurred_at_ms <= until_ms);
    events.cloned().for_each(|event| replay.push(event));
    replay
}

fn compare(events: &[Event], model: &Arc<Model>) -> Comparison {
    let (mut pipeline, last) = (pipeline(Some(model)), Day(N_DAYS - 1));
    let windows = Windows::around(DATE, Day(0), last).unwrap();
    let mut comparison = Comparison::new(windows);
    let end_ms = Calendar::utc().end_ms(last);
    replay(events, end_ms)
        .play_with(&mut pipeline, &mut [], Some(&mut comparison), |_| end_ms)
        .for_each(drop);
    for (i, side) in comparison.sides.iter().enumerate() {
        let [start, end] = [i, i + 1].map(|i| comparison.clv_minor[i]);
        assert_eq!(side.net_minor(), end - start, "the drivers add up");
        let moved = side.n_new - side.n_lost + side.n_recovered - side.n_erased;
        assert_eq!(moved, comparison.n_active[i + 1] - comparison.n_active[i]);
    }
    comparison
}

/// The population's value and its active customers at the end of a day, from the states alone.
fn recount(events: &[Event], model: &Arc<Model>, day: Day) -> (i128, i64) {
    let (mut pipeline, end_ms) = (pipeline(Some(model)), Calendar::utc().end_ms(day));
    let states: Vec<_> = replay(events, end_ms).play(&mut pipeline, |_| end_ms).collect();
    let shares = states.iter().map(|one| pipeline.share_on(&one.customer, day));
    shares.fold((0, 0), |(clv_minor, n_active), share| {
        let is_active = share.presence == Presence::Present;
        (clv_minor + i128::from(share.value_minor()), n_active + i64::from(is_active))
    })
}

#[expect(clippy::cast_precision_loss, reason = "the values of these shops are small")]
/// By how much an effect's second window differs from the first, relative to the value at the date.
fn moved(comparison: &Comparison, effect: Effect) -> f64 {
    let [before, after] = [0, 1].map(|i| comparison.sides[i].change(effect).net_minor() as f64);
    (after - before) / comparison.clv_minor[1] as f64
}

fn ratio(comparison: &Comparison, of: fn(&Side) -> Option<f64>) -> f64 {
    let [before, after] = [0, 1].map(|i| of(&comparison.sides[i]).unwrap());
    after / before
}

#[test]
fn a_price_rise_raises_baskets_and_lowers_frequency_and_without_one_nothing_moves() {
    for seed in 1..=3 {
        let [rise, control] = [RISE, AS_BEFORE].map(|prices| {
            let events = events(seed, prices);
            compare(&events, &fitted(&events))
        });
        let frequencies = [&rise, &control].map(|it| moved(it, Effect::Frequency));
        assert!(frequencies[0] < -0.06 && frequencies[1].abs() < 0.02, "{seed} {frequencies:?}");
        let baskets = [&rise, &control].map(|it| moved(it, Effect::Basket));
        assert!(baskets[0] > 0.035 && baskets[1].abs() < 0.02, "{seed} {baskets:?}");
        let orders = [&rise, &control].map(|it| ratio(it, Side::orders_per_customer_week));
        assert!((orders[0] - 0.72).abs() < 0.05 && (orders[1] - 1.0).abs() < 0.05, "{orders:?}");
        let values = [&rise, &control].map(|it| ratio(it, Side::order_value_minor));
        assert!((values[0] - 1.2).abs() < 0.03 && (values[1] - 1.0).abs() < 0.03, "{values:?}");
    }
}

#[test]
fn the_edges_are_what_a_recount_up_to_them_gives() {
    let events = events(4, RISE);
    let model = Arc::new(model("mbg-nbd", true));
    let comparison = compare(&events, &model);
    for (i, edge) in comparison.windows.edges.into_iter().enumerate() {
        let expect = recount(&events, &model, edge.plus(-1));
        assert_eq!((comparison.clv_minor[i], comparison.n_active[i]), expect, "{edge}");
    }
    assert!(comparison.sides.iter().all(|side| side.n_erased > 0), "{comparison:?}");
}

#[test]
fn windows_are_as_long_as_the_shorter_side() {
    let around = |date| Windows::around(Day(date), Day(10), Day(39));
    assert_eq!(around(12).unwrap().edges, [10, 12, 14].map(Day));
    assert_eq!(around(38).unwrap().edges, [36, 38, 40].map(Day));
    assert_eq!(around(39).unwrap().edges, [38, 39, 40].map(Day));
    assert_eq!(around(25).unwrap().n_days(), 15);
    for date in [9, 10, 40] {
        assert!(around(date).unwrap_err().contains("give a day after the first"), "{date}");
    }
}

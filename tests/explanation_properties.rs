//! Whatever a customer's history, an explanation has the figures of the score, its pieces make
//! them, what it says of the days to come is what the recount finds on them, and what it says of a
//! purchase is what the recount of one gives. `LIFETIDE_PROPERTY_CASES` runs more histories.

#![expect(clippy::unwrap_used, reason = "a test file; the lint spares marked functions only")]

use std::sync::Arc;

use lifetide::calendar::{Calendar, Day};
use lifetide::churn::Cause;
use lifetide::clv::{Model, ModelFile};
use lifetide::commands::load_config;
use lifetide::config::Purpose;
use lifetide::event::{Body, Event};
use lifetide::explanation::{Change, Explanation, explain};
use lifetide::money::{Amount, Currency};
use lifetide::pipeline::Pipeline;
use lifetide::plan::Plan;
use lifetide::record::score::Score;
use lifetide::record::signal::Signal;
use lifetide::record::wire::{Estimate, Money};
use lifetide::replay::{Recounted, Replay};
use proptest::collection::vec;
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;
const BEGIN_DAY: i64 = 19_000;
const ID: &str = "c";
/// None, the three kinds, and one that cannot tell leaving from rare buying.
const MODELS: [&str; 5] = ["none", "bg-nbd", "mbg-nbd", "pareto-nbd", "unidentifiable"];

#[derive(Clone, Copy, Debug)]
enum What {
    Order { order: u8, minor: i64 },
    Refund { order: u8, minor: i64 },
    Cancel { order: u8 },
    Cart,
    Use,
}

/// What happens, so many days after the thing before, and reported so many days late.
fn steps() -> impl Strategy<Value = Vec<(i64, What, i64)>> {
    let minor = || prop_oneof![1 => Just(0), 9 => 1..9000i64, 3 => 1..200_000i64];
    let what = prop_oneof![
        12 => (0..200u8, minor()).prop_map(|(order, minor)| What::Order { order, minor }),
        2 => (0..200u8, 1..9000i64).prop_map(|(order, minor)| What::Refund { order, minor }),
        1 => (0..200u8).prop_map(|order| What::Cancel { order }),
        1 => Just(What::Cart),
        2 => Just(What::Use),
    ];
    let days = prop_oneof![2 => Just(0), 8 => 1..15i64, 2 => 15..200i64];
    let late_days = prop_oneof![6 => Just(0), 1 => 0..29i64];
    vec((days, what, late_days), 1..50)
}

fn events(steps: &[(i64, What, i64)]) -> Vec<Event> {
    let mut at_ms = BEGIN_DAY * DAY_MS + DAY_MS / 2;
    let event = |(days, what, late_days): &(i64, What, i64)| {
        at_ms += days * DAY_MS + 1000;
        let amount = |minor| Amount { minor, currency: Currency::parse("USD").unwrap() };
        let (order, body) = match *what {
            What::Order { order, minor } => (Some(order), Body::OrderCompleted(amount(minor))),
            What::Refund { order, minor } => (Some(order), Body::OrderRefunded(amount(minor))),
            What::Cancel { order } => (Some(order), Body::OrderCancelled),
            What::Cart => (None, Body::CartAbandoned),
            What::Use => (None, Body::UsageRecorded { thousandths: 9000 }),
        };
        Event {
            customer_id: ID.into(),
            occurred_at_ms: at_ms - late_days * DAY_MS,
            event_id: None,
            order_id: order.map(|order| order.to_string().into()),
            channel: None,
            body,
        }
    };
    steps.iter().map(event).collect()
}

fn pipeline(model: &str) -> Pipeline {
    let config = load_config(None, &[], Purpose::Offline).unwrap();
    let mut plan = Plan::new(&config, None).unwrap();
    let file = if model == "unidentifiable" { "mbg-nbd" } else { model };
    if file != "none" {
        let text = std::fs::read_to_string(format!("tests/data/models/{file}.toml")).unwrap();
        let mut file: ModelFile = toml::from_str(&text).unwrap();
        file.evidence.as_mut().unwrap().identifiable = Some(model != "unidentifiable");
        plan.model = Some(Arc::new(Model::from_file(file).unwrap()));
    }
    plan.pipeline()
}

/// The customer after these events and a silence.
fn recount(pipeline: &mut Pipeline, events: &[Event], until_ms: i64) -> Recounted {
    let mut replay = Replay::default();
    events.iter().cloned().for_each(|event| replay.push(event));
    let mut recounted = replay.play(pipeline, |_| until_ms).next().unwrap();
    recounted.customer.path.source = None;
    recounted
}

fn score_json(pipeline: &Pipeline, recounted: &Recounted, as_of_ms: i64) -> Vec<u8> {
    pipeline.score(ID, &recounted.customer, as_of_ms, Cause::Time, None)
}

fn value(figure: Option<Estimate>) -> f64 {
    figure.unwrap().value()
}

/// Equal up to what rounding to eight digits takes from each piece.
fn assert_near(product: f64, figure: Estimate) {
    let figure = figure.value();
    let bound = 1e-6 * figure.abs().max(1e-3);
    assert!((product - figure).abs() <= bound, "{product} is not {figure}");
}

#[expect(clippy::cast_precision_loss, reason = "amounts of this test are small")]
fn major(money: Money) -> f64 {
    money.minor() as f64 / 100.0
}

fn check_pieces(score: &Score<'_>, why: &Explanation) {
    let pieces = &why.pieces;
    assert_eq!(pieces.p_alive.map(|it| it.value), score.churn.p_alive);
    assert_eq!(pieces.silence_tail.map(|it| it.value), score.churn.silence_tail);
    assert_eq!(pieces.expected_orders.map(|it| it.value), score.churn.expected_orders);
    assert_eq!(pieces.expected_order_value.map(|it| it.value), score.churn.expected_order_value);
    assert_eq!(pieces.predicted.map(|it| it.value), score.clv.predicted);
    assert_eq!(pieces.formula.map(|it| it.value), score.clv.formula);
    assert_eq!(pieces.simple.map(|it| it.value), score.clv.simple);
    assert_eq!(pieces.total.map(|it| it.value), score.clv.total);
    assert_eq!(pieces.historic.value, score.clv.historic);
    if let Some(it) = pieces.p_alive {
        let d = it.log_odds_of_death.map_or(f64::NEG_INFINITY, Estimate::value);
        assert_near(1.0 / (1.0 + d.exp()), it.value);
    }
    if let Some(it) = pieces.silence_tail {
        assert_near(it.base.value().powf(it.exponent.value()), it.value);
    }
    if let Some(it) = pieces.expected_orders {
        assert_near(it.if_alive.value() * it.p_alive.value(), it.value);
    }
    if let Some(it) = pieces.expected_order_value {
        let (own, weight) = (it.own_mean.map_or(0.0, Estimate::value), it.own_weight.value());
        assert_near(own * weight + it.population_mean.value() * (1.0 - weight), it.value);
    }
    if let Some(it) = pieces.predicted {
        let alive = it.discounted_orders_if_alive.value() * it.expected_order_value.value();
        assert_near(it.p_alive.value() * alive, it.value);
    }
    if let Some(it) = pieces.formula {
        let monthly = it.average_order_value.value() * it.orders_per_month.value();
        assert_near(monthly * f64::from(it.retention_months), it.value);
    }
    if let Some(it) = pieces.simple {
        let n_orders = f64::from(u32::try_from(it.orders).unwrap());
        assert_near(it.average_order_value.value() * n_orders, it.value);
    }
    if let Some(it) = pieces.total {
        // A sum is no more exact than its summands.
        let off = major(it.historic) + it.predicted.value() - it.value.value();
        assert!(off.abs() <= 1e-7 * (major(it.historic).abs() + it.predicted.value()), "{it:?}");
    }
    let Some(lapse) = why.lapse else {
        assert_eq!(score.churn.silence_tail, None);
        return;
    };
    assert_eq!(lapse.lapses_on, score.churn.lapses_on);
    if lapse.line == "p_alive" {
        assert_eq!(Some(lapse.now), score.churn.p_alive);
    }
}

/// What the score says after that, and which signals were raised on the last day.
fn seen(
    pipeline: &mut Pipeline,
    events: &[Event],
    day: Day,
) -> (String, Option<Estimate>, Vec<String>) {
    let calendar = Calendar::utc();
    let until_ms = calendar.end_ms(day);
    let recounted = recount(pipeline, events, until_ms);
    let json = score_json(pipeline, &recounted, until_ms);
    let score = Score::read(&json).unwrap();
    let is_of_day = |raised_at_ms| calendar.day(raised_at_ms) == day;
    let raised = recounted.signals.iter().filter(|signal| is_of_day(signal.raised_at_ms));
    let kinds = raised.map(|signal| signal.kind.to_owned()).collect();
    (score.segment.lifecycle.into_owned(), score.churn.p_alive, kinds)
}

/// Each change is there on its day and not on the day before, and between them nothing changes.
fn check_ahead(pipeline: &mut Pipeline, events: &[Event], today: Day, why: &Explanation) {
    let (mut lifecycle, _, _) = seen(pipeline, events, today);
    let changes: Vec<&Change> =
        why.ahead.iter().filter(|it| it.what != "next_order_expected").collect();
    assert!(why.ahead.is_sorted_by_key(|change| change.on), "{changes:?}");
    assert_eq!(why.silence_changes_on, changes.first().map(|change| change.on), "{changes:?}");
    let mut from = today;
    for on_same_day in changes.chunk_by(|a, b| a.on == b.on) {
        let on = on_same_day[0].on.0;
        for day in [from.plus(on.days_since(from) / 2), on.plus(-1)] {
            let before = seen(pipeline, events, day);
            assert_eq!(before.0, lifecycle, "{day} {changes:?}");
            assert!(day == from || before.2.is_empty(), "{day} {before:?} {changes:?}");
        }
        let after = seen(pipeline, events, on);
        for change in on_same_day {
            assert_eq!(change.lifecycle, Some(after.0.as_str()), "{changes:?}");
            assert_eq!(change.p_alive, after.1, "{changes:?}");
            assert_eq!(
                change.what == "score_published",
                after.0 == lifecycle
                    && !["lapsed", "orders_alarm", "basket_alarm", "usage_alarm"]
                        .contains(&change.what)
            );
        }
        let mut said: Vec<&str> = on_same_day.iter().filter_map(|it| it.signal).collect();
        said.sort_unstable();
        let mut raised = after.2.clone();
        raised.sort();
        assert_eq!(said, raised, "{on} {changes:?}");
        (lifecycle, from) = (after.0, on);
    }
    let (last, _, raised) = seen(pipeline, events, from.plus(4000));
    assert!(last == lifecycle && raised.is_empty(), "{last} {changes:?}");
}

fn check_purchase(
    pipeline: &mut Pipeline,
    events: &[Event],
    as_of_ms: i64,
    score: &Score<'_>,
    why: &Explanation,
) {
    let Some(purchase) = &why.purchase_today else {
        assert_eq!(score.history.orders, 0);
        return;
    };
    let average = value(score.history.average_order_value);
    assert!((major(purchase.value) - average).abs() <= 0.005 + 1e-7 * average, "{purchase:?}");
    let minor = i64::try_from(purchase.value.minor()).unwrap();
    let mut events = events.to_vec();
    events.push(Event {
        customer_id: ID.into(),
        occurred_at_ms: as_of_ms,
        event_id: None,
        order_id: None,
        channel: None,
        body: Body::OrderCompleted(Amount { minor, currency: Currency::parse("USD").unwrap() }),
    });
    let after = recount(pipeline, &events, as_of_ms);
    let json = score_json(pipeline, &after, as_of_ms);
    let expect = Score::read(&json).unwrap();
    let lifecycle = [&purchase.lifecycle.before, &purchase.lifecycle.after];
    let expected = [score, &expect].map(|it| it.segment.lifecycle.clone().into_owned());
    assert_eq!(lifecycle.map(|it| it.clone().unwrap()), expected);
    let before_after = |shift: (Option<Estimate>, Option<Estimate>), of: fn(&Score<'_>) -> _| {
        assert_eq!(shift, (of(score), of(&expect)));
    };
    before_after((purchase.p_alive.before, purchase.p_alive.after), |it| it.churn.p_alive);
    let orders = purchase.expected_orders;
    before_after((orders.before, orders.after), |it| it.churn.expected_orders);
    before_after((purchase.predicted.before, purchase.predicted.after), |it| it.clv.predicted);
    let lapses_on = purchase.lapses_on;
    assert_eq!(lapses_on.before, score.churn.lapses_on);
    assert_eq!(lapses_on.after, expect.churn.lapses_on);
    let raised = after.signals.iter().filter(|signal| signal.raised_at_ms == as_of_ms);
    let raised: Vec<String> = raised
        .map(|it| serde_json::from_slice::<Signal<'_>>(&it.json).unwrap().kind.into_owned())
        .collect();
    assert_eq!(purchase.signals, raised);
}

fn check(steps: &[(i64, What, i64)], silent_days: i64, model: &str) {
    let events = events(steps);
    let mut pipeline = pipeline(model);
    let last_ms = events.iter().map(|event| event.occurred_at_ms).max().unwrap();
    let calendar = Calendar::utc();
    let today = calendar.day(last_ms + silent_days * DAY_MS);
    let as_of_ms = calendar.end_ms(today);
    let recounted = recount(&mut pipeline, &events, as_of_ms);
    let document = explain(&mut pipeline, ID, &recounted.customer, as_of_ms);
    let (json, why) = (document.score.to_json(), document.explanation.clone());
    let whole = document.to_json().unwrap();
    assert!(whole.windows(json.len()).any(|part| part == json), "the score is in it as it is");
    assert!(whole.len() < 16_384, "{}", whole.len());
    assert_eq!(json, score_json(&pipeline, &recounted, as_of_ms));
    let score = Score::read(&json).unwrap();
    assert!((2..=4).contains(&why.sentences.len()), "{:?}", why.sentences);
    assert!(why.sentences.iter().all(|it| it.ends_with('.')), "{:?}", why.sentences);
    assert_eq!(why.inputs.first_order_on, score.history.first_order_on);
    assert_eq!(why.inputs.model, score.model);
    check_pieces(&score, &why);
    check_ahead(&mut pipeline, &events, today, &why);
    check_purchase(&mut pipeline, &events, as_of_ms, &score, &why);
}

#[test]
fn an_explanation_says_what_the_score_the_recount_and_a_purchase_say() {
    let cases = std::env::var("LIFETIDE_PROPERTY_CASES").ok();
    // A case is as much work as a hundred of the others' inputs.
    let cases = cases.map_or(192, |cases| cases.parse::<u32>().unwrap() / 100);
    let mut config = ProptestConfig::with_cases(cases);
    config.failure_persistence = None;
    let silent_days = prop_oneof![2 => Just(0), 3 => 0..60i64, 2 => 0..900i64];
    let model = (0..MODELS.len()).prop_map(|i| MODELS[i]);
    proptest!(config, |(steps in steps(), silent_days in silent_days, model in model)| {
        check(&steps, silent_days, model);
    });
}

/// 20 orders of 40.00, one a week.
fn weekly() -> Vec<(i64, What, i64)> {
    (0..20).map(|order| (7, What::Order { order, minor: 4000 }, 0)).collect()
}

fn explanation(steps: &[(i64, What, i64)], silent_days: i64, model: &str) -> Explanation {
    check(steps, silent_days, model);
    let (events, mut pipeline) = (events(steps), pipeline(model));
    let last_ms = events.last().unwrap().occurred_at_ms;
    let as_of_ms = last_ms + silent_days * DAY_MS;
    let recounted = recount(&mut pipeline, &events, as_of_ms);
    explain(&mut pipeline, ID, &recounted.customer, as_of_ms).explanation
}

#[test]
fn a_regular_buyer_who_falls_silent_is_told_with_every_line_to_come() {
    let why = explanation(&weekly(), 10, "none");
    let whats: Vec<_> = why.ahead.iter().map(|change| change.what).collect();
    assert_eq!(whats, ["at_risk", "lapsed", "orders_alarm"]);
    let left_out = why.inputs.left_out[0].figures;
    assert!(left_out.contains(&"clv.predicted") && why.pieces.predicted.is_none());
    assert_eq!(why.inputs.parameters.len(), 2, "r and alpha of the configuration");
    let expect = [
        "Has bought on 20 days, usually every 7 days, and has been silent for 10 days; \
         1 in 3 loyal customers are silent that long.",
        "Without a purchase they count as at risk from 2022-06-19, as lapsed from 2022-07-06.",
        "No alarm of decline stands; without a purchase one is raised on 2022-08-23.",
        "Has brought 800.00 USD so far.",
    ];
    assert_eq!(why.sentences, expect);
}

#[test]
fn use_that_stops_is_told_of_too() {
    let week = |order| [(7, What::Order { order, minor: 4000 }, 0), (0, What::Use, 0)];
    let why = explanation(&(0..20).flat_map(week).collect::<Vec<_>>(), 2, "mbg-nbd");
    let change = why.ahead.iter().find(|change| change.what == "usage_alarm").unwrap();
    assert_eq!(change.signal, Some("usage_decline"));
}

#[test]
fn alarms_that_stand_are_told_with_what_would_clear_them() {
    let mut steps = weekly();
    steps.extend((20..24).map(|order| (7, What::Order { order, minor: 1000 }, 0)));
    let why = explanation(&steps, 120, "mbg-nbd");
    let decline = why.decline.unwrap();
    for channel in [decline.orders, decline.basket] {
        let alarm = channel.alarm.unwrap();
        assert!(alarm.since <= alarm.raised_on, "{channel:?}");
        let half = value(channel.threshold) / 2.0;
        assert!((value(channel.clears_below) - half).abs() < 1e-6, "{channel:?}");
        assert!(channel.evidence.value() >= half, "{channel:?}");
    }
    let lapse = why.lapse.unwrap();
    assert!(lapse.alarm.is_some() && lapse.now <= lapse.at, "{lapse:?}");
    let purchase = why.purchase_today.unwrap();
    assert_eq!(purchase.lifecycle.before.as_deref(), Some("lapsed"));
    assert_eq!(purchase.lifecycle.after.as_deref(), Some("declining"));
    assert!(purchase.predicted.after > purchase.predicted.before, "{purchase:?}");
    assert!(why.sentences[2].starts_with("An alarm of decline stands"), "{:?}", why.sentences);
}

#[test]
fn one_purchase_an_unidentifiable_model_and_no_standing_order_have_their_own_words() {
    let once = [(0, What::Order { order: 0, minor: 4000 }, 0)];
    let why = explanation(&once, 30, "unidentifiable");
    let lapse = why.lapse.unwrap();
    assert_eq!((lapse.line, lapse.at.value(), lapse.now.value()), ("days_single", 180.0, 30.0));
    assert_eq!(why.inputs.identifiable, Some(false));
    assert!(why.inputs.usual_gap_days.is_none() && why.inputs.mean_repeat_value.is_none());
    assert_eq!(why.sentences[0], "Has bought on one day, 30 days ago.");
    let own_weight = why.pieces.expected_order_value.unwrap().own_weight;
    assert!(own_weight.value().abs() < f64::EPSILON, "{own_weight:?}");
    let decline = why.decline.unwrap();
    assert_eq!((decline.orders.threshold, decline.baseline_purchase_days_needed), (None, 3));

    let line = |model| explanation(&weekly(), 5, model).lapse.unwrap().line;
    assert_eq!(
        ["mbg-nbd", "unidentifiable", "none"].map(line),
        ["p_alive", "silence_tail", "silence_tail"]
    );

    let cancelled = [once[0], (1, What::Cancel { order: 0 }, 0)];
    let why = explanation(&cancelled, 3, "mbg-nbd");
    assert_eq!((why.x, why.silence_changes_on, why.ahead.len()), (None, None, 0));
    assert!(why.lapse.is_none() && why.decline.is_none() && why.purchase_today.is_none());
    assert_eq!(why.sentences, ["No order of theirs stands.", "Has brought 0.00 USD so far."]);
}

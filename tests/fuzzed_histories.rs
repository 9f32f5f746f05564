//! Histories at the edge of what a shop can hold, through the whole pipeline: every figure stays
//! finite and within its range, and silence moves each of them in one direction only.
//! `LIFETIDE_PROPERTY_CASES` runs more histories.

#![expect(clippy::unwrap_used, reason = "a test file; the lint spares marked functions only")]

use std::fs;
use std::sync::Arc;

use lifetide::churn::Cause;
use lifetide::clv::{Model, ModelFile, SeasonIndex};
use lifetide::config::{self, Sources};
use lifetide::event::{Body, Event};
use lifetide::money::Amount;
use lifetide::pipeline::{Pipeline, Rules};
use lifetide::plan;
use lifetide::record::score::Score;
use lifetide::record::wire::Estimate;
use lifetide::replay::{Recounted, Replay};
use proptest::collection::vec;
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;

/// 1985-01-01.
const BEGIN_DAY: i64 = 5479;

/// 40 years.
const SPAN_DAYS: i64 = 14_610;

/// Days of silence after the last event at which a customer is looked at again.
const SILENCES_DAYS: [i64; 8] = [0, 1, 6, 45, 400, 1500, 8000, SPAN_DAYS];

fn rules() -> Arc<Rules> {
    let config = config::load(&Sources::only(&[]));
    Arc::new(plan::rules(&config.unwrap(), None).unwrap())
}

fn model(name: &str, is_seasonal: bool) -> Arc<Model> {
    let text = fs::read_to_string(format!("tests/data/models/{name}.toml")).unwrap();
    let mut file: ModelFile = toml::from_str(&text).unwrap();
    let index = (0..52).map(|part| if part < 26 { 0.1 } else { 1.9 }).collect();
    file.season = is_seasonal.then_some(SeasonIndex { index });
    Arc::new(Model::from_file(file).unwrap())
}

fn pipelines() -> Vec<Pipeline> {
    let rules = rules();
    let models = [
        None,
        Some(model("bg-nbd", false)),
        Some(model("mbg-nbd", true)),
        Some(model("pareto-nbd", false)),
    ];
    models.into_iter().map(|model| Pipeline::new(Arc::clone(&rules), model)).collect()
}

/// Nothing, cents, what shops sell for, and millions.
fn minors() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1..=3i64, 500..=20_000i64, 100_000_000..=99_999_999_999i64]
}

/// Days after [`BEGIN_DAY`] and amounts: a few anywhere, all on one day, a long steady life, and a
/// burst with a single purchase decades before it.
fn histories() -> impl Strategy<Value = Vec<(i64, i64)>> {
    let anywhere = vec((0..SPAN_DAYS, minors()), 1..12);
    let on_one_day = (0..SPAN_DAYS, vec(minors(), 1..200))
        .prop_map(|(day, minors)| minors.into_iter().map(|minor| (day, minor)).collect());
    let steady = (1..400i64, 1..40i64, minors()).prop_map(|(n, gap, minor)| {
        let days = (0..n).map(|i| i * gap).take_while(|day| *day < SPAN_DAYS);
        days.map(|day| (day, minor)).collect()
    });
    let burst = (vec((SPAN_DAYS - 300..SPAN_DAYS, minors()), 1..60), minors()).prop_map(
        |(mut burst, minor)| {
            burst.push((0, minor));
            burst
        },
    );
    prop_oneof![anywhere, on_one_day, steady, burst]
}

fn play(pipeline: &mut Pipeline, purchases: &[(i64, i64)]) -> Recounted {
    let currency = pipeline.rules().intake.currency;
    let mut purchases = purchases.to_vec();
    purchases.sort_unstable();
    let mut replay = Replay::default();
    for (i, (day, minor)) in purchases.iter().enumerate() {
        replay.push(Event {
            customer_id: "c".into(),
            occurred_at_ms: (BEGIN_DAY + day) * DAY_MS,
            event_id: Some(i.to_string().into()),
            order_id: None,
            channel: None,
            body: Body::OrderCompleted(Amount { minor: *minor, currency }),
        });
    }
    let end_ms = replay.stream_ms().unwrap();
    replay.play(pipeline, |_| end_ms).next().unwrap()
}

/// The figures that silence can only lower, with the most each may be.
fn falling(score: &Score<'_>) -> [(&'static str, Option<f64>, f64); 4] {
    let value = |estimate: Option<Estimate>| estimate.map(Estimate::value);
    [
        ("p_alive", value(score.churn.p_alive), 1.0),
        ("silence_tail", value(score.churn.silence_tail), 1.0),
        ("expected_orders", value(score.churn.expected_orders), 365.0),
        ("predicted", value(score.clv.predicted), f64::MAX),
    ]
}

fn check(pipeline: &mut Pipeline, purchases: &[(i64, i64)]) -> Result<(), TestCaseError> {
    let one = play(pipeline, purchases);
    let label = pipeline.model_label().to_owned();
    let last_day = purchases.iter().map(|(day, _)| *day).max().unwrap();
    let mut before = None;
    for silence_days in SILENCES_DAYS {
        let as_of_ms = (BEGIN_DAY + last_day + silence_days) * DAY_MS;
        let json = pipeline.score("c", &one.customer, as_of_ms, Cause::Time, None);
        let score = Score::read(&json).unwrap();
        let figures = falling(&score);
        for (i, (name, figure, max)) in figures.iter().enumerate() {
            let is_expected = *name == "silence_tail" || label != "none";
            prop_assert_eq!(figure.is_some(), is_expected, "{} {} {:?}", label, name, purchases);
            let Some(figure) = figure else { continue };
            prop_assert!((0.0..=*max).contains(figure), "{label} {name} {figure} {purchases:?}");
            if let Some(before) = before.map(|figures: [(_, Option<f64>, _); 4]| figures[i].1) {
                // An estimate keeps eight digits.
                let most = before.unwrap() * (1.0 + 1e-7) + 1e-12;
                prop_assert!(*figure <= most, "{label} {name} {figure} > {before:?}");
            }
        }
        before = Some(figures);
        let value = score.churn.expected_order_value.map(Estimate::value);
        prop_assert_eq!(value.is_some(), label != "none");
        prop_assert!(value.is_none_or(|value| value > 0.0 && value <= 1e9), "{:?}", value);
        let net: i128 = purchases.iter().map(|(_, minor)| i128::from(*minor)).sum();
        prop_assert_eq!(score.history.net_revenue.minor(), net);
        prop_assert_eq!(score.history.orders, purchases.len() as u64);
    }
    for signal in &one.signals {
        let json: serde_json::Value = serde_json::from_slice(&signal.json).unwrap();
        let at_risk = &json["value_at_risk"];
        prop_assert!(at_risk.is_null() || at_risk.as_f64().is_some_and(|at| at >= 0.0), "{json}");
    }
    Ok(())
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("LIFETIDE_PROPERTY_CASES").ok();
    // A history is as much work as a hundred of the others' inputs.
    let cases = cases.map_or(100, |cases| cases.parse::<u32>().unwrap() / 100);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn figures_stay_finite_and_silence_only_lowers_them(purchases in histories()) {
        for pipeline in &mut pipelines() {
            check(pipeline, &purchases)?;
        }
    }
}

/// Ten thousand purchases: on as many days, over 27 years, and all on one day.
#[test]
fn a_customer_with_ten_thousand_purchases_is_judged_as_any_other() {
    for pipeline in &mut pipelines() {
        for (gap, minor) in [(1, 1), (0, 99_999_999_999)] {
            let purchases: Vec<_> = (0..10_000).map(|i| (i * gap, minor)).collect();
            check(pipeline, &purchases).unwrap();
        }
    }
}

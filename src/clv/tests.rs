//! What every model promises, published values, and faults of other programs that must not be here.

use std::sync::Arc;

use proptest::prelude::*;

use super::model_file::{Evidence, ModelFile, Parameters, SeasonIndex, Spend};
use super::{
    AGE_DAYS_MAX, Alive, Forecaster, Horizon, Model, Purchases, RatePrior, SEASON_PARTS, weeks,
};

const BG: [f64; 4] = [0.242_594_5, 4.413_601_9, 0.792_922_1, 2.425_907_2];
const MBG: [f64; 4] = [0.524_843_2, 6.183_086_1, 0.891_359_2, 1.614_002_1];
const PARETO: [f64; 4] = [0.553_277, 10.577_682_4, 0.606_239_8, 11.668_729_2];

fn file(name: &str, [first, second, third, fourth]: [f64; 4]) -> ModelFile {
    let is_pareto = name == "pareto-nbd";
    let only = |wanted: bool, value| wanted.then_some(value);
    ModelFile {
        schema: "lifetide.model/1".into(),
        name: name.into(),
        version: "test".into(),
        unit: "week".into(),
        currency: Some("USD".into()),
        parameters: Parameters {
            r: Some(first),
            alpha: Some(second),
            a: only(!is_pareto, third),
            b: only(!is_pareto, fourth),
            s: only(is_pareto, third),
            beta: only(is_pareto, fourth),
        },
        spend: Some(Spend {
            p: Some(6.249_574_8),
            q: Some(3.744_224_4),
            gamma: Some(15.443_512_7),
        }),
        season: None,
        evidence: None,
    }
}

fn model(name: &str, parameters: [f64; 4]) -> Model {
    Model::from_file(file(name, parameters)).unwrap()
}

fn models() -> [Model; 3] {
    [model("bg-nbd", BG), model("mbg-nbd", MBG), model("pareto-nbd", PARETO)]
}

/// The figures of the `BTYD` walkthrough of Fader and Hardie.
#[test]
fn customer_1516_of_cdnow_has_the_published_values() {
    let customer = Purchases { x: 26, t_x_days: 216, t_days: 217 };
    let check = |model: &Model, p_alive: f64, orders: f64| {
        let alive = model.p_alive(&customer);
        assert!((alive - p_alive).abs() < 5e-6, "{alive}");
        let expected = alive * model.expected_orders_alive(26, 217, 52.0);
        assert!((expected - orders).abs() < 1e-3, "{expected}");
    };
    check(&model("bg-nbd", BG), 0.968_852, 25.757);
    check(&model("pareto-nbd", PARETO), 0.997_874, 25.456);
}

/// Weeks of silence until P(alive) is one half, for the parameters of CDNOW.
#[test]
fn half_of_the_chance_to_live_is_lost_in_the_known_silence() {
    let check = |x, t_x_days, silences: [Option<f64>; 3]| {
        for (model, silence) in models().iter().zip(silences) {
            let days = model.p_alive_falls_to(x, t_x_days, 0.5).map(|age| age - t_x_days);
            let found_weeks = days.map(weeks);
            match (found_weeks, silence) {
                (Some(found), Some(known)) => assert!((found - known).abs() < 0.2, "{found}"),
                (found, known) => assert_eq!(found, known),
            }
        }
    };
    check(0, 0, [None, Some(13.0), Some(17.4)]);
    check(1, 12, [Some(8.9), Some(8.1), Some(13.3)]);
    check(2, 213, [Some(32.1), Some(27.1), Some(32.6)]);
    check(7, 206, [Some(13.1), Some(12.5), Some(15.7)]);
    check(26, 216, [Some(5.1), Some(5.1), Some(6.3)]);
}

#[test]
fn answers_stay_finite_and_ordered_for_thousands_of_purchases_and_decades_of_silence() {
    for model in models() {
        for (x, t_x_days) in
            [(0, 0), (1, 1), (180, 400), (501, 3_650), (1_000, 10), (9_999, 10_000)]
        {
            let mut p_before = 1.0;
            for silence_days in [0, 1, 7, 60, 300, 2_100, 10_950, 4_000_000_000] {
                let t_days = t_x_days + silence_days;
                let p_alive = model.p_alive(&Purchases { x, t_x_days, t_days });
                assert!((0.0..=p_before).contains(&p_alive), "{x} {silence_days} {p_alive}");
                p_before = p_alive;
                let mut orders_before = 0.0;
                for horizon_weeks in [0.0, 0.1, 4.345, 39.0, 52.14, 520.0, 2_609.0] {
                    let orders = model.expected_orders_alive(x, t_days, horizon_weeks);
                    assert!(orders.is_finite() && orders >= orders_before, "{x} {t_days} {orders}");
                    orders_before = orders;
                }
            }
        }
    }
}

#[test]
fn nobody_has_died_on_the_day_of_a_purchase_but_by_the_chance_after_it() {
    let [bg, mbg, pareto] = models();
    for (x, t_x_days) in [(1, 12), (26, 216), (3_000, 9_000)] {
        let today = Purchases { x, t_x_days, t_days: t_x_days };
        let odds = |survived: f64, [_, _, a, b]: [f64; 4]| a / (b + survived);
        let n = f64::from(x);
        assert!((1.0 / bg.p_alive(&today) - 1.0 - odds(n - 1.0, BG)).abs() < 1e-12);
        assert!((1.0 / mbg.p_alive(&today) - 1.0 - odds(n, MBG)).abs() < 1e-12);
        assert!((pareto.p_alive(&today) - 1.0).abs() < f64::EPSILON);
    }
}

#[test]
fn one_time_buyers_never_die_under_bg_nbd_and_only_there() {
    let silent = Purchases { x: 0, t_x_days: 0, t_days: 20_000 };
    let [bg, mbg, pareto] = models();
    assert!(bg.is_never_dead_without_repeat() && bg.p_alive(&silent) >= 1.0);
    assert_eq!(bg.p_alive_falls_to(0, 0, 0.999), None);
    for model in [mbg, pareto] {
        assert!(!model.is_never_dead_without_repeat() && model.p_alive(&silent) < 0.1);
    }
}

fn horizon() -> Horizon {
    Horizon { months: 12, discount_monthly: 0.01, orders_days: 365 }
}

/// Each month's orders are discounted, not each month's orders so far; months are of 4.345 weeks.
#[test]
fn a_forecast_discounts_the_increments_of_its_months() {
    for model in models() {
        let mut forecaster = Forecaster::new(Arc::new(model.clone()), horizon());
        for (x, t_days) in [(0, 0), (0, 1), (2, 272), (29, 272), (700, 9_000)] {
            let Alive { expected_orders, discounted_orders } = forecaster.alive(x, t_days);
            let until =
                |month: i32| model.expected_orders_alive(x, t_days, 4.345 * f64::from(month));
            let by_hand: f64 = (1..=12).map(|i| (until(i) - until(i - 1)) / 1.01_f64.powi(i)).sum();
            let year = model.expected_orders_alive(x, t_days, 365.0 / 7.0);
            assert!((discounted_orders / by_hand - 1.0).abs() < 1e-11, "{x} {t_days}");
            assert!((expected_orders / year - 1.0).abs() < 1e-11, "{x} {t_days}");
            assert!(discounted_orders < expected_orders && discounted_orders > 0.9 * year);
        }
    }
}

/// Pairs that share a place in the table drive each other out and come back the same.
#[test]
fn a_forecast_does_not_depend_on_what_was_asked_before() {
    let model = Arc::new(model("mbg-nbd", MBG));
    let mut used = Forecaster::new(Arc::clone(&model), horizon());
    let pairs = [(0, 7), (0, 131_079), (1, 50_072), (131_072, 7), (5, 40), (u32::MAX, u32::MAX)];
    for _ in 0..2 {
        for (x, t_days) in pairs {
            let fresh = Forecaster::new(Arc::clone(&model), horizon()).alive(x, t_days);
            assert_eq!(used.alive(x, t_days), fresh, "{x} {t_days}");
        }
    }
}

#[test]
fn a_forecast_over_no_time_is_nothing() {
    let none = Horizon { months: 0, discount_monthly: 0.0, orders_days: 0 };
    for model in models() {
        let alive = Forecaster::new(Arc::new(model), none).alive(3, 100);
        assert_eq!(alive, Alive { expected_orders: 0.0, discounted_orders: 0.0 });
    }
}

#[test]
fn the_silence_of_the_living_has_its_median_at_the_next_order() {
    let prior = RatePrior { r: 0.553_277, alpha_weeks: 10.577_682_4 };
    for (x, t_x_days) in [(0, 0), (2, 91), (26, 216)] {
        let doubling = (1.0 / (prior.r + f64::from(x))).exp2();
        let silence_days = (prior.alpha_weeks + weeks(t_x_days)) * (doubling - 1.0) * 7.0;
        let median = prior.next_order_median_days(x, t_x_days).map(|age| f64::from(age - t_x_days));
        assert_eq!(median, Some(silence_days.ceil()), "{x}");
    }
    assert_eq!(prior.next_order_median_days(0, AGE_DAYS_MAX), None);
    assert_eq!(prior.silence_tail_falls_to(0, 0, 1e-9), None);
}

/// Parameters from `low` to `high`, every order of magnitude alike.
fn any_model(low: f64, high: f64) -> impl Strategy<Value = Model> {
    let wide = || (low.ln()..high.ln()).prop_map(f64::exp);
    let parameters = (wide(), wide(), wide(), wide());
    (prop_oneof![Just("bg-nbd"), Just("mbg-nbd"), Just("pareto-nbd")], parameters)
        .prop_map(|(name, (r, alpha, third, fourth))| model(name, [r, alpha, third, fourth]))
}

/// `age` is the first day of `holds`, or there is none up to 100 years.
fn is_first(age: Option<u32>, t_x_days: u32, holds: impl Fn(u32) -> bool) -> bool {
    match age {
        Some(age) => age >= t_x_days && holds(age) && (age == t_x_days || !holds(age - 1)),
        None => !holds(AGE_DAYS_MAX),
    }
}

proptest! {
    #[test]
    fn a_deadline_is_the_first_day_of_its_condition(
        model in any_model(0.05, 200.0),
        x in prop_oneof![0_u32..12, 0_u32..4_000],
        t_x_days in prop_oneof![0_u32..400, 0_u32..20_000],
        level in prop_oneof![0.001..0.999, Just(0.5), Just(0.0), Just(1.0), 1e-300..1e-9],
    ) {
        let at = |t_days| Purchases { x, t_x_days, t_days };
        let age = model.p_alive_falls_to(x, t_x_days, level);
        prop_assert!(is_first(age, t_x_days, |day| model.p_alive(&at(day)) <= level), "{age:?}");
        let prior = model.rate_prior();
        let age = prior.silence_tail_falls_to(x, t_x_days, level);
        prop_assert!(is_first(age, t_x_days, |day| prior.silence_tail(&at(day)) <= level));
    }

    #[test]
    fn answers_are_finite_for_every_sound_model_and_every_history(
        model in any_model(1.000_001e-6, 0.999_999e6),
        x in prop_oneof![0_u32..50, any::<u32>()],
        t_x_days in prop_oneof![0_u32..1_000, any::<u32>()],
        silence_days in prop_oneof![0_u32..1_000, any::<u32>()],
        horizon_weeks in prop_oneof![0.0..1e4, 0.0..1e9],
    ) {
        let t_days = t_x_days.saturating_add(silence_days);
        let p_alive = model.p_alive(&Purchases { x, t_x_days, t_days });
        prop_assert!((0.0..=1.0).contains(&p_alive), "{p_alive}");
        let orders = model.expected_orders_alive(x, t_days, horizon_weeks);
        prop_assert!(orders.is_finite() && orders >= 0.0, "{orders}");
        let longer = model.expected_orders_alive(x, t_days, horizon_weeks * 1.01);
        prop_assert!(longer >= orders * (1.0 - 1e-11), "{orders} {longer}");
    }

    #[test]
    fn silence_never_raises_a_chance(
        model in any_model(0.05, 200.0),
        x in 0_u32..3_000,
        t_x_days in 0_u32..9_000,
    ) {
        let (mut p_alive, mut tail) = (1.0, 1.0);
        let later = (t_x_days + 100..t_x_days + 9_000).step_by(97);
        for t_days in (t_x_days..t_x_days + 100).chain(later) {
            let purchases = Purchases { x, t_x_days, t_days };
            let (p_next, tail_next) =
                (model.p_alive(&purchases), model.rate_prior().silence_tail(&purchases));
            prop_assert!(p_next <= p_alive && tail_next <= tail, "{t_days}: {p_next} {p_alive}");
            (p_alive, tail) = (p_next, tail_next);
        }
    }
}

fn faults(change: impl FnOnce(&mut ModelFile)) -> String {
    let mut file = file("bg-nbd", BG);
    change(&mut file);
    Model::from_file(file).map_or_else(|faults| faults.join("\n"), |_| String::new())
}

#[test]
fn each_fault_of_a_model_file_names_key_value_and_remedy() {
    let check = |change: &dyn Fn(&mut ModelFile), expected: &str| {
        assert_eq!(faults(change), expected);
    };
    check(&|_| (), "");
    check(&|file| file.schema = "2".into(), "`schema` is `2`; it must be `lifetide.model/1`");
    check(&|file| file.unit = "day".into(), "`unit` is `day`; it must be `week`");
    check(
        &|file| file.name = "nbd".into(),
        "`name` is `nbd`; it must be `bg-nbd`, `mbg-nbd` or `pareto-nbd`",
    );
    check(
        &|file| file.currency = Some("usd".into()),
        "`currency` is `usd`; give three capital letters (ISO 4217), or leave it out",
    );
    check(
        &|file| file.parameters.r = Some(-0.5),
        "`parameters.r` is `-0.5`; it must lie between `1e-6` and `1e6`: fit the model again",
    );
    check(
        &|file| file.parameters.alpha = Some(f64::NAN),
        "`parameters.alpha` is `NaN`; it must lie between `1e-6` and `1e6`: fit the model again",
    );
    check(
        &|file| file.parameters.b = None,
        "`parameters.b` is missing; every parameter must be given",
    );
    check(
        &|file| file.parameters.s = Some(0.6),
        "`parameters.s` is `0.6`; `bg-nbd` has none: remove it",
    );
    check(
        &|file| file.spend = Some(Spend { q: Some(0.9), p: Some(2.0), gamma: Some(9e9) }),
        "`spend.q` is `0.9`; it must be above 1, or the population has no mean value: fit again \
         without outliers, or leave `[spend]` out",
    );
    check(
        &|file| {
            file.evidence = Some(Evidence {
                standard_errors: [("r".into(), f64::INFINITY)].into(),
                ..Evidence::default()
            });
        },
        "`evidence.standard_errors.r` is `inf`; give a finite number, or leave it out",
    );
    let season = |change: fn(&mut Vec<f64>)| {
        move |file: &mut ModelFile| {
            let mut index = vec![1.0; SEASON_PARTS];
            change(&mut index);
            file.season = Some(SeasonIndex { index });
        }
    };
    check(&season(|_| ()), "");
    check(
        &season(|index| index[3] = 0.0),
        "`season.index[3]` is `0`; it must lie between `0.02` and `50`: fit the model again, or \
         leave `[season]` out",
    );
    check(
        &season(|index| index.truncate(51)),
        "`season.index` has `51` numbers; give 52, one for each seven days of the year, or leave \
         `[season]` out",
    );
    check(
        &season(|index| index[0] = 27.0),
        "`season.index` has the mean `1.5`; it must be 1: divide each number by it",
    );
    for version in ["", "a b", "a/b", "\u{e9}", &"v".repeat(65)] {
        let text = faults(|file| file.version = version.into());
        assert!(text.starts_with(&format!("`version` is `{version}`; give 1 to 64")), "{text}");
    }
}

#[test]
fn all_faults_of_a_model_file_are_found_at_once() {
    let text = faults(|file| {
        file.schema = String::new();
        file.parameters = Parameters { beta: Some(1.0), ..Parameters::default() };
        file.spend = Some(Spend::default());
    });
    assert_eq!(text.lines().count(), 1 + 5 + 3, "{text}");
}

#[test]
fn a_sound_model_file_says_what_it_holds() {
    let mut file = file("bg-nbd", BG);
    file.evidence = Some(Evidence { identifiable: Some(false), ..Evidence::default() });
    let model = Model::from_file(file).unwrap();
    assert_eq!(model.label(), "bg-nbd/test");
    assert!(!model.identifiable());
    assert_eq!(model.currency().unwrap().code(), "USD");
    assert_eq!(model.basket_shape(), Some(6.249_574_8));
    assert_eq!(model.rate_prior(), RatePrior { r: BG[0], alpha_weeks: BG[1] });
}

#[test]
fn without_a_spend_model_there_is_no_value() {
    let mut file = file("bg-nbd", BG);
    file.spend = None;
    let model = Model::from_file(file).unwrap();
    assert!(model.identifiable());
    assert_eq!(model.population_mean_value(), None);
    assert_eq!(model.expected_value(3, 20.0), None);
    assert_eq!(model.basket_shape(), None);
}

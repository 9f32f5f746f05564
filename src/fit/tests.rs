//! The derivatives against differences, order, and histories at the edge of what can be fitted. The
//! known values of CDNOW are in `tests/fit.rs`.

use proptest::prelude::*;

use super::climb::Point;
use super::statistics::Spends;
use super::*;
use crate::calendar::Day;
use crate::clv::Purchases;
use crate::customer::{DayEntry, Ledger};
use crate::dice::Dice;

/// x, `t_x` and T in days, and the mean of a customer's repeat days.
type Known = ((u32, u32, u32), Option<f64>);

fn purchases((x, t_x_days, t_days): (u32, u32, u32)) -> Purchases {
    Purchases { x, t_x_days, t_days }
}

fn statistics(customers: &[Known]) -> Statistics {
    let mut statistics = Statistics::default();
    for (history, mean) in customers {
        statistics.add(&purchases(*history), *mean);
    }
    statistics
}

fn request(name: Option<Name>) -> Request {
    Request { name, version: "test".to_owned(), currency: Currency::parse("EUR") }
}

/// Compares slope and curve with central differences of value and slope.
fn check_derivatives<const N: usize>(
    parameters: [f64; N],
    of: impl Fn(&[f64; N]) -> Point<N>,
) -> Result<(), TestCaseError> {
    const STEP: f64 = 1e-4;
    let point = of(&parameters);
    let size = 1.0 + point.value.abs();
    let close = |found: f64, expected: f64, scale: f64| {
        (found - expected).abs() <= 1e-5 * (scale + expected.abs())
    };
    for i in 0..N {
        let at = |step: f64| {
            let mut moved = parameters;
            moved[i] *= step.exp();
            of(&moved)
        };
        let (low, high) = (at(-STEP), at(STEP));
        let slope = (high.value - low.value) / (2.0 * STEP);
        let scale = size.max(point.curve[i][i].abs());
        prop_assert!(close(point.slope[i], slope, scale), "{i} {slope} {point:?}");
        for k in 0..N {
            let curve = (high.slope[k] - low.slope[k]) / (2.0 * STEP);
            let scale = size.max(point.curve[i][i].abs()).max(point.curve[k][k].abs());
            prop_assert!(close(point.curve[i][k], curve, scale), "{i} {k} {curve} {point:?}");
        }
    }
    Ok(())
}

fn history() -> impl Strategy<Value = (u32, u32, u32)> {
    (prop_oneof![Just(0_u32), 1_u32..6, 1_u32..400], 0_u32..2_000, 0_u32..2_000).prop_map(
        |(x, more, silence)| {
            if x == 0 { (0, 0, silence) } else { (x, x + more, x + more + silence) }
        },
    )
}

fn parameter() -> impl Strategy<Value = f64> {
    (-5.0_f64..5.0).prop_map(f64::exp)
}

proptest! {
    #[test]
    fn every_derivative_of_a_purchase_model_is_what_differences_say(
        customers in prop::collection::vec(history(), 1..6),
        parameters in prop::array::uniform4(parameter()),
    ) {
        let customers: Vec<_> = customers.into_iter().map(|it| (it, None)).collect();
        let histories = statistics(&customers).histories(usize::MAX);
        let [r, alpha, ..] = parameters;
        check_derivatives([r, alpha], |it| nbd::likelihood(&histories, it))?;
        check_derivatives(parameters, |it| pareto_nbd::likelihood(&histories, it))?;
        for may_die in [false, true] {
            check_derivatives(parameters, |it| {
                beta_geometric::likelihood(&histories, it, may_die)
            })?;
        }
    }

    #[test]
    fn every_derivative_of_the_spend_model_is_what_differences_say(
        means in prop::collection::vec((1_u32..50, -5.0_f64..10.0), 1..6),
        parameters in prop::array::uniform3(parameter()),
    ) {
        let group = |&(x, ln_mean): &(u32, f64)| {
            Spends { x: f64::from(x), means: vec![(ln_mean.exp(), 2.0)] }
        };
        let spends: Vec<Spends> = means.iter().map(group).collect();
        check_derivatives(parameters, |it| gamma_gamma::likelihood(&spends, it))?;
    }

    /// Whatever the history and the model, there is a readable file or a clear refusal.
    #[test]
    fn a_fit_of_anything_ends_in_a_readable_file_or_a_refusal(
        customers in prop::collection::vec((history(), prop::option::of(-5.0_f64..16.0)), 0..40),
        name in prop::sample::select(Name::ALL.to_vec()),
    ) {
        let customers: Vec<_> =
            customers.into_iter().map(|(it, ln)| (it, ln.map(f64::exp))).collect();
        check_ends(&customers, name)?;
    }

    #[test]
    fn the_order_of_customers_changes_no_bit(
        customers in prop::collection::vec((history(), 0.1_f64..500.0), 20..40),
        turn in 1_usize..19,
    ) {
        let mut customers: Vec<_> =
            customers.into_iter().map(|(it, mean)| (it, Some(mean))).collect();
        let one = statistics(&customers);
        customers.reverse();
        customers.rotate_left(turn);
        let other = statistics(&customers);
        prop_assert_eq!(&one, &other);
        let wanted = request(Some(Name::MbgNbd));
        prop_assert_eq!(fit(&one, &wanted), fit(&other, &wanted));
    }
}

fn check_ends(customers: &[Known], name: Name) -> Result<Option<Fitted>, TestCaseError> {
    match fit(&statistics(customers), &request(Some(name))) {
        Err(Unfit::Repeaters { n_repeaters, n_customers }) => {
            prop_assert!(n_repeaters < REPEATERS_MIN);
            prop_assert_eq!(n_customers, customers.len() as u64);
            Ok(None)
        }
        Err(other) => Err(TestCaseError::fail(other.to_string())),
        Ok(fitted) => {
            prop_assert!(clv::Model::from_file(fitted.file.clone()).is_ok());
            prop_assert!(fitted.tried[0].1.log_likelihood.is_finite());
            prop_assert!(fitted.likelihood_ratio > -1e-3, "{}", fitted.likelihood_ratio);
            let purchasing = &fitted.tried[0].1;
            if purchasing.estimates.iter().any(|it| it.standard_error.is_none()) {
                prop_assert!(!fitted.warnings.is_empty());
            }
            Ok(Some(fitted))
        }
    }
}

/// A history of `n` customers, bought from at rates of gamma(r, alpha) until a death whose weekly
/// rate is gamma(s, beta); nobody dies without one.
fn simulated(n: usize, death: Option<f64>) -> Vec<Known> {
    let mut dice = Dice::new(7, 1);
    let mut customer = || {
        // Gamma(1) and a constant: an exponential rate, and a death of its own rate.
        let rate_daily = dice.exponential(0.5) / 7.0;
        let age = dice.between(100.0, 400.0);
        let lives = death.map_or(age, |mean_weeks| dice.exponential(mean_weeks * 7.0).min(age));
        let (mut day, mut days) = (0.0, vec![0_u32]);
        for _ in 0..10_000 {
            day += dice.exponential(1.0 / rate_daily);
            if day >= lives {
                break;
            }
            days.push(to_days(day));
        }
        days.dedup();
        let x = u32::try_from(days.len() - 1).unwrap();
        ((x, *days.last().unwrap(), to_days(age)), Some(dice.exponential(30.0)))
    };
    (0..n).map(|_| customer()).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few days, above 0")]
fn to_days(days: f64) -> u32 {
    days as u32
}

#[test]
fn a_history_without_dropout_is_not_identifiable_and_says_so() {
    for name in Name::ALL {
        let fitted = check_ends(&simulated(400, None), name).unwrap().unwrap();
        let evidence = fitted.file.evidence.unwrap();
        assert_eq!(evidence.identifiable, Some(false), "{name:?} {}", fitted.likelihood_ratio);
        assert!(fitted.warnings[0].contains("`identifiable = false`"), "{:?}", fitted.warnings);
    }
}

#[test]
fn a_dropout_that_is_alike_for_all_is_identified_and_its_spread_is_not() {
    let fitted = check_ends(&simulated(2_000, Some(20.0)), Name::ParetoNbd).unwrap().unwrap();
    assert_eq!(fitted.file.evidence.unwrap().identifiable, Some(true));
    let [.., s, beta] = fitted.tried[0].1.estimates.as_slice() else { panic!("four") };
    assert!((beta.value / s.value - 20.0).abs() < 3.0, "{s:?} {beta:?}");
}

#[test]
fn histories_at_the_edge_end_in_finite_parameters_or_a_refusal() {
    let n = |n: usize, history: (u32, u32, u32)| vec![(history, Some(20.0)); n];
    let mixed = |rest: Vec<Known>| [simulated(200, Some(9.0)), rest].concat();
    let cases = [
        ("nobody", vec![]),
        ("one customer", n(1, (3, 40, 60))),
        ("one purchase each", (0..500).map(|day| ((0, 0, day), None)).collect()),
        ("all alike", n(500, (4, 28, 35))),
        ("all on their last day", (10..90).map(|day| ((day / 9, day, day), Some(5.0))).collect()),
        ("all on one day", n(50, (0, 0, 0))),
        ("every day for years", n(20, (10_000, 10_000, 10_001))),
        ("one who bought ten thousand times", mixed(n(1, (10_000, 10_000, 10_400)))),
        ("forty years of silence", mixed(n(100, (1, 1, 14_610)))),
        ("impossible days", n(50, (7, 0, 0))),
    ];
    for (case, customers) in cases {
        for name in Name::ALL {
            let ended = check_ends(&customers, name);
            assert!(ended.is_ok(), "{case} {name:?}: {ended:?}");
            if let Some(fitted) = ended.unwrap()
                && matches!(case, "all alike" | "every day for years" | "impossible days")
            {
                assert!(!fitted.warnings.is_empty(), "{case} {name:?}");
            }
        }
    }
}

#[test]
fn cents_and_millions_give_the_same_spend_model_but_for_its_scale() {
    let fitted = |scale: f64| {
        let mut dice = Dice::new(3, 3);
        let mut statistics = Statistics::default();
        for (history, _) in simulated(500, Some(9.0)) {
            let rate = dice.exponential(1.0) + dice.exponential(1.0) + dice.exponential(1.0);
            let mean = scale * (dice.exponential(1.0) + dice.exponential(1.0)) / rate;
            statistics.add(&purchases(history), Some(mean));
        }
        let fitted = fit(&statistics, &request(Some(Name::MbgNbd))).unwrap();
        assert_eq!(fitted.warnings, Vec::<String>::new());
        fitted.file.spend.unwrap()
    };
    let plain = fitted(30.0);
    for scale in [0.01, 1e8] {
        let scaled = fitted(scale * 30.0);
        let pairs = [
            (plain.p, scaled.p, 1.0),
            (plain.q, scaled.q, 1.0),
            (plain.gamma, scaled.gamma, scale),
        ];
        for (one, other, scale) in pairs {
            let ratio = other.unwrap() / one.unwrap() / scale;
            assert!((ratio - 1.0).abs() < 1e-6, "{plain:?} {scaled:?}");
        }
    }
}

#[test]
fn a_spend_without_a_mean_or_a_spread_is_left_out_with_a_sentence() {
    let fitted = |mean: &dyn Fn(f64) -> Option<f64>| {
        let mut dice = Dice::new(5, 5);
        let mut statistics = Statistics::default();
        for (history, _) in simulated(300, Some(9.0)) {
            statistics.add(&purchases(history), mean(dice.unit()));
        }
        let fitted = fit(&statistics, &request(Some(Name::MbgNbd))).unwrap();
        assert_eq!((fitted.file.spend, fitted.spend), (None, None));
        fitted.warnings.join("\n")
    };
    let heavy = fitted(&|unit| Some(1.0 / (unit * unit * unit)));
    assert!(heavy.contains("the population has no mean"), "{heavy}");
    let alike = fitted(&|_| Some(9.99));
    assert!(alike.contains("`gamma-gamma`: the data leave"), "{alike}");
    let free = fitted(&|_| Some(0.0));
    assert!(free.contains("`0` customers have repeat days of a mean value above 0"), "{free}");
}

#[test]
fn a_search_that_explores_a_part_of_the_histories_ends_at_the_maximum_of_all() {
    let statistics = statistics(&simulated(6_000, Some(30.0)));
    let whole =
        Search { few: statistics.histories(usize::MAX), all: statistics.histories(usize::MAX) };
    let part = Search { few: statistics.histories(400), all: statistics.histories(usize::MAX) };
    assert!(whole.few.is_whole && !part.few.is_whole);
    let nbd = whole.nbd().unwrap();
    for name in [Name::MbgNbd, Name::ParetoNbd] {
        let [one, other] = [&whole, &part].map(|search| search.purchasing(name, &nbd).unwrap());
        assert!((one.log_likelihood - other.log_likelihood).abs() < 1e-6, "{one:?} {other:?}");
        for (one, other) in one.estimates.iter().zip(&other.estimates) {
            let allowed = 1e-3 * one.standard_error.unwrap();
            assert!((one.value - other.value).abs() < allowed, "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_version_that_no_file_may_have_is_refused() {
    let wanted = Request { version: "a b".to_owned(), ..request(Some(Name::MbgNbd)) };
    let error = fit(&statistics(&simulated(100, Some(9.0))), &wanted).unwrap_err().to_string();
    assert!(error.contains("`version` is `a b`"), "{error}");
}

/// Customers who buy for three years, half as often again in ten weeks of the year.
fn seasonal(height: f64) -> Statistics {
    let mut dice = Dice::new(9, 1);
    let (begin, end) = (Day(18_262), Day(18_262 + 3 * 365));
    let mut statistics = Statistics::default();
    for _ in 0..800 {
        let mut days: Vec<DayEntry> = Vec::new();
        let mut day = begin.plus(i32::try_from(dice.below(200)).unwrap());
        while day <= end {
            let is_high = (20..30).contains(&clv::part(day));
            let chance = 0.04 * if is_high { 1.0 + height } else { 1.0 };
            if days.is_empty() || dice.chance(chance) {
                days.push(DayEntry { day, net_minor: 4000, n_orders: 1 });
            }
            day = day.plus(1);
        }
        let ledger = Ledger { days, folded: None };
        statistics.take(&ledger, end, Currency::parse("EUR").unwrap());
    }
    statistics
}

#[test]
fn a_season_that_the_customers_show_is_in_the_file_and_none_that_they_do_not() {
    let fitted = fit(&seasonal(0.5), &request(None)).unwrap();
    assert_eq!(fitted.no_season, None);
    let index = fitted.file.season.unwrap().index;
    // 1.5 and 1 about a mean of 1.096; a part holds about 670 purchases, 4 % of chance.
    for (part, weight) in index.into_iter().enumerate() {
        let truth = if (20..30).contains(&part) { 1.368 } else { 0.912 };
        assert!((weight - truth).abs() < 0.16, "{part} {weight}");
    }
    let short = statistics(&[((3, 50, 60), Some(10.0)), ((0, 0, 9), None)]);
    assert_eq!(short.season(), Err(NoSeason::TooFewYears(0)));
}

/// The same customers, once with what they really brought, once with amounts that nobody meant, and
/// once with none: only the first may take the place of a model that knows what orders bring.
#[test]
fn a_fit_that_foresees_other_money_or_none_is_held_back() {
    let customers = |mean: fn(u32) -> Option<f64>| -> Vec<Known> {
        let mut dice = Dice::new(5, 2);
        let one = |i: u32, dice: &mut Dice| {
            let x = u32::try_from(dice.below(6)).unwrap();
            ((x, 20 * x, 20 * x + 60 + i % 90), (x > 0).then(|| mean(i)).flatten())
        };
        (0..800).map(|i| one(i, &mut dice)).collect()
    };
    let mean = |i: u32| Some(20.0 + f64::from(i * 37 % 61));
    let sound = statistics(&customers(mean));
    let in_use = fit(&sound, &request(None)).unwrap();
    let model = clv::Model::from_file(in_use.file.clone()).unwrap();
    let held = |statistics: &Statistics| {
        let fitted = fit(statistics, &request(None)).unwrap();
        let held = succession::held_back(statistics, &fitted, (&in_use.file, &model));
        held.map(succession::HeldBack::as_str)
    };
    assert_eq!(held(&sound), None);
    let inflated = |i: u32| Some((20.0 + f64::from(i * 37 % 61)) * 1000.0);
    assert_eq!(held(&statistics(&customers(inflated))), Some("wildly_different"));
    assert_eq!(held(&statistics(&customers(|_| None))), Some("no_spend"));
}

#[test]
fn a_fit_that_explains_less_or_tells_no_death_is_held_back() {
    let history = |i: u32| ((i % 5, 25 * (i % 5), 25 * (i % 5) + 40 + i % 120), None);
    let statistics = statistics(&(0..600).map(history).collect::<Vec<Known>>());
    let in_use = fit(&statistics, &request(None)).unwrap();
    let mut sound = in_use.file.clone();
    sound.evidence = None;
    let model = clv::Model::from_file(sound.clone()).unwrap();
    let held = |change: fn(&mut Evidence)| {
        let mut fitted = in_use.clone();
        fitted.file.evidence.iter_mut().for_each(change);
        succession::held_back(&statistics, &fitted, (&sound, &model))
            .map(succession::HeldBack::as_str)
    };
    assert_eq!(held(|evidence| evidence.identifiable = Some(true)), None);
    assert_eq!(held(|evidence| evidence.identifiable = Some(false)), Some("not_identifiable"));
    let less = |evidence: &mut Evidence| {
        evidence.identifiable = Some(true);
        evidence.log_likelihood = evidence.log_likelihood.map(|it| it - 5.0);
    };
    assert_eq!(held(less), Some("worse"));
}

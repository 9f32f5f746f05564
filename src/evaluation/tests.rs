//! No look-ahead, and histories with next to nothing in them.

use super::*;
use crate::clv::{ModelFile, Parameters, Spend};
use crate::customer::Ledger;
use crate::dice::Dice;
use crate::money::Currency;

const QUESTION: Question = Question { split: Day(10_000), until: Day(10_200) };

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// One order a day, of so many cents each.
type Orders<'a> = &'a [(i32, i128)];

fn ledger(orders: Orders<'_>) -> Ledger {
    let mut ledger = Ledger::default();
    for (day, cents) in orders {
        ledger.book(Day(*day), *cents, 1);
    }
    ledger
}

fn model() -> Model {
    Model::from_file(ModelFile {
        schema: "lifetide.model/1".into(),
        name: "pareto-nbd".into(),
        version: "test".into(),
        unit: "week".into(),
        currency: None,
        parameters: Parameters {
            r: Some(0.553_277),
            alpha: Some(10.577_682_4),
            s: Some(0.606_239_8),
            beta: Some(11.668_729_2),
            ..Parameters::default()
        },
        spend: Some(Spend {
            p: Some(6.249_574_8),
            q: Some(3.744_224_4),
            gamma: Some(15.443_512_7),
        }),
        season: None,
        evidence: None,
    })
    .unwrap()
}

fn judge(cohort: &Cohort, model: Option<&Model>) -> Evaluation {
    let prior = RatePrior { r: 2.0, alpha_weeks: 8.0 };
    let mut dice = Dice::new(1, 0);
    let below = &mut |bound| dice.below(bound);
    evaluate(cohort, QUESTION, model, prior, below, &mut |_, _| {})
}

fn cohort(customers: &[(Orders<'_>, Orders<'_>)]) -> Cohort {
    let mut cohort = Cohort::default();
    for (before, later) in customers {
        let after = ledger(&[*before, *later].concat());
        assert!(cohort.take(&ledger(before), Some(&after), QUESTION, usd()));
    }
    cohort
}

#[test]
fn nothing_that_came_after_the_split_moves_what_was_known_or_foretold() {
    let before: [Orders<'_>; 3] =
        [&[(9_700, 2_000), (9_950, 3_000)], &[(9_990, 1_000)], &[(9_500, 0), (9_600, 500)]];
    let later: Orders<'_> = &[(10_001, 100), (10_100, 9_900)];
    let silent = cohort(&before.map(|it| (it, &later[..0])));
    let busy = cohort(&before.map(|it| (it, later)));
    assert_eq!(silent.known, busy.known);
    assert_ne!(silent.became, busy.became);
    let model = model();
    let bits = |cohort| {
        let numbers = |it: &Forecast| {
            let optional = [it.expected_spend, it.halving_chance].map(|it| it.map(f64::to_bits));
            ([it.p_alive, it.expected_orders, it.no_purchase_chance].map(f64::to_bits), optional)
        };
        forecasts(&model, cohort, QUESTION).iter().map(numbers).collect::<Vec<_>>()
    };
    assert_eq!(bits(&silent), bits(&busy));
    let prior = model.rate_prior();
    for score in Score::ALL {
        let risks = |cohort| {
            let forecasts = forecasts(&model, cohort, QUESTION);
            scores::risks(score, cohort, Some(&forecasts), prior)
        };
        assert!(risks(&silent).is_some(), "{score:?}");
        assert_eq!(risks(&silent), risks(&busy), "{score:?}");
    }
}

#[test]
fn a_refund_after_the_split_counts_in_the_window_only_on_a_day_of_the_window() {
    let before = ledger(&[(9_950, 3_000), (10_000, 2_000)]);
    let mut after = ledger(&[(9_950, 3_000), (10_000, 2_000), (10_050, 4_000)]);
    // The first order is refunded in full, the one in the window in part.
    after.book(Day(9_950), -3_000, -1);
    after.book(Day(10_050), -1_500, 0);
    let mut cohort = Cohort::default();
    assert!(cohort.take(&before, Some(&after), QUESTION, usd()));
    assert_eq!(cohort.known[0].purchases.x, 1);
    assert!((cohort.known[0].net_major - 50.0).abs() < 1e-12);
    assert_eq!(cohort.became[0], Became { n_days: 1, net_major: 25.0 });
}

#[test]
fn who_was_erased_since_stays_known_and_bought_nothing() {
    let mut cohort = Cohort::default();
    assert!(cohort.take(&ledger(&[(9_990, 100)]), None, QUESTION, usd()));
    assert_eq!(cohort.became, [Became::default()]);
    assert!(!cohort.take(&Ledger::default(), None, QUESTION, usd()), "nobody was known");
}

#[test]
fn a_window_longer_than_a_ledger_keeps_days_is_counted_whole() {
    let question = Question { split: Day(10_000), until: Day(12_000) };
    let before = ledger(&[(9_990, 100)]);
    let days: Vec<(i32, i128)> = (10_001..11_500).map(|day| (day, 200)).collect();
    let after = ledger(&[&[(9_990, 100)], &days[..]].concat());
    let mut cohort = Cohort::default();
    assert!(cohort.take(&before, Some(&after), question, usd()));
    assert_eq!(cohort.became[0], Became { n_days: 1_499, net_major: 2_998.0 });
}

#[test]
fn the_rules_are_what_they_say() {
    // Gaps of 10, 20 and 30 days: the 90 % quantile is 28; everybody's is that of four gaps.
    let cohort = cohort(&[
        (&[(9_900, 1_000), (9_910, 1_000), (9_930, 1_000), (9_960, 1_000)], &[]),
        (&[(9_800, 5_000)], &[]),
        (&[(9_600, 100), (9_700, 300)], &[]),
    ]);
    let prior = RatePrior { r: 2.0, alpha_weeks: 8.0 };
    let risks = |score| scores::risks(score, &cohort, None, prior).unwrap();
    assert_eq!(risks(Score::Hiatus), [40.0, 200.0, 300.0]);
    let own_gap = risks(Score::OwnGap);
    for (found, expected) in own_gap.iter().zip([40.0 / 28.0, 200.0 / 79.0, 3.0]) {
        assert!((found - expected).abs() < 1e-12, "{own_gap:?}");
    }
    // Of 40.00 in 100 days, 10.00 fell into the last 56, and it would have been 22.40.
    let recent = risks(Score::RecentSpend);
    assert!((recent[0] + 10.0 / 22.4).abs() < 1e-12, "{recent:?}");
    assert!(recent[1].abs() < 1e-12 && recent[2].abs() < 1e-12, "{recent:?}");
    let tail = risks(Score::SilenceTail);
    assert!(tail.iter().all(|risk| (-1.0..=0.0).contains(risk)), "{tail:?}");
    assert!(scores::risks(Score::ExpectedOrders, &cohort, None, prior).is_none());
}

#[test]
fn next_to_nothing_gives_figures_or_none_and_no_nonsense() {
    let finite = |evaluation: &Evaluation| {
        let json = serde_json::to_string(evaluation).unwrap();
        assert!(!json.contains("null"), "{json}");
    };
    let model = model();
    let one = cohort(&[(&[(9_999, 100)], &[])]);
    let evaluation = judge(&one, Some(&model));
    finite(&evaluation);
    let trial = &evaluation.trials[0];
    assert_eq!((trial.customers, trial.happened, trial.top_customers), (1, 1, 1));
    assert!(trial.scores.iter().all(|it| it.auc.is_none() && it.precision.is_some()));
    assert!(trial.scores.iter().all(|it| it.score != Score::OwnGap), "nobody has a gap");
    assert_eq!(evaluation.trials[2].customers, 0, "a day old, nobody has a rate of their own");
    assert_eq!(evaluation.bias[0].ratio, None, "nothing came");
    // Free orders alone, and without a model.
    let free = cohort(&[(&[(9_700, 0), (9_800, 0)], &[(10_100, 0)]), (&[(9_600, 0)], &[])]);
    for model in [Some(&model), None] {
        let evaluation = judge(&free, model);
        finite(&evaluation);
        assert_eq!(evaluation.calibration.is_some(), model.is_some());
        let rules: Vec<Score> = evaluation.trials[0].scores.iter().map(|it| it.score).collect();
        assert!(rules.contains(&Score::SilenceTail) && rules.contains(&Score::OwnGap));
        assert_eq!(rules.contains(&Score::PAlive), model.is_some());
    }
}

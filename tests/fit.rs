//! `fit` on CDNOW, the field's standard sample, against published values: Fader, Hardie and Lee's
//! through `BTYD` and `CLVTools`; and the command as a script sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use lifetide::clv::{Model, ModelFile, Purchases};
use lifetide::fit::{Fitted, Maximum, Name, Request, Statistics, fit};
use lifetide::money::Currency;

/// Customers of the sample up to 1997-09-30, in the field's terms.
fn sample() -> Vec<(Purchases, Option<f64>)> {
    let mut cents: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    let mut reader = csv::Reader::from_path("tests/data/cdnow_sample.csv").expect("the sample");
    for order in reader.deserialize() {
        let order: BTreeMap<String, String> = order.expect("an order");
        if order["date"].as_str() <= "1997-09-30" {
            let days = cents.entry(order["customer_id"].clone()).or_default();
            let amount: f64 = order["amount"].parse().expect("an amount");
            *days.entry(order["date"].clone()).or_default() += (amount * 100.0).round();
        }
    }
    cents.into_values().map(|days| customer(&days)).collect()
}

fn customer(days: &BTreeMap<String, f64>) -> (Purchases, Option<f64>) {
    let day = |text: &str| {
        let date: jiff::civil::Date = text.parse().expect("a date");
        lifetide::calendar::Day::from_date(date).0
    };
    let numbers: BTreeSet<i32> = days.keys().map(|it| day(it)).collect();
    let (first, last) = (*numbers.first().expect("a day"), *numbers.last().expect("a day"));
    let count = |days: i32| u32::try_from(days).expect("no day before the first");
    let purchases = Purchases {
        x: u32::try_from(days.len() - 1).expect("few days"),
        t_x_days: count(last - first),
        t_days: count(day("1997-09-30") - first),
    };
    let repeat_cents: f64 = days.values().skip(1).sum();
    let mean = (purchases.x > 0).then(|| repeat_cents / 100.0 / f64::from(purchases.x));
    (purchases, mean)
}

fn fitted(name: Option<Name>) -> Fitted {
    let mut statistics = Statistics::default();
    for (purchases, mean) in sample() {
        statistics.add(&purchases, mean);
    }
    assert_eq!(statistics.n_customers(), 2_357);
    let version = "cdnow-1997-09-30".to_owned();
    let request = Request { name, version, currency: Currency::parse("USD") };
    fit(&statistics, &request).expect("a fit")
}

/// Parameters to 5 digits, likelihood to 1e-3, and standard errors to the digits published.
fn check(
    maximum: &Maximum,
    log_likelihood: f64,
    parameters: &[f64],
    errors: Option<(&[f64], f64)>,
) {
    let found = maximum.log_likelihood;
    assert!((found - log_likelihood).abs() < 1e-3, "{found} is not {log_likelihood}");
    assert_eq!(maximum.estimates.len(), parameters.len());
    for (estimate, expected) in maximum.estimates.iter().zip(parameters) {
        assert!((estimate.value / expected - 1.0).abs() < 5e-6, "{estimate:?} {expected}");
    }
    let Some((errors, tolerance)) = errors else { return };
    for (estimate, expected) in maximum.estimates.iter().zip(errors) {
        let error = estimate.standard_error.expect("a standard error");
        assert!((error / expected - 1.0).abs() < tolerance, "{estimate:?} {expected}");
    }
}

#[test]
fn the_fits_of_cdnow_are_the_published_ones() {
    let fitted = fitted(None);
    assert_eq!(fitted.warnings, Vec::<String>::new());
    let tried: BTreeMap<&str, &Maximum> =
        fitted.tried.iter().map(|(name, maximum)| (name.as_str(), maximum)).collect();
    let bg = [0.242_594_5, 4.413_601_9, 0.792_922_1, 2.425_907_2];
    let bg_errors: &[f64] = &[0.0126, 0.378, 0.186, 0.705];
    check(tried["bg-nbd"], -9_582.429_2, &bg, Some((bg_errors, 5e-3)));
    let mbg = [0.524_843_2, 6.183_086_1, 0.891_359_2, 1.614_002_1];
    check(tried["mbg-nbd"], -9_582.135_7, &mbg, None);
    let pareto = [0.553_277_0, 10.577_682_4, 0.606_239_8, 11.668_729_2];
    let pareto_errors: &[f64] = &[0.047_626_4, 0.842_722_2, 0.187_259_4, 6.210_544_8];
    check(tried["pareto-nbd"], -9_594.976_2, &pareto, Some((pareto_errors, 1e-3)));
    check(&fitted.nbd, -9_763.657_6, &[0.384_766_2, 12.072_023_5], None);
    let spend = [6.249_574_8, 3.744_224_4, 15.443_512_7];
    check(fitted.spend.as_ref().expect("a spend model"), -4_055.917_7, &spend, None);
}

#[test]
fn the_likelier_of_the_candidates_is_chosen_and_the_file_says_how_good_it_is() {
    let fitted = fitted(None);
    assert_eq!(fitted.tried[0].0, Name::MbgNbd);
    assert!((fitted.likelihood_ratio - 363.043_8).abs() < 1e-3);
    let evidence = fitted.file.evidence.clone().expect("evidence");
    assert_eq!((evidence.customers, evidence.identifiable), (Some(2_357), Some(true)));
    let keys: Vec<&str> = evidence.standard_errors.keys().map(String::as_str).collect();
    assert_eq!(keys, ["a", "alpha", "b", "gamma", "p", "q", "r"]);
    let text = toml::to_string(&fitted.file).expect("TOML");
    let again: ModelFile = toml::from_str(&text).expect("the same keys");
    assert_eq!(again, fitted.file);
    let model = Model::from_file(again).expect("no faults");
    assert_eq!(model.label(), "mbg-nbd/cdnow-1997-09-30");
    assert_eq!(model.currency(), Currency::parse("USD"));
}

#[test]
fn a_model_that_is_named_is_the_one_that_is_fitted() {
    for name in Name::ALL {
        let fitted = fitted(Some(name));
        assert_eq!(fitted.file.name, name.as_str());
        assert_eq!(fitted.tried.len(), 1);
    }
}

const CDNOW: [&str; 4] = ["--input", "tests/data/cdnow_sample.csv", "--map", "occurred_at=date"];

fn run(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lifetide"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .arg("fit")
        .args(arguments)
        .output()
        .expect("the program was built for this test");
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(text).expect("UTF-8"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    entries.map(name).collect()
}

#[test]
fn the_command_writes_the_model_of_the_ledgers_and_prints_how_good_it_is() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let path = folder.path().join("model.toml").display().to_string();
    let wanted = ["--until", "1997-09-30", "--output", &path];
    let (output, text) = run(&[&CDNOW[..], &wanted].concat());
    assert!(output.status.success(), "{text}");
    for line in [
        "      2357 customers at the end of 1997-09-30",
        "mbg-nbd             -9582.1357",
        "pareto-nbd          -9594.9762",
        "bg-nbd              -9582.4292",
        "nbd                 -9763.6576",
        "mbg-nbd/1997-09-30: chosen, it is likelier than pareto-nbd",
        "spend in USD: log-likelihood -4055.9177",
        "identifiable: yes",
        "season: no; a season needs 2 whole years with active customers, there are `0`",
        "363.04, needed 5.99",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(names(folder.path()), ["model.toml"]);
    let written = std::fs::read_to_string(&path).expect("the model file");
    let file: ModelFile = toml::from_str(&written).expect("a model file");
    let mut expected = fitted(None).file;
    expected.version = "1997-09-30".to_owned();
    assert_eq!(file, expected);
    let (_, again) = run(&[&CDNOW[..], &wanted].concat());
    assert_eq!(again, text);
    assert_eq!(std::fs::read_to_string(&path).expect("the model file"), written);
}

#[test]
fn what_cannot_be_fitted_or_was_not_meant_is_refused_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let path = folder.path().join("model.toml").display().to_string();
    let check = |arguments: &[&str], code: i32, words: &str| {
        let (output, text) = run(&[arguments, &["--output", &path]].concat());
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{words} is not in\n{text}");
        assert_eq!(names(folder.path()), Vec::<String>::new());
    };
    check(&[&CDNOW[..], &["--until", "1997-01-01"]].concat(), 1, "and a fit needs `10`");
    check(&[&CDNOW[..], &["--until", "1996-01-01"]].concat(), 1, "");
    check(&[&CDNOW[..], &["--version", "a b"]].concat(), 64, "`version` is `a b`");
    check(&CDNOW[..2], 1, "no column `occurred_at`");
    check(&[], 64, "--input");
    check(&["--topic"], 64, "--config");
    check(&[&CDNOW[..], &["--topic", "--config", "a"]].concat(), 64, "cannot be used with");
    let history = folder.path().join("orders.csv");
    std::fs::write(&history, "customer_id,occurred_at,amount\n").expect("a file");
    let name = history.display().to_string();
    let (output, text) = run(&["--input", &name, "--output", &name]);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("is also `--input`; give another file"), "{text}");
}

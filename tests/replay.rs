//! `lifetide replay` on the CDNOW sample, end to end: from the purchases to the published figures
//! of each customer, under each of the three models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lifetide"))
        .args(["replay", "--map", "occurred_at=date"])
        .arg("--input")
        .arg(data("cdnow_sample.csv"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// The scores of everybody at the end of 1997-09-30, by customer, in the file's order.
fn scores(model: &str, arguments: &[&str]) -> Vec<(String, Value)> {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let file = folder.path().join("scores.jsonl");
    let (model, path) = (data(model), file.display().to_string());
    let model = model.display().to_string();
    let mut all = vec!["--until", "1997-09-30", "--model", &model, "--scores", &path];
    all.extend(arguments);
    let output = replay(&all);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&file).expect("the scores were written");
    text.lines()
        .map(|line| {
            let score: Value = serde_json::from_str(line).expect("a score is JSON");
            (score["customer_id"].as_str().expect("an id is text").to_owned(), score)
        })
        .collect()
}

/// The published figures by customer and column; a blank cell is absent.
fn expected() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reader =
        csv::Reader::from_path(data("cdnow_sample_expected.csv")).expect("it is there");
    let columns = reader.headers().expect("it has a header").clone();
    reader
        .records()
        .map(|record| {
            let record = record.expect("it is CSV");
            let cells = columns.iter().zip(&record).map(|(c, v)| (c.to_owned(), v.to_owned()));
            (record[0].to_owned(), cells.collect())
        })
        .collect()
}

fn close(figure: f64, expect: f64) -> bool {
    (figure - expect).abs() <= 1e-6 * expect.abs().max(1.0)
}

fn check(model: &str, suffix: &str) {
    // 39 weeks, so that `expected_orders` can be compared.
    let scores = scores(model, &["--set", "model.orders_horizon_days=273"]);
    let expected = expected();
    assert_eq!((scores.len(), expected.len()), (2357, 2357));
    for (id, score) in scores {
        let row = &expected[&id];
        let cell = |name: &str| row[name].parse::<f64>().expect("a cell is a number");
        let figures = [
            (&score["churn"]["p_alive"], format!("p_alive_{suffix}")),
            (&score["churn"]["expected_orders"], format!("exp39_{suffix}")),
            (&score["churn"]["expected_order_value"], "gg_value".to_owned()),
            (&score["clv"]["predicted"], format!("clv12_{suffix}")),
        ];
        for (figure, column) in figures {
            let (figure, expect) = (figure.as_f64().expect("it is a number"), cell(&column));
            assert!(close(figure, expect), "{id} {column}: {figure}, published {expect}");
        }
        let history = &score["history"];
        assert_eq!(history["purchase_days"].as_f64(), Some(cell("x") + 1.0), "{id}");
        let net: f64 = history["net_revenue"].as_str().expect("text").parse().expect("decimal");
        assert!((net - cell("total_amount")).abs() < 1e-9, "{id}: {net}");
        assert_eq!(score["as_of"], "1997-09-30T23:59:59.999Z");
        assert_eq!(score["cause"], "time");
        assert!(score.get("source").is_none());
    }
}

#[test]
fn every_cdnow_customer_is_scored_as_published_by_bg_nbd() {
    check("models/bg-nbd.toml", "bg");
}

#[test]
fn every_cdnow_customer_is_scored_as_published_by_mbg_nbd() {
    check("models/mbg-nbd.toml", "mbg");
}

#[test]
fn every_cdnow_customer_is_scored_as_published_by_pareto_nbd() {
    check("models/pareto-nbd.toml", "pnbd");
}

#[test]
fn scores_are_sorted_and_the_same_bytes_every_time() {
    let once = scores("models/mbg-nbd.toml", &[]);
    assert_eq!(once, scores("models/mbg-nbd.toml", &[]));
    assert!(once.is_sorted_by(|(a, _), (b, _)| a < b));
}

#[test]
fn a_recount_of_its_own_scores_differs_in_nothing_and_a_changed_one_is_named() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let file = folder.path().join("scores.jsonl");
    let path = file.display().to_string();
    assert!(replay(&["--scores", &path]).status.success());
    let equal = replay(&["--against", &path]);
    let said = String::from_utf8_lossy(&equal.stdout).into_owned();
    assert_eq!(
        (equal.status.code(), said.as_str()),
        (Some(0), "2357 customers compared, 0 differ\n")
    );

    let model = data("models/mbg-nbd.toml").display().to_string();
    let other = replay(&["--against", &path, "--model", &model]);
    let said = String::from_utf8_lossy(&other.stdout).lines().next().unwrap_or_default().to_owned();
    let first =
        "the scores name the model `none` (2357), the recount uses `mbg-nbd/cdnow-1997-09-30`";
    assert_eq!(other.status.code(), Some(1), "{said}");
    assert!(said.starts_with(first) && said.contains("`--model FILE`"), "{said}");

    let text = std::fs::read_to_string(&file).expect("it was written");
    let changed = text.replacen(r#""net_revenue":"74.02""#, r#""net_revenue":"74.03""#, 1);
    let (kept, _last) = changed.trim_end().rsplit_once('\n').expect("there are many lines");
    std::fs::write(&file, kept).expect("it can be written");
    let differing = replay(&["--against", &path]);
    let said = String::from_utf8_lossy(&differing.stdout).into_owned();
    assert_eq!(differing.status.code(), Some(1), "{said}");
    assert!(said.contains("history.net_revenue is `74.03`, recounted `74.02`"), "{said}");
    assert!(said.contains("not among the scores, only in the recount"), "{said}");
    assert!(said.ends_with("2357 customers compared, 2 differ\n"), "{said}");
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_skipped_and_strict_makes_it_an_error() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let file = folder.path().join("orders.csv");
    let rows = "customer_id,occurred_at,amount\nada,2024-01-05,10.00\n,2024-01-06,1\nada,x,1\n";
    std::fs::write(&file, rows).expect("it can be written");
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_lifetide"))
            .args(["replay", "--input"])
            .arg(&file)
            .args(arguments)
            .output()
            .expect("the program starts")
    };
    let lenient = run(&[]);
    let said = String::from_utf8_lossy(&lenient.stderr).into_owned();
    assert_eq!(lenient.status.code(), Some(0), "{said}");
    assert!(said.contains("line `3`: missing_field") && said.contains("line `4`: bad_value"));
    assert_eq!(run(&["--strict"]).status.code(), Some(1));
    assert_eq!(run(&["--map", "nonsense"]).status.code(), Some(64));
    assert_eq!(run(&["--set", "processing.curency=EUR"]).status.code(), Some(64));
}

#[test]
fn what_is_written_is_no_other_file_of_the_call() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let input = data("cdnow_sample.csv").display().to_string();
    let out = folder.path().join("out.jsonl").display().to_string();
    for arguments in
        [["--scores", &input, "--signals", &out], ["--scores", &out, "--signals", &out]]
    {
        let output = replay(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert!(error.contains("give another file"), "{error}");
    }
    assert!(std::fs::read_to_string(&input).expect("it is still there").starts_with("customer_id"));
    assert!(!folder.path().join("out.jsonl").exists());
}

#[test]
fn a_comparison_adds_up_and_leaves_the_scores_as_they_are() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let [with, without] = ["with", "without"].map(|name| folder.path().join(name));
    let [with_path, without_path] = [&with, &without].map(|path| path.display().to_string());
    let model = data("models/mbg-nbd.toml").display().to_string();
    let common = ["--model", &model, "--until", "1997-12-31"];
    let compared = |path: &str| {
        let compare = ["--scores", path, "--compare", "1997-10-01"];
        let output = replay(&[&common[..], &compare].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the table is text")
    };
    let text = compared(&with_path);
    assert_eq!(text, compared(&with_path), "the same every time");
    assert!(replay(&[&common[..], &["--scores", &without_path]].concat()).status.success());
    let [with, without] = [with, without].map(|path| std::fs::read(path).expect("it is there"));
    assert_eq!(with, without);

    let (_, table) = text.split_once("\n\n").expect("the table comes after the summary");
    let row = |name: &str| {
        let cells = table.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        let cell = |cell: &str| cell.replace('.', "").parse::<i64>().expect("a number");
        let cells: Vec<i64> = cells.split_whitespace().map(cell).collect();
        <[i64; 2]>::try_from(cells).expect("two windows")
    };
    assert!(table.contains("from 1997-07-01   from 1997-10-01"), "{table}");
    assert!(table.contains("1997-09-30        1997-12-31"), "{table}");
    let drivers = ["retention", "frequency", "basket", "lost", "recovered"];
    let drivers = drivers.map(|name| row(&format!("  {name} ")));
    for i in [0, 1] {
        let moved: i64 = drivers.iter().map(|cells| cells[i]).sum();
        assert_eq!(moved, row("  all of it")[i], "{table}");
        let ends = ["population CLV at the start", "population CLV at the end"].map(row);
        assert_eq!(ends[0][i] + moved, ends[1][i], "{table}");
    }
    let orders = std::fs::read_to_string(data("cdnow_sample.csv")).expect("it is there");
    let months = [["1997-07", "1997-08", "1997-09"], ["1997-10", "1997-11", "1997-12"]];
    let in_months = |months: [&str; 3]| {
        let is_in = |line: &&str| months.iter().any(|month| line.contains(month));
        i64::try_from(orders.lines().filter(is_in).count()).expect("a few thousand")
    };
    assert_eq!(row("orders "), months.map(in_months));
    let last = text.lines().last().expect("there is a sentence");
    assert!(last.starts_with("in the 92 days from 1997-10-01, against as many before: "), "{last}");

    let refused = |arguments: &[&str], why: &str| {
        let output = replay(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert!(error.contains(why), "{error}");
    };
    refused(&["--compare", "1997-01-01"], "the history goes from `1997-01-01` to `1998-06-30`");
    refused(&["--compare", "1997-10-01", "--against", &with_path], "--against");
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn json_lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("it was written");
    text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

#[test]
fn a_model_that_is_fitted_on_a_day_is_gone_on_with_from_the_next() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let path = |name: &str| file(folder.path(), name);
    let run = |arguments: &[&str], scores: &str, signals: &str| {
        let (scores, signals) = (path(scores), path(signals));
        let output = replay(&[arguments, &["--scores", &scores, "--signals", &signals]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it is text")
    };
    let fit_at = ["--until", "1998-03-31", "--fit-at", "1997-09-30", "--fit-at", "1996-12-31"];
    let said = run(&fit_at, "scores", "signals");
    assert!(said.contains("1997-09-30  fitted mbg-nbd/1997-09-30 to 2357 customers"), "{said}");
    assert!(
        said.contains("1996-12-31  no model: `0` customers with a second purchase day"),
        "{said}"
    );
    run(&fit_at, "scores again", "signals again");
    for name in ["scores", "signals"] {
        let [one, other] = [path(name), path(&format!("{name} again"))].map(std::fs::read);
        assert_eq!(one.expect("it is there"), other.expect("it is there"));
    }

    // The file that `fit` writes on that day, known all along, ends in the same figures.
    let model = path("model");
    let fitted = Command::new(env!("CARGO_BIN_EXE_lifetide"))
        .args(["fit", "--map", "occurred_at=date", "--until", "1997-09-30", "--input"])
        .arg(data("cdnow_sample.csv"))
        .args(["--output", &model])
        .output()
        .expect("the program starts");
    assert!(fitted.status.success());
    run(&["--until", "1998-03-31", "--model", &model], "known", "known signals");
    let (scores, known) = (json_lines(&path("scores")), json_lines(&path("known")));
    assert_eq!((scores.len(), known.len()), (2357, 2357));
    for (score, known) in scores.iter().zip(&known) {
        for group in ["model", "history", "clv", "churn"] {
            assert_eq!(score[group], known[group], "{}", score["customer_id"]);
        }
    }

    // Up to that day nothing knows the model; from then on its deadlines hold.
    run(&["--until", "1997-09-30"], "before", "before signals");
    let signals = json_lines(&path("signals"));
    let day = |signal: &Value| {
        let raised_at = signal["raised_at"].as_str().and_then(|at| at.split_once('T'));
        raised_at.expect("a time").0.to_owned()
    };
    let (before, after): (Vec<_>, Vec<_>) =
        signals.into_iter().partition(|signal| *day(signal) <= *"1997-09-30");
    assert!(before == json_lines(&path("before signals")), "what was raised before has changed");
    // Of those who never bought again: others have other deadlines by the end.
    let is_silent =
        |it: &&Value| it["history"]["last_order_on"].as_str().is_some_and(|on| on <= "1997-09-30");
    let lapse = |it: &Value| (it["customer_id"].to_string(), it["churn"]["lapses_on"].clone());
    let lapses_on: BTreeMap<_, _> = scores.iter().filter(is_silent).map(lapse).collect();
    let mut n_lapses = 0;
    for lapse in after.iter().filter(|signal| signal["kind"] == "lapse") {
        let Some(on) = lapses_on.get(&lapse["customer_id"].to_string()) else { continue };
        let on = on.as_str().expect("whoever lapses has a day");
        assert_eq!(day(lapse), on.max("1997-10-01"), "{lapse}");
        n_lapses += 1;
    }
    assert!(n_lapses > 300, "{n_lapses}");
}

#[test]
fn a_fit_that_is_not_to_be_trusted_is_held_back() {
    let folder = tempfile::tempdir().expect("there is room for a file");
    let model = file(folder.path(), "model");
    let known = std::fs::read_to_string(data("models/mbg-nbd.toml")).expect("it is there");
    let alpha = |line: &&str| line.starts_with("alpha = ");
    let alpha = known.lines().find(alpha).expect("it has an alpha");
    std::fs::write(&model, known.replace(alpha, "alpha = 600.0")).expect("there is room");
    let output = replay(&["--model", &model, "--fit-at", "1997-09-30"]);
    let said = String::from_utf8(output.stdout).expect("it is text");
    let expect = "1997-09-30  held back mbg-nbd/1997-09-30: it foresees";
    assert!(output.status.success() && said.contains(expect), "{said}");
}

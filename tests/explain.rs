//! An explanation where people read it: the page and the JSON of `lifetide explain` on the CDNOW
//! sample, and the look-up of a customer in committed state.

#![expect(clippy::unwrap_used, reason = "a test file; the lint spares marked functions only")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use lifetide::clv::{Model, ModelFile};
use lifetide::commands::load_config;
use lifetide::config::Purpose;
use lifetide::customer::{Customer, Source};
use lifetide::event::{Body, Event};
use lifetide::http::{CustomerLookup, Lookup};
use lifetide::lifecycle::Lanes;
use lifetide::lookup::Finder;
use lifetide::models::Models;
use lifetide::money::{Amount, Currency};
use lifetide::pipeline::Pipeline;
use lifetide::plan::Plan;
use lifetide::record::changelog;
use lifetide::store::{Customers, Store};
use serde_json::Value;

/// Whose page the README shows, and how many lines of it.
const SHOWN: &str = "18424";
const SHOWN_LINES: usize = 12;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn lifetide(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifetide"));
    command.current_dir(root("")).args(arguments).output().expect("the program starts")
}

/// Of CDNOW, with a model.
fn explain(arguments: &[&str]) -> Output {
    let input = ["explain", "--input", "tests/data/cdnow_sample.csv", "--map", "occurred_at=date"];
    let model = ["--model", "tests/data/models/mbg-nbd.toml"];
    lifetide(&[&input[..], &model, arguments].concat())
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_page_begins_as_the_readme_shows() {
    let page = text(&explain(&["--customer", SHOWN]));
    let readme = fs::read_to_string(root("README.md")).unwrap();
    let shown: String = page.split_inclusive('\n').take(SHOWN_LINES).collect();
    assert!(readme.contains(&format!("```text\n{shown}  …\n```")), "{page}");
    assert!(readme.contains(&format!("--customer {SHOWN}\n")));
    assert!(page.lines().all(|line| line == line.trim_end()), "{page}");
}

/// By the command that stands there, but for the files' names.
#[test]
fn the_score_and_the_signal_with_which_the_readme_begins_are_those_of_replay() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (scores, signals) = (path("scores.jsonl"), path("signals.jsonl"));
    let input = ["--input", "tests/data/cdnow_sample.csv", "--map", "occurred_at=date"];
    let model = ["--model", "tests/data/models/mbg-nbd.toml", "--scores", &scores];
    text(&lifetide(&[&["replay", "--signals", &signals], &input[..], &model].concat()));
    let readme = fs::read_to_string(root("README.md")).unwrap();
    let blocks = readme.split("```json\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let shown: Vec<String> = blocks.map(|block| block.replace("\n ", "")).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    for (shown, file) in shown.iter().zip([scores, signals]) {
        let written = fs::read_to_string(file).unwrap();
        assert!(written.lines().any(|line| line == shown), "no longer written: {shown}");
    }
}

#[test]
fn the_json_has_the_score_that_replay_writes() {
    let folder = tempfile::tempdir().unwrap();
    let scores = folder.path().join("scores.jsonl").display().to_string();
    let input = ["--input", "tests/data/cdnow_sample.csv", "--map", "occurred_at=date"];
    let model = ["--model", "tests/data/models/mbg-nbd.toml", "--until", "1997-09-30"];
    text(&lifetide(&[&["replay", "--scores", &scores], &input[..], &model].concat()));
    let scores = fs::read_to_string(&scores).unwrap();
    for id in ["00004", SHOWN] {
        let json = text(&explain(&["--customer", id, "--until", "1997-09-30", "--json"]));
        let name = format!("\"customer_id\":\"{id}\"");
        let score = scores.lines().find(|line| line.contains(&name)).unwrap();
        assert!(
            json.starts_with(&format!("{{\"score\":{score},\"explanation\":{{\"x\":")),
            "{json}"
        );
        let explanation = &serde_json::from_str::<Value>(&json).unwrap()["explanation"];
        assert_eq!(explanation["inputs"]["model"], "mbg-nbd/cdnow-1997-09-30");
        assert!(explanation["purchase_days"][0]["on"].is_string(), "{explanation}");
    }
}

#[test]
fn a_customer_who_is_not_there_is_named_with_one_who_may_be_meant() {
    let failed = |output: Output, code: i32| {
        assert_eq!(output.status.code(), Some(code));
        String::from_utf8(output.stderr).unwrap()
    };
    let error = failed(explain(&["--customer", "4"]), 1);
    assert!(error.contains("no event of a customer `4`; did you mean `00004`?"), "{error}");
    let error = failed(explain(&["--customer", "nobody"]), 1);
    assert!(error.trim_end().ends_with("has no event of a customer `nobody`"), "{error}");
    failed(explain(&[]), 64);
    failed(explain(&["--customer", "00004", "--model", "no/such.toml"]), 64);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let rows = r#"{"type":"order.completed","customer_id":"ada","occurred_at":"2026-01-05T00:00:00Z","amount":"1"}
{"type":"customer.erased","customer_id":"ada","occurred_at":"2026-02-05T00:00:00Z"}
"#;
    fs::write(&file, rows).unwrap();
    let file = file.display().to_string();
    let erased = ["explain", "--input", &file, "--customer", "ada"];
    let error = failed(lifetide(&erased), 1);
    assert!(error.contains("erases the customer `ada`"), "{error}");
    let page = text(&lifetide(&[&erased[..], &["--until", "2026-02-04"]].concat()));
    assert!(page.contains("Has bought on one day, 30 days ago.") && page.contains("model none"));
}

fn model(name: &str) -> Arc<Model> {
    let file = root("tests/data/models").join(format!("{name}.toml"));
    let file: ModelFile = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    Arc::new(Model::from_file(file).unwrap())
}

/// Three orders, three weeks apart.
fn customer(pipeline: &mut Pipeline) -> Customer {
    let mut customer = Customer::default();
    for n in 0..3 {
        let at_ms = 1_700_000_000_000 + n * 21 * 86_400_000;
        let amount = Amount { minor: 4000, currency: Currency::parse("USD").unwrap() };
        let event = Event {
            customer_id: "ada".into(),
            occurred_at_ms: at_ms,
            event_id: None,
            order_id: None,
            channel: None,
            body: Body::OrderCompleted(amount),
        };
        let source = Source { partition: 3, offset: n };
        pipeline.apply(&mut customer, &event, source, at_ms).unwrap();
    }
    customer
}

/// The model of the partition counts, also where another is wanted: while models change each
/// partition goes over by itself.
#[test]
fn a_look_up_explains_by_the_model_of_the_customers_partition() {
    let config = load_config(None, &[], Purpose::Offline).unwrap();
    let rules = Plan::new(&config, None).unwrap().rules;
    let models = Arc::new(Models::learning(rules, None));
    let modelless = models.wanted();
    let mut pipeline = modelless.pipeline();
    let customer = customer(&mut pipeline);
    let store = Arc::new(Store::default());
    let [customers, others] = [(3, "ada"), (1, "bob")].map(|(partition, id)| {
        let customers = Arc::new(Customers::default());
        customers.put(id, pipeline.due_day(&customer), &changelog::encode(&customer));
        customers.set_plan(modelless.clone());
        store.insert(partition, Arc::clone(&customers));
        customers
    });
    let lanes = Lanes::new(1, Duration::from_mins(1));
    let finder = Finder::new(store, lanes, 4, &modelless);
    let look_up = |id| {
        let Lookup::Found(document) = finder.find(id) else { panic!("the customer is there") };
        serde_json::from_slice::<Value>(&document).unwrap()
    };
    for name in ["mbg-nbd", "pareto-nbd"] {
        let model = model(name);
        let before = customers.plan().unwrap();
        models.learn(Arc::clone(&model));
        assert!(models.want(model.label()));
        assert_eq!(look_up("ada")["score"]["model"], before.model_label(), "it is not there yet");
        assert!(models.successor(&before).is_some_and(|it| it.is(&models.wanted())));
        customers.set_plan(models.wanted());
        let answer = look_up("ada");
        assert_eq!(answer["score"]["model"], model.label());
        assert_eq!(answer["score"]["source"]["offset"], 2);
        let why = &answer["explanation"];
        assert_eq!(why["inputs"]["model"], model.label());
        assert_eq!(why["pieces"]["p_alive"]["value"], answer["score"]["churn"]["p_alive"]);
        let pipeline = models.wanted().pipeline();
        let due = pipeline.due_day(&customer).unwrap().to_string();
        assert_eq!(why["silence_changes_on"], due);
        assert_eq!(why["ahead"][0]["on"], due);
        let fields = ["x", "t_x_days", "t_days", "repeat_net", "purchase_days"];
        assert!(fields.iter().all(|field| !why[field].is_null()), "{why}");
        assert!(others.plan().unwrap().is(&modelless));
        assert_eq!(look_up("bob")["score"]["model"], "none", "another partition waits");
    }
    assert!(!matches!(finder.find("zoe"), Lookup::Found(_)));
}

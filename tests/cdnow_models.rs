//! The three models on CDNOW, the field's standard sample: 2,357 customers up to 1997-09-30. The
//! expected values agree with the lifetimes 0.11.3 and `BTYD` programs.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use lifetide::clv::{Forecaster, Horizon, Model, ModelFile, Purchases};

const TOLERANCE: f64 = 1e-6;

struct Row(BTreeMap<String, String>);

impl Row {
    fn number(&self, column: &str) -> Option<f64> {
        self.0[column].parse().ok()
    }

    fn count(&self, column: &str) -> u32 {
        self.0[column].parse().expect("a whole number")
    }

    fn purchases(&self) -> Purchases {
        let [x, t_x_days, t_days] = ["x", "tx_days", "T_days"].map(|column| self.count(column));
        Purchases { x, t_x_days, t_days }
    }
}

/// Mean over the repeat days up to 1997-09-30 by customer, in major units, from the orders: the
/// column `monetary` is this rounded to four decimals, which is too coarse here.
fn repeat_means() -> BTreeMap<String, f64> {
    let mut days: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    let mut reader = csv::Reader::from_path("tests/data/cdnow_sample.csv").expect("the sample");
    for order in reader.deserialize() {
        let order: BTreeMap<String, String> = order.expect("an order");
        if order["date"].as_str() <= "1997-09-30" {
            let customer = days.entry(order["customer_id"].clone()).or_default();
            *customer.entry(order["date"].clone()).or_default() +=
                order["amount"].parse::<f64>().expect("an amount");
        }
    }
    let mean = |days: BTreeMap<String, f64>| {
        let n_repeat_days = f64::from(u32::try_from(days.len() - 1).expect("few days"));
        days.values().skip(1).sum::<f64>() / n_repeat_days.max(1.0)
    };
    days.into_iter().map(|(id, days)| (id, mean(days))).collect()
}

fn rows() -> Vec<Row> {
    let mut reader =
        csv::Reader::from_path("tests/data/cdnow_sample_expected.csv").expect("the known values");
    let rows: Vec<Row> = reader.deserialize().map(|row| Row(row.expect("a customer"))).collect();
    assert_eq!(rows.len(), 2_357);
    rows
}

fn model_file(name: &str) -> String {
    fs::read_to_string(format!("tests/data/models/{name}.toml")).expect("a model file")
}

fn model(name: &str) -> Model {
    let file: ModelFile = toml::from_str(&model_file(name)).expect("known keys");
    Model::from_file(file).expect("no faults")
}

fn horizon() -> Horizon {
    Horizon { months: 12, discount_monthly: 0.01, orders_days: 39 * 7 }
}

fn assert_close(found: f64, row: &Row, column: &str) {
    let expected = row.number(column).expect("a number");
    let allowed = TOLERANCE * expected.abs().max(1.0);
    let id = &row.0["customer_id"];
    assert!((found - expected).abs() <= allowed, "{id} {column}: {found} is not {expected}");
}

/// Checks every customer, and returns the sums of expected orders and of 12-month values.
fn check(name: &str, suffix: &str) -> (f64, f64) {
    let model = Arc::new(model(name));
    let mut forecaster = Forecaster::new(Arc::clone(&model), horizon());
    let means = repeat_means();
    let (mut orders_sum, mut value_sum) = (0.0, 0.0);
    for row in &rows() {
        let purchases = row.purchases();
        let p_alive = model.p_alive(&purchases);
        assert_close(p_alive, row, &format!("p_alive_{suffix}"));
        let alive = forecaster.alive(purchases.x, purchases.t_days);
        let orders = p_alive * alive.expected_orders;
        assert_close(orders, row, &format!("exp39_{suffix}"));
        let alone = p_alive * model.expected_orders_alive(purchases.x, purchases.t_days, 39.0);
        assert_close(alone, row, &format!("exp39_{suffix}"));
        let mean = means[&row.0["customer_id"]];
        assert!((mean - row.number("monetary").expect("a mean")).abs() < 6e-5);
        let value = model.expected_value(purchases.x, mean).expect("a spend model");
        assert_close(value, row, "gg_value");
        let predicted = value * p_alive * alive.discounted_orders;
        assert_close(predicted, row, &format!("clv12_{suffix}"));
        orders_sum += orders;
        value_sum += predicted;
    }
    (orders_sum, value_sum)
}

fn check_sums((orders, value): (f64, f64), orders_known: f64, value_known: f64) {
    assert!((orders - orders_known).abs() < 0.05, "{orders}");
    assert!((value - value_known).abs() < 0.5, "{value}");
}

#[test]
fn bg_nbd_gives_every_customer_of_cdnow_the_known_values() {
    check_sums(check("bg-nbd", "bg"), 1_653.4, 71_508.0);
}

#[test]
fn mbg_nbd_gives_every_customer_of_cdnow_the_known_values() {
    check_sums(check("mbg-nbd", "mbg"), 1_576.7, 67_774.0);
}

#[test]
fn pareto_nbd_gives_every_customer_of_cdnow_the_known_values() {
    check_sums(check("pareto-nbd", "pnbd"), 1_665.5, 72_316.0);
}

#[test]
fn deadlines_are_the_first_whole_day_after_the_known_instant() {
    for (name, column) in [("bg-nbd", "timer_days_p50_bg"), ("mbg-nbd", "timer_days_p50_mbg")] {
        let model = model(name);
        for row in rows() {
            let Purchases { x, t_x_days, .. } = row.purchases();
            let found = model.p_alive_falls_to(x, t_x_days, 0.5).map(f64::from);
            assert_eq!(found, row.number(column).map(f64::ceil), "{}", row.0["customer_id"]);
        }
    }
}

#[test]
fn a_model_file_says_where_it_comes_from() {
    for name in ["bg-nbd", "mbg-nbd", "pareto-nbd"] {
        assert_eq!(model(name).label(), format!("{name}/cdnow-1997-09-30"));
        assert!(model(name).identifiable());
    }
}

#[test]
fn an_unknown_key_of_a_model_file_is_refused_by_name() {
    let text = model_file("bg-nbd");
    let check = |text: String, key: &str| {
        let error = toml::from_str::<ModelFile>(&text).unwrap_err().to_string();
        assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
    };
    check(format!("colour = 1\n{text}"), "colour");
    check(format!("{text}\n[season]\nindex = []\nweeks = [1.0]\n"), "weeks");
    check(text.replace("alpha =", "alfa ="), "alfa");
    check(text.replace("gamma =", "gama ="), "gama");
    check(format!("{text}\nfitted_by = \"hand\"\n"), "fitted_by");
}

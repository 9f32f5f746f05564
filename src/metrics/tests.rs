//! Tests of the text that Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::churn::testing::tiers;
use crate::churn::{Cause, Lifecycle, SignalKind};
use crate::customer::Driver;
use crate::event::{Kind, Reason};
use crate::population::{Census, Effect};

/// A sample of every family, also of those that need a partition or a lane.
fn full() -> (Metrics, PartitionGauges) {
    let metrics = Metrics::new(&tiers());
    let gauges = metrics.own_partition(3);
    gauges.restore_from(0, 10);
    gauges.restored_to(10, 4);
    gauges.run_from(0);
    metrics.input_ends(3, 40, 50);
    metrics.queue_depth(0).set(2);
    (metrics, gauges)
}

fn value(text: &str, series: &str) -> Option<f64> {
    let of_line = |line: &str| line.strip_prefix(series)?.trim().parse().ok();
    text.lines().find_map(of_line)
}

fn samples(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// The labels of a sample line, as pairs.
fn labels(line: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = line.split_once('{') else { return Vec::new() };
    let (inside, _) = rest.rsplit_once('}').unwrap();
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    inside.split(',').map(pair).collect()
}

#[test]
fn every_family_has_a_help_text_and_the_prefix() {
    let (metrics, _gauges) = full();
    let text = metrics.text(true);
    let helped: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        .map(|(name, help)| {
            assert!(help.len() > 10 && help.ends_with('.'), "{name}: {help}");
            name
        })
        .collect();
    let typed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(helped, typed);
    for (name, _, _) in board::GAUGES {
        assert!(helped.contains(name), "{name} has no sample though everything is known");
    }
    for line in samples(&text) {
        assert!(line.starts_with("lifetide_"), "{line}");
    }
}

#[test]
fn counters_end_in_total_and_nothing_else_does() {
    let (metrics, _gauges) = full();
    let text = metrics.text(true);
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
}

#[test]
fn label_values_come_from_closed_sets_or_are_numbers_of_this_process() {
    let (metrics, _gauges) = full();
    let text = metrics.text(true);
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, value) in samples(&text).flat_map(labels) {
        seen.entry(name).or_default().insert(value);
    }
    let numbers = |name: &str, values: &[&str]| {
        assert_eq!(seen[name], values.iter().map(|&v| v.to_owned()).collect(), "{name}");
    };
    numbers("partition", &["3"]);
    numbers("lane", &["0"]);
    numbers("version", &[env!("CARGO_PKG_VERSION")]);
    numbers("state", &["restoring", "running"]);
    numbers("outcome", &["committed", "aborted", "failed"]);
    let results = [
        "published",
        "worse",
        "not_identifiable",
        "no_spend",
        "wildly_different",
        "too_little",
        "failed",
    ];
    numbers("result", &results);
    numbers("direction", &["up", "down"]);
    numbers("lifecycle", &Lifecycle::ALL.map(Lifecycle::as_str));
    numbers("segment", &["bronze", "silver", "gold"]);
    numbers("type", &Kind::ALL.map(Kind::as_str));
    numbers("reason", &Reason::ALL.map(Reason::as_str));
    let known = [
        "cause",
        "direction",
        "driver",
        "from",
        "kind",
        "lane",
        "le",
        "lifecycle",
        "outcome",
        "partition",
        "phase",
        "reason",
        "result",
        "segment",
        "state",
        "to",
        "type",
        "version",
    ];
    assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), known);
}

#[test]
fn every_member_of_a_closed_set_shows_from_the_start_at_zero() {
    let text = Metrics::new(&tiers()).text(false);
    let n_series = |name: &str| {
        let prefix = format!("{name}{{");
        samples(&text).filter(|line| line.starts_with(&prefix) && line.ends_with(" 0")).count()
    };
    assert_eq!(n_series("lifetide_events_total"), Kind::ALL.len());
    assert_eq!(n_series("lifetide_rejections_total"), Reason::ALL.len());
    assert_eq!(n_series("lifetide_scores_total"), 2);
    assert_eq!(n_series("lifetide_signals_total"), SignalKind::ALL.len() * (Driver::ALL.len() + 1));
    let n_lifecycles = Lifecycle::ALL.len();
    assert_eq!(n_series("lifetide_lifecycle_transitions_total"), n_lifecycles * (n_lifecycles - 1));
    let (n_changes, n_segments) = (Effect::ALL.len() * 3 * 2, n_lifecycles * 3);
    assert_eq!(n_series("lifetide_population_clv_change_minor_units_total"), n_changes);
    assert_eq!(n_series("lifetide_population_clv_minor_units"), n_segments);
    assert_eq!(n_series("lifetide_population_customers"), n_segments);
    assert_eq!(n_series("lifetide_transactions_total"), 3);
    assert_eq!(n_series("lifetide_transaction_aborts_total"), AbortCause::ALL.len());
    assert_eq!(n_series("lifetide_transaction_phase_seconds_count"), Phase::ALL.len());
}

#[test]
fn a_committed_transaction_counts_what_was_in_it_under_its_own_labels() {
    let metrics = Metrics::new(&tiers());
    let mut tally = Tally::new();
    tally.event(Kind::OrderRefunded);
    tally.event(Kind::OrderRefunded);
    tally.rejection(Reason::Future);
    tally.dead_letter();
    tally.duplicate();
    tally.erased();
    tally.timer_fired();
    tally.score(Cause::Time);
    tally.signal(SignalKind::Lapse, Some(Driver::Silence));
    tally.signal(SignalKind::HighValueReached, None);
    tally.lifecycle(Lifecycle::Active, Lifecycle::AtRisk);
    tally.lifecycle(Lifecycle::New, Lifecycle::New);
    assert_eq!(tally.n_inputs(), 5);
    metrics.transaction_committed(&tally);
    let text = metrics.text(true);
    let check = |series: &str, expect: f64| {
        assert_eq!(value(&text, &format!("lifetide_{series}")), Some(expect), "{series}");
    };
    check(r#"events_total{type="order.refunded"}"#, 2.0);
    check(r#"events_total{type="order.completed"}"#, 0.0);
    check(r#"rejections_total{reason="future"}"#, 1.0);
    check("dead_letters_total", 1.0);
    check("duplicates_total", 1.0);
    check("erased_events_total", 1.0);
    check("timers_fired_total", 1.0);
    check(r#"scores_total{cause="time"}"#, 1.0);
    check(r#"signals_total{driver="silence",kind="lapse"}"#, 1.0);
    check(r#"signals_total{driver="none",kind="high_value_reached"}"#, 1.0);
    check(r#"lifecycle_transitions_total{from="active",to="at_risk"}"#, 1.0);
    let transitions = "lifetide_lifecycle_transitions_total";
    let moved = samples(&text).filter(|line| line.starts_with(transitions) && line.ends_with(" 1"));
    assert_eq!(moved.count(), 1);
    check(r#"transactions_total{outcome="committed"}"#, 1.0);
    check("transaction_events_sum", 5.0);
}

#[test]
fn an_aborted_transaction_counts_its_cause_and_nothing_of_its_content() {
    let metrics = Metrics::new(&tiers());
    metrics.transaction_aborted(AbortCause::RevokeBudget);
    let text = metrics.text(true);
    assert_eq!(value(&text, r#"lifetide_transactions_total{outcome="aborted"}"#), Some(1.0));
    let cause = r#"lifetide_transaction_aborts_total{cause="revoke_budget"}"#;
    assert_eq!(value(&text, cause), Some(1.0));
    assert_eq!(value(&text, "lifetide_transaction_events_count"), Some(0.0));
}

#[test]
fn the_series_of_a_partition_vanish_with_it() {
    let (metrics, gauges) = full();
    let figures = Figures { n_customers: 4, store_bytes: 800, ..Figures::default() };
    gauges.set_figures(figures, &Census::default());
    let text = metrics.text(true);
    assert_eq!(value(&text, r#"lifetide_customers{partition="3"}"#), Some(4.0));
    assert_eq!(value(&text, "lifetide_bytes_per_customer"), Some(200.0));
    assert_eq!(value(&text, r#"lifetide_input_lag_records{partition="3"}"#), Some(40.0));
    let running = r#"lifetide_partition_state{partition="3",state="running"}"#;
    assert_eq!(value(&text, running), Some(1.0));
    drop(gauges);
    let text = metrics.text(true);
    assert!(!text.contains("partition="), "{text}");
    assert_eq!(value(&text, "lifetide_bytes_per_customer"), Some(0.0));
}

#[test]
fn a_lane_that_lets_go_late_keeps_the_series_of_the_new_owner() {
    let metrics = Metrics::new(&tiers());
    let late = metrics.own_partition(0);
    let _owner = metrics.own_partition(0);
    drop(late);
    assert!(metrics.text(true).contains(r#"lifetide_partition_owned{partition="0"} 1"#));
}

#[test]
fn ends_of_a_partition_that_is_not_owned_are_ignored() {
    let metrics = Metrics::new(&tiers());
    metrics.input_ends(9, 1, 1);
    assert!(!metrics.text(true).contains("partition="));
}

#[test]
fn readiness_is_what_the_scrape_says() {
    let metrics = Metrics::new(&tiers());
    assert_eq!(value(&metrics.text(false), "lifetide_ready"), Some(0.0));
    assert_eq!(value(&metrics.text(true), "lifetide_ready"), Some(1.0));
}

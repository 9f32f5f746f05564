//! The files under `deploy/` speak of metrics, labels and alerts that exist, and leave out none of
//! the metrics. What promtool checks of them (syntax, and that alerts fire) is not repeated here.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use lifetide::churn::{Tier, Tiers};
    use lifetide::metrics::Metrics;
    use serde_json::Value;

    const CLOSED_LABELS: [&str; 13] = [
        "cause",
        "direction",
        "driver",
        "from",
        "kind",
        "lifecycle",
        "outcome",
        "phase",
        "reason",
        "result",
        "state",
        "to",
        "type",
    ];
    const RULES: [&str; 2] = ["prometheus/rules.yml", "prometheus/alerts.yml"];
    const RULE_TESTS: [&str; 3] = [
        "prometheus/rules_test.yml",
        "prometheus/alerts_test.yml",
        "prometheus/alerts_days_test.yml",
    ];

    fn deploy(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Every series there can be: with a partition and a lane.
    fn exposition() -> String {
        let tier = Tier { name: "all".to_owned(), from_minor: 0 };
        let metrics = Metrics::new(&Tiers::new(vec![tier]).unwrap());
        let partition = metrics.own_partition(0);
        partition.restore_from(0, 2);
        partition.restored_to(1, 1);
        metrics.input_ends(0, 5, 9);
        metrics.queue_depth(0).set(1);
        let restoring = metrics.text(false);
        partition.run_from(0);
        let running = metrics.text(true);
        drop(partition);
        restoring + &running
    }

    fn families(exposition: &str) -> BTreeSet<String> {
        let samples = exposition.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| name_at_start(line).to_owned()).collect()
    }

    fn name_at_start(text: &str) -> &str {
        let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | ':');
        text.split_once(|char| !is_name(char)).map_or(text, |(name, _)| name)
    }

    /// The names that begin with `prefix`.
    fn names<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        text.match_indices(prefix).filter_map(|(place, _)| text.get(place..)).map(name_at_start)
    }

    /// The values of `label="a|b"` and `label=~"a|b"` in a query, but for variables.
    fn label_values<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
        let mut values = Vec::new();
        for operator in ["=\"", "=~\"", "!=\"", "!~\""] {
            for before in ["{", ","] {
                let start = format!("{before}{label}{operator}");
                let behind = text.split(start.as_str()).skip(1);
                values.extend(behind.filter_map(|rest| rest.split('"').next()));
            }
        }
        let values = values.into_iter().flat_map(|value| value.split('|'));
        values.filter(|value| !value.starts_with('$')).collect()
    }

    fn dashboards() -> Vec<(PathBuf, Value)> {
        let folder = fs::read_dir(deploy("grafana/dashboards")).unwrap();
        let paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        assert!(!paths.is_empty(), "there is no dashboard");
        let parse = |path: PathBuf| {
            let value = serde_json::from_str(&read(&path))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, value)
        };
        paths.into_iter().map(parse).collect()
    }

    /// Every query and variable of a dashboard, unescaped.
    fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn texts() -> Vec<(PathBuf, String)> {
        let files = RULES.into_iter().chain(RULE_TESTS).chain(["runbook.md"]);
        let mut texts: Vec<(PathBuf, String)> =
            files.map(|name| (deploy(name), read(&deploy(name)))).collect();
        for (path, dashboard) in dashboards() {
            let mut found = Vec::new();
            strings(&dashboard, &mut found);
            texts.push((path, found.join("\n")));
        }
        texts
    }

    #[test]
    fn every_metric_that_the_deploy_files_name_exists() {
        let families = families(&exposition());
        for (path, text) in texts() {
            for name in names(&text, "lifetide_") {
                assert!(families.contains(name), "{}: `{name}`", path.display());
            }
        }
    }

    #[test]
    fn every_metric_has_its_row_in_the_table_and_every_row_its_metric() {
        let exposition = exposition();
        let helps = exposition.lines().filter_map(|line| line.strip_prefix("# HELP "));
        let metrics: BTreeSet<&str> = helps.map(name_at_start).collect();
        let text = read(&deploy("operating.md"));
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows = rows.map(name_at_start).filter(|name| name.starts_with("lifetide_"));
        assert_eq!(rows.collect::<BTreeSet<_>>(), metrics);
    }

    #[test]
    fn every_label_value_that_the_deploy_files_name_exists() {
        let exposition = exposition();
        for (path, text) in texts() {
            for label in CLOSED_LABELS {
                for value in label_values(&text, label) {
                    let exists = exposition.contains(&format!("{label}=\"{value}\""));
                    assert!(exists, "{}: `{label}=\"{value}\"`", path.display());
                }
            }
        }
    }

    #[test]
    fn every_panel_is_explained_has_a_unit_and_asks_the_chosen_source() {
        for (path, dashboard) in dashboards() {
            let path = path.display();
            let panels = dashboard["panels"].as_array().unwrap();
            let mut ids = BTreeSet::new();
            for panel in panels {
                let title = panel["title"].as_str().unwrap();
                assert!(
                    ids.insert(panel["id"].as_u64().unwrap()),
                    "{path}: `{title}` has no own id"
                );
                if panel["type"] == "row" || panel["type"] == "text" {
                    continue;
                }
                let is_explained =
                    panel["description"].as_str().is_some_and(|text| text.len() > 20);
                assert!(is_explained, "{path}: `{title}` is not explained");
                let unit = &panel["fieldConfig"]["defaults"]["unit"];
                assert!(unit.is_string(), "{path}: `{title}` has no unit");
                for target in panel["targets"].as_array().unwrap() {
                    let source = &target["datasource"]["uid"];
                    assert_eq!(source, "${datasource}", "{path}: `{title}`");
                    let is_one = panel["type"] == "stat";
                    assert_eq!(target["legendFormat"] == "", is_one, "{path}: `{title}` legend");
                }
            }
        }
    }

    #[test]
    fn every_series_that_is_asked_for_is_recorded_tested_and_used() {
        let rules = read(&deploy("prometheus/rules.yml"));
        let recorded = values(&rules, "record:");
        assert!(!recorded.is_empty());
        let (mut used, mut tested) = (Vec::new(), BTreeSet::new());
        for (path, text) in texts() {
            for name in names(&text, "lifetide:") {
                assert!(recorded.contains(name), "{}: `{name}`", path.display());
                if path == deploy("prometheus/rules_test.yml") {
                    tested.insert(name.to_owned());
                } else if !path.to_str().unwrap().ends_with("_test.yml") {
                    used.push(name.to_owned());
                }
            }
        }
        for name in recorded {
            assert!(tested.contains(name), "`{name}` has no test");
            let n_uses = used.iter().filter(|used| *used == name).count();
            assert!(n_uses > 1, "`{name}` is recorded and asked for by nobody");
        }
    }

    #[test]
    fn every_query_asks_for_what_is_chosen_above() {
        for (path, dashboard) in dashboards() {
            let path = path.display();
            for panel in dashboard["panels"].as_array().unwrap() {
                for target in panel["targets"].as_array().into_iter().flatten() {
                    let query = target["expr"].as_str().unwrap();
                    // What follows each name are its braces.
                    let asked = query
                        .split("lifetide")
                        .skip(1)
                        .filter(|rest| rest.starts_with('_') || rest.starts_with(':'));
                    for rest in asked {
                        let (name, rest) = rest.split_once('{').expect("braces");
                        let chosen = rest.split_once('}').expect("braces").0;
                        assert_eq!(name, name_at_start(name), "{path}: `{query}` lacks braces");
                        let mut wanted = vec!["job=~\"$job\""];
                        if name.starts_with("_population") {
                            wanted.push("segment=~\"$segment\"");
                        } else if dashboard["uid"] == "lifetide-operations" && name.starts_with('_')
                        {
                            wanted.push("instance=~\"$instance\"");
                        }
                        for wanted in wanted {
                            assert!(chosen.contains(wanted), "{path}: `{query}` lacks {wanted}");
                        }
                    }
                    let n_of = |text: &str| query.matches(text).count();
                    let is_short = n_of("rate(") <= n_of("[$__rate_interval]");
                    assert!(is_short, "{path}: `{query}`: a rate of a fixed time");
                }
            }
        }
    }

    #[test]
    fn dashboards_lead_to_each_other_and_compose_names_what_is_there() {
        for (path, dashboard) in dashboards() {
            for place in [&dashboard["tags"], &dashboard["links"][0]["tags"]] {
                assert_eq!(place, &serde_json::json!(["lifetide"]), "{}", path.display());
            }
        }
        let compose = read(&deploy("compose.yaml"));
        let home = compose.split("HOME_DASHBOARD_PATH: /var/lib/grafana/").nth(1).unwrap();
        let home = home.lines().next().unwrap();
        assert!(deploy("grafana").join(home).exists(), "{home}");
        let config = read(&deploy("prometheus/prometheus.yml"));
        for rules in RULES {
            let (_, file) = rules.split_once('/').unwrap();
            assert!(config.contains(&format!("\n  - {file}\n")), "`{rules}` is not loaded");
            let mount = format!("- ./{rules}:/etc/{rules}:ro\n");
            assert!(compose.contains(&mount), "`{rules}` is not mounted");
        }
    }

    #[test]
    fn panels_do_not_cover_each_other() {
        for (path, dashboard) in dashboards() {
            let mut cells = BTreeSet::new();
            for panel in dashboard["panels"].as_array().unwrap() {
                let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
                for x in side("x")..side("x") + side("w") {
                    assert!(x < 24, "{}: `{}` is too wide", path.display(), panel["title"]);
                    for y in side("y")..side("y") + side("h") {
                        let is_free = cells.insert((x, y));
                        assert!(is_free, "{}: `{}` at {x}, {y}", path.display(), panel["title"]);
                    }
                }
            }
        }
    }

    /// What follows `key` on the lines that begin with it.
    fn values<'a>(text: &'a str, key: &str) -> BTreeSet<&'a str> {
        let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
        lines.filter_map(|line| line.strip_prefix(key).map(str::trim)).collect()
    }

    #[test]
    fn every_alert_is_expected_to_fire_somewhere() {
        let rules = read(&deploy("prometheus/alerts.yml"));
        let tests: String = RULE_TESTS.map(|name| read(&deploy(name))).concat();
        let alerts = values(&rules, "alert:");
        assert!(!alerts.is_empty());
        assert_eq!(alerts, values(&tests, "alertname:"));
        let fires = |case: &str, alert: &str| {
            let mut lines = case.lines().map(str::trim);
            lines.next() == Some(alert) && lines.next() == Some("exp_alerts:")
        };
        for alert in alerts {
            let is_expected = tests.split("alertname:").skip(1).any(|case| fires(case, alert));
            assert!(is_expected, "`{alert}` is never expected to fire");
        }
    }

    #[test]
    fn compose_publishes_no_port_beyond_this_machine() {
        let compose = read(&deploy("compose.yaml"));
        let mut n_ports = 0;
        for line in compose.lines().filter(|line| line.trim().starts_with("ports:")) {
            n_ports += 1;
            assert!(line.contains("[\"127.0.0.1:"), "{line}");
            assert!(!line.contains(", "), "one port a line keeps this test honest: {line}");
        }
        assert_eq!(n_ports, compose.matches("ports:").count());
        assert!(n_ports > 0);
    }
}

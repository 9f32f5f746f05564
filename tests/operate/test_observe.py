"""The dashboards, rules and routes of deploy/ on real servers: Prometheus reads a processor that a
shop keeps busy, and an alert of customers who leave arrives where it is routed.
"""

import json
import re
import subprocess
import time
import tomllib

import observing
import pytest
import shop
from conftest import ROOT, wait_until
from observing import DEPLOY, ask, value, yaml_of

DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
}
TOPICS = tomllib.loads((ROOT / "config/lifetide.toml").read_text())["kafka"]
# Events alone move time: they come by the year here, with pauses in which nobody is to lapse.
BY_EVENTS = {"processing.idle_lag_s": -1}


@pytest.fixture
def stop_later():
    """Takes processes that end with the test."""
    processes = []
    yield lambda started: processes.append(started[0]) or started[1]
    for process in reversed(processes):
        process.stop()


def queries_of(dashboard: dict):
    """Every query: the name of what asks it, and its target."""
    for panel in observing.panels(dashboard):
        for target in panel["targets"]:
            yield f"{dashboard['uid']}: {panel['title']} {target['refId']}", target
    for annotation in dashboard["annotations"]["list"]:
        # As Grafana asks with the shipped times: a start is no faster where scrapes are closer.
        query = annotation["expr"].replace("$__rate_interval", "1m")
        yield f"{dashboard['uid']}: {annotation['name']}", {**annotation, "expr": query}


def rules_of(url: str) -> list[dict]:
    return [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]


@pytest.mark.long
def test_every_panel_variable_and_rule_has_data_while_a_shop_runs(
    processor, broker, scratch, stop_later
):
    one = processor(BY_EVENTS)
    targets = scratch / "shop.json"
    observing.scrape(targets, [one.url])
    began_s = time.time()
    url = stop_later(observing.start_prometheus(scratch, targets))
    count = (
        "sum(lifetide_events_total) + sum(lifetide_rejections_total)"
        " + sum(lifetide_duplicates_total) + sum(lifetide_erased_events_total)"
    )
    wait_until("the first scrape", lambda: value(url, count) == 0)

    records = shop.history(int(began_s * 1000))
    n_chunks = 8
    size = -(-len(records) // n_chunks)
    for i in range(n_chunks):
        shop.send(broker, one.topics["kafka.input_topic"], records[i * size : (i + 1) * size])
        n_sent = min((i + 1) * size, len(records))
        wait_until(f"{n_sent} events", lambda: value(url, count) == n_sent)
        if i == n_chunks // 2:
            # A second process takes partitions over.
            group = {"kafka.group_id": one.settings["kafka.group_id"]}
            other = processor({**BY_EVENTS, **one.topics, **group})
            observing.scrape(targets, [one.url, other.url])
            owned = f'count(lifetide_partition_owned{{instance="{other.url[7:]}"}})'
            wait_until("partitions to move", lambda: value(url, owned))
    wait_until(
        "a model of the stream",
        lambda: value(url, 'sum(lifetide_model_fits_total{result="published"})'),
    )
    wait_until(
        "its values", lambda: (value(url, "min(lifetide:clv_minor_units:sum)") or 0) > 0
    )
    # Its counters begin anew, and so it is done when nothing is counted any more.
    assert other.stop() == 0
    other.start()
    # A rule looks at what the scrape before it has brought.
    wait_until(
        "two more rounds of rules",
        lambda: value(url, "min(count_over_time(lifetide:clv_at_risk:ratio[1m]))") > 2,
    )

    def has_values(target: dict) -> bool:
        """Up to now: what a scrape has missed is there with the next one."""
        end_s = time.time()
        query = observing.substituted(target["expr"], dashboard, int(end_s - began_s))
        return observing.n_values(url, target, query, began_s, end_s) > 0

    for dashboard in DASHBOARDS.values():
        for name, offered in observing.variables(url, dashboard).items():
            assert offered, (dashboard["uid"], name)
        for name, target in queries_of(dashboard):
            wait_until(f"values of {name}", lambda: has_values(target))

    rules = rules_of(url)
    shipped = [
        rule
        for name in ("rules.yml", "alerts.yml")
        for group in yaml_of(f"prometheus/{name}")["groups"]
        for rule in group["rules"]
    ]
    assert len(rules) == len(shipped)
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    for rule in shipped:
        # An alert's own query gives nothing while all is well; what it looks at is there.
        looks_at = re.findall(r"\b(?:lifetide[_:][\w:]+|up)(?:\{[^}]*\})?", rule["expr"])
        for selector in looks_at + [rule[key] for key in rule if key == "record"]:
            wait_until(f"{selector} of {rule}", lambda: value(url, f"count({selector})"))


@pytest.mark.long
def test_customers_who_leave_are_told_to_the_webhook_and_so_is_their_return(
    processor, broker, scratch, stop_later
):
    model = ROOT / "tests/data/models/bg-nbd.toml"
    one = processor({**BY_EVENTS, "model.file": str(model)})
    topic = one.topics["kafka.input_topic"]
    server, posted = observing.webhook_receiver()
    alertmanager = stop_later(
        observing.start_alertmanager(scratch, f"http://127.0.0.1:{server.server_port}")
    )
    targets = scratch / "churn.json"
    observing.scrape(targets, [one.url])
    runbook = "https://wiki.example/lifetide"
    url = stop_later(
        observing.start_prometheus(scratch, targets, alertmanager, {"runbook": runbook})
    )
    wait_until("the first scrape", lambda: value(url, "lifetide:clv_minor_units:sum") == 0)

    now_ms = int(time.time() * 1000)
    customers = [f"c-{i}" for i in range(80)]

    def all_buy(days_ago: int, amount: int) -> list:
        at_ms = now_ms - days_ago * shop.DAY_MS
        orders = [shop.order(customer, at_ms, amount) for customer in customers]
        return [(event["customer_id"], json.dumps(event).encode()) for event in orders]

    for days_ago in range(400, 299, -10):
        shop.send(broker, topic, all_buy(days_ago, 50))
    wait_until(
        "what they are worth",
        lambda: value(url, "sum(lifetide_events_total)") == 11 * len(customers)
        and (value(url, "lifetide:clv_minor_units:sum") or 0) > 0,
    )

    def alert(status: str):
        """The path and the alert of the first message that says so of the lost value."""
        for path, message in list(posted):
            for alert in message["alerts"]:
                is_it = alert["labels"]["alertname"] == "LifetideValueLost"
                if is_it and alert["status"] == status:
                    return path, alert
        return None

    assert alert("firing") is None
    # Time goes on where somebody buys; some of many fall into each partition.
    late = [shop.order(f"new-{i}", now_ms - 2 * shop.DAY_MS, 1) for i in range(40)]
    shop.send(broker, topic, [(e["customer_id"], json.dumps(e).encode()) for e in late])

    path, firing = wait_until("the alert", lambda: alert("firing"))
    assert path == "/crm"
    assert firing["labels"] == {
        "alertname": "LifetideValueLost", "job": "lifetide", "severity": "warning", "team": "crm",
    }
    told = firing["annotations"]
    assert told["runbook_url"] == f"{runbook}#lifetidevaluelost"
    share = float(told["summary"].split("%")[0])
    lost_ratio = value(url, "max_over_time(lifetide:clv_lost:ratio_1h[5m])")
    assert 2 < share <= 100 * lost_ratio + 0.01, (told, lost_ratio)
    assert "churn.signals" in told["description"]
    assert alert("resolved") is None

    # They come less often than before their silence, and so must buy more to make up for it.
    shop.send(broker, topic, all_buy(1, 300))
    path, resolved = wait_until("its end", lambda: alert("resolved"))
    assert path == "/crm" and resolved["labels"] == firing["labels"]
    is_back = "lifetide:clv_lost:ratio_1h <= bool 0.02"
    wait_until("what was lost to be back", lambda: value(url, is_back))
    server.shutdown()


def test_every_alert_is_routed_by_its_team_and_severity():
    file = DEPLOY / "alertmanager/alertmanager.yml"
    amtool = observing.program("amtool")
    checked = subprocess.run([amtool, "check-config", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    groups = yaml_of("prometheus/alerts.yml")["groups"]
    alerts = {rule["alert"]: rule["labels"] for group in groups for rule in group["rules"]}
    receivers = {
        tuple(labels.items()): subprocess.run(
            [amtool, "config", "routes", "test", f"--config.file={file}",
             *[f"{name}={text}" for name, text in labels.items()]],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for labels in alerts.values()
    }
    for alert, labels in alerts.items():
        expected = "page" if labels["severity"] == "critical" else labels["team"]
        assert receivers[tuple(labels.items())] == expected, alert
    # What silences others, and what is silenced, is there.
    named = set(re.findall(r"Lifetide\w+", file.read_text()))
    assert named <= set(alerts), named - set(alerts)


def test_every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert():
    groups = yaml_of("prometheus/alerts.yml")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    text = (DEPLOY / "runbook.md").read_text()
    of_alerts, of_work = text.split("\n# Without an alert\n")
    entries = re.findall(r"^## (.+)$", of_alerts, re.MULTILINE)
    assert entries == [rule["alert"] for rule in rules]
    for rule in rules:
        url = rule["annotations"]["runbook_url"]
        assert url.endswith(f"}}}}#{rule['alert'].lower()}"), url
    # Links within it lead somewhere, and each entry says what a person on call wants to know.
    anchors = {title.lower().replace(" ", "-")
               for title in re.findall(r"^##? (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors
    for entry in re.split(r"^## ", of_alerts, flags=re.MULTILINE)[1:]:
        for word in ("**Means**", "**Impact**", "**Look**", "**Do**"):
            assert word in entry, (entry.splitlines()[0], word)
    for kind in ("input", "scores", "signals", "dlq", "changelog", "models"):
        topic = TOPICS[f"{kind}_topic"]
        assert f"\n| `{topic}` |" in of_work, topic
    shown = DASHBOARDS["lifetide-runbook"]["panels"][0]["options"]["content"]
    assert shown == text, (
        "the runbook in Grafana differs; in deploy/: jq --indent 1 --rawfile text runbook.md"
        " '.panels[0].options.content = $text' grafana/dashboards/lifetide-runbook.json"
    )

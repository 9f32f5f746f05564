"""Real Prometheus and Alertmanager servers with the files of deploy/, and the queries of its
dashboards as Grafana would send them. Used by test_observe.py; judges nothing.
"""

import json
import math
import re
import shutil
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from conftest import ROOT, TARGET, Process, free_port, get, get_json, wait_until

DEPLOY = ROOT / "deploy"
SCRAPE_S = 1
STEP_S = 5


def program(name: str) -> str:
    """Where a program of Debian's lies, installed or unpacked by tests/run."""
    found = shutil.which(name) or shutil.which(name, path=TARGET / "debian/usr/bin")
    assert found, f"{name} is missing: tests/run unpacks it from its Debian package"
    return found


def yaml_of(path: str):
    return yaml.safe_load((DEPLOY / path).read_text())


def scrape(targets: Path, processors: list[str]):
    """Says which processors Prometheus is to read; it watches the file."""
    addresses = [url.removeprefix("http://") for url in processors]
    targets.write_text(json.dumps([{"targets": addresses}]))


def start_prometheus(directory: Path, targets: Path, alertmanager: str | None = None,
                     external_labels: dict | None = None) -> tuple[Process, str]:
    """Prometheus with the shipped rules, and the shipped configuration in all but addresses and
    times; with its address."""
    config = yaml_of("prometheus/prometheus.yml")
    config["global"] = {
        "scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": "1s",
        "external_labels": external_labels or {},
    }
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    del job["static_configs"]
    job["file_sd_configs"] = [{"files": [str(targets)], "refresh_interval": "1s"}]
    if alertmanager:
        config["alerting"] = {
            "alertmanagers": [
                {"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}
            ],
            "alert_relabel_configs": [{"action": "labeldrop", "regex": "runbook"}],
        }
    own = directory / f"prometheus-{free_port()}"
    own.mkdir()
    file = own / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    arguments = [
        program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={own / 'data'}",
        f"--web.listen-address={address}",
    ]
    return started(Process(arguments, own / "log"), f"http://{address}")


def start_alertmanager(directory: Path, webhook: str) -> tuple[Process, str]:
    """Alertmanager with the shipped routes; every receiver is `webhook`, by the receiver's name,
    and it waits for seconds where the shipped one waits for minutes."""
    config = yaml_of("alertmanager/alertmanager.yml")
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        (hook,) = receiver["webhook_configs"]
        hook["url"] = f"{webhook}/{receiver['name']}"
    own = directory / f"alertmanager-{free_port()}"
    own.mkdir()
    file = own / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    arguments = [
        program("prometheus-alertmanager"), f"--config.file={file}",
        f"--storage.path={own / 'data'}", f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    return started(Process(arguments, own / "log"), f"http://{address}")


def started(process: Process, url: str) -> tuple[Process, str]:
    def is_ready():
        process.assert_runs()
        return get(f"{url}/-/ready")[0] == 200

    wait_until(f"{process.log} to be ready", is_ready)
    return process, url


def webhook_receiver() -> tuple[ThreadingHTTPServer, list]:
    """A server on loopback, and the growing list of what was posted to it: path, document."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            posted.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, posted


def ask(url: str, path: str, **parameters):
    """The `data` of an answer of Prometheus'; an error in it is one here."""
    answer = get_json(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}")
    assert answer["status"] == "success" and not answer.get("warnings"), (path, answer)
    return answer["data"]


def value(url: str, query: str) -> float | None:
    """The single value of a query now, if there is one."""
    result = ask(url, "query", query=query)["result"]
    assert len(result) < 2, (query, result)
    return float(result[0]["value"][1]) if result else None


def panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if "targets" in panel]


def variables(url: str, dashboard: dict) -> dict[str, list[str]]:
    """What each variable of a dashboard offers, as its own query answers."""
    offered = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = substituted(variable["query"]["query"], dashboard, 60)
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
            found = ask(url, f"label/{label}/values", **{"match[]": selector})
            offered[variable["name"]] = found
        elif variable["type"] == "custom":
            offered[variable["name"]] = variable["query"].split(",")
    return offered


def substituted(query: str, dashboard: dict, range_s: int) -> str:
    """A query as Grafana sends it: "All" of the variables that have it, else the preset value."""
    interval_s = max(STEP_S + SCRAPE_S, 4 * SCRAPE_S)
    query = query.replace("$__rate_interval", f"{interval_s}s").replace("$__range", f"{range_s}s")
    for variable in dashboard["templating"]["list"]:
        chosen = variable.get("allValue") or variable["current"].get("value", "")
        query = query.replace(f"${variable['name']}", chosen)
    assert "$" not in query, query
    return query


def n_values(url: str, target: dict, query: str, start_s: float, end_s: float) -> int:
    """How many finite values a panel's query gives: at the end of the range, or over it, in steps
    that meet the end."""
    if target.get("instant"):
        result = ask(url, "query", query=query, time=end_s)["result"]
        samples = [series["value"] for series in result]
    else:
        first_s = end_s - (end_s - start_s) // STEP_S * STEP_S
        result = ask(url, "query_range", query=query, start=first_s, end=end_s, step=STEP_S)
        samples = [sample for series in result["result"] for sample in series["values"]]
    return sum(math.isfinite(float(number)) for _, number in samples)

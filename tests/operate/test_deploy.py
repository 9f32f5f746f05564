"""The files under deploy/ as those who take them read them: Helm, Kubernetes' schemas, the
Prometheus operator's types, Compose's own loader, hadolint, systemd, and Lifetide itself. And the
links of what people read."""

import configparser
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from conftest import ROOT, TARGET

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "lifetide"
TOOLS = TARGET / "tools"
# The oldest version that the chart takes, and the newest whose schemas are at hand.
KUBERNETES = ("1.27", "1.37")
# What systemd counts of the unit, from 0 (sealed off) to 10.
EXPOSURE_MAX = 1.5

VARIANTS = {
    "default": {},
    "everything": {
        "createTopics": True,
        "secrets": {"sasl": "kafka-user", "ca": "kafka-ca"},
        "autoscaling": {"enabled": True},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"enabled": True},
        "imagePullSecrets": [{"name": "registry"}],
        "podAnnotations": {"owner": "shop"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "kafka", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
    },
    "sasl": {
        "secrets": {"sasl": "kafka-user"},
        "leaveOnStop": True,
        "config": '[kafka.client]\n"security.protocol" = "SASL_SSL"\n'
        '"sasl.mechanism" = "SCRAM-SHA-512"\n"sasl.username" = "lifetide"\n',
    },
}
CUSTOM = ("PrometheusRule", "ServiceMonitor")


def tool(*command, stdin: str | None = None) -> subprocess.CompletedProcess:
    """Runs a tool to its end, good or bad."""
    places = f"{TOOLS}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    program = shutil.which(command[0], path=places)
    assert program, f"`{command[0]}` is missing: tests/run fetches it"
    return subprocess.run(
        [program, *map(str, command[1:])], input=stdin, capture_output=True, text=True, timeout=120,
        cwd=DEPLOY,
    )


def helm(tmp_path, command: str, values: dict, *arguments) -> subprocess.CompletedProcess:
    """`helm template` or `helm lint --strict` of the chart with these values."""
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({"brokers": "kafka-1:9092,kafka-2:9092"} | values))
    name = ["shop"] if command == "template" else []
    return tool("helm", command, *name, CHART, "-f", file, *arguments)


def render(tmp_path, values: dict) -> list[dict]:
    """The objects of the chart with these values."""
    done = helm(tmp_path, "template", values, "--kube-version", f"{KUBERNETES[0]}.0")
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def fault(thing: dict) -> str | None:
    """What is wrong with a Kubernetes object by the schema or the types of its kind."""
    if thing["kind"] in CUSTOM:
        done = tool("tools", thing["kind"], stdin=json.dumps(thing))
        return done.stderr if done.returncode else None
    try:
        for version in KUBERNETES:
            kubernetes_validate.validate(thing, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return None


def one(things: list[dict], kind: str) -> dict:
    (found,) = [thing for thing in things if thing["kind"] == kind]
    return found


def pod(things: list[dict]) -> dict:
    return one(things, "StatefulSet")["spec"]["template"]["spec"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_kubernetes_takes_every_object_of_the_chart(variant, tmp_path):
    things = render(tmp_path, VARIANTS[variant])
    faults = {thing["kind"]: why for thing in things if (why := fault(thing))}
    assert not faults
    kinds = {thing["kind"] for thing in things}
    assert ({"HorizontalPodAutoscaler", "NetworkPolicy", *CUSTOM} <= kinds) == (
        variant == "everything"
    )
    lint = helm(tmp_path, "lint", VARIANTS[variant], "--strict", "--kube-version", "1.27.0")
    assert lint.returncode == 0, lint.stdout


@pytest.mark.parametrize(
    "kind, place, value",
    [
        ("StatefulSet", ("spec", "podManagmentPolicy"), "Parallel"),
        ("StatefulSet", ("spec", "template", "spec", "terminationGracePeriodSeconds"), "35 s"),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), "six"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "intervall"), "15s"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "expression"), "up"),
    ],
)
def test_a_field_that_is_wrong_is_found(kind, place, value, tmp_path):
    thing = copy.deepcopy(one(render(tmp_path, VARIANTS["everything"]), kind))
    assert fault(thing) is None
    *path, last = place
    inner = thing
    for step in path:
        inner = inner[step]
    inner[last] = value
    assert fault(thing), (kind, place)


@pytest.mark.parametrize(
    "values, says",
    [
        ({"brokers": ""}, "brokers"),
        ({"brokers": "kafka"}, "brokers"),
        ({"replica": 3}, "replica"),
        ({"secrets": {"token": ""}}, "token"),
        ({"replicas": 13}, "13 pods for 12 partitions"),
        ({"partitions": 4, "autoscaling": {"enabled": True}}, "6 pods for 4 partitions"),
    ],
)
def test_the_chart_refuses_values_that_cannot_work(values, says, tmp_path):
    done = helm(tmp_path, "template", values, "--kube-version", "1.27.0")
    assert done.returncode != 0 and says in done.stderr, done.stderr


def test_the_example_of_the_values_is_taken_whole(lifetide, tmp_path):
    head, _ = (CHART / "values.yaml").read_text().split("\n\n", 1)
    example = tmp_path / "my-values.yaml"
    example.write_text("\n".join(re.findall(r"^#   (.+)$", head, re.MULTILINE)))
    given = yaml.safe_load(example.read_text())
    template = ["helm", "template", "shop", CHART, "--kube-version", f"{KUBERNETES[0]}.0"]
    done = tool(*template, "-f", example)
    assert done.returncode == 0, done.stderr
    things = list(yaml.safe_load_all(done.stdout))
    env = {each["name"]: each.get("value") for each in pod(things)["containers"][0]["env"]}
    assert "," in given["brokers"] and env["LIFETIDE__KAFKA__BROKERS"] == given["brokers"]
    assert pod(things)["containers"][0]["image"].startswith(given["image"]["repository"] + ":")
    config = tmp_path / "lifetide.toml"
    config.write_text(one(things, "ConfigMap")["data"]["lifetide.toml"])
    subprocess.run([lifetide, "config", "--config", config], check=True, capture_output=True)
    # Why it is a file.
    done = tool(*template, "--set", f"brokers={given['brokers']}")
    assert done.returncode != 0 and "has no value" in done.stderr, done.stderr


def test_the_notes_name_what_is_there(lifetide, tmp_path):
    """They are no part of what `helm template` prints: here they are made one."""
    chart = tmp_path / "lifetide"
    shutil.copytree(CHART, chart)
    notes = (chart / "templates/NOTES.txt").read_text()
    lines = "".join(f"  {line}\n" for line in notes.splitlines())
    (chart / "templates/notes.yaml").write_text(f"kind: Notes\nnotes: |\n{lines}")
    done = tool("helm", "template", "shop", chart, "--namespace", "crm",
                "--set", "brokers=kafka:9092", "--kube-version", f"{KUBERNETES[0]}.0")
    assert done.returncode == 0, done.stderr
    things = [found for found in yaml.safe_load_all(done.stdout) if found]
    commands = re.findall(r"^  (\S.+)$", one(things, "Notes")["notes"], re.MULTILINE)
    in_cluster = [command for command in commands if not command.startswith("curl ")]
    assert all(" -n crm " in command for command in in_cluster), commands
    name = one(things, "StatefulSet")["metadata"]["name"]
    assert f"kubectl -n crm rollout status statefulset/{name}" in commands
    (check,) = [command for command in commands if " exec " in command]
    kubectl, words = check.split(" -- lifetide ")
    assert kubectl.endswith(f" {name}-0")
    assert words.split()[1] == "--config"
    assert f"--config={words.split()[2]}" in pod(things)["containers"][0]["args"]
    subprocess.run([lifetide, *words.split(), "--help"], check=True, capture_output=True)
    assert f"kubectl -n crm port-forward {name}-0 9464" in commands
    (ask,) = set(commands) - set(in_cluster)
    served = json.loads((ROOT / "src/http/openapi.json").read_text())["paths"]
    assert ask.removeprefix("curl http://127.0.0.1:9464") in served
    # Each pod says there where it answers itself.
    env = [each["name"] for each in pod(things)["containers"][0]["env"]]
    assert env.index("POD_NAME") < env.index("LIFETIDE__HTTP__ADVERTISE")
    (upgrade,) = [command for command in commands if command.startswith("helm ")]
    assert " upgrade shop " in upgrade and (ROOT / upgrade.split()[5]).samefile(CHART)


def test_the_operator_gets_the_rules_that_promtool_has_tested(tmp_path):
    rules = one(render(tmp_path, VARIANTS["everything"]), "PrometheusRule")["spec"]["groups"]
    files = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["rule_files"]
    documents = [yaml.safe_load((DEPLOY / "prometheus" / file).read_text()) for file in files]
    assert rules == sum((document["groups"] for document in documents), [])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pod_is_contained_and_has_time_to_commit(variant, tmp_path):
    things = render(tmp_path, VARIANTS[variant])
    spec = pod(things)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["terminationGracePeriodSeconds"] == 35
    for container in spec["containers"] + spec.get("initContainers", []):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    mounts = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["volumes"]}
    selector = one(things, "StatefulSet")["spec"]["selector"]["matchLabels"].items()
    labels = one(things, "StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    assert selector <= labels and one(things, "Service")["spec"]["selector"].items() <= labels
    leaves = "lifecycle" in spec["containers"][0]
    assert leaves == (variant != "default")


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_lifetide_takes_the_configuration_of_the_chart(variant, lifetide, tmp_path):
    """A broker that is not there is all that `check` may find, after 10 s: code 1, not 64."""
    things = render(tmp_path, VARIANTS[variant])
    container = pod(things)["containers"][0]
    (config,) = [word for word in container["args"] if word.startswith("--config=")]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert config == f"--config={mounted['config']}/lifetide.toml"
    file, token = tmp_path / "lifetide.toml", tmp_path / "token"
    file.write_text(one(things, "ConfigMap")["data"]["lifetide.toml"])
    token.write_text("0123456789abcdef0123456789abcdef")
    env = {each["name"]: each.get("value", "secret") for each in container["env"]}
    # As the kubelet does.
    env = {name: value.replace("$(POD_NAME)", "lifetide-0") for name, value in env.items()}
    assert env["LIFETIDE__HTTP__TOKEN_FILE"] == f"{mounted['token']}/token"
    env |= {"LIFETIDE__HTTP__TOKEN_FILE": str(token), "LIFETIDE__KAFKA__BROKERS": "127.0.0.1:1"}

    def check(env):
        return subprocess.run(
            [lifetide, "check", "--config", file], env=env, capture_output=True, text=True,
            timeout=120,
        )

    done = check(env)
    assert done.returncode == 1 and "127.0.0.1:1" in done.stdout + done.stderr, done
    # Without a token that address is refused, so that the code 1 above tells something.
    assert check({**env, "LIFETIDE__HTTP__TOKEN_FILE": ""}).returncode == 64


def compose() -> dict:
    """compose.yaml as Compose's own loader understands it."""
    done = tool("cmd", "-format", "json", DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compose_loads_and_mounts_what_exists_on_loopback_alone():
    services = compose()["services"]
    assert set(services) >= {"kafka", "setup", "lifetide", "load", "prometheus", "grafana"}
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert os.path.exists(volume["source"]) and volume["read_only"], (name, volume)
        image = service["image"]
        assert re.fullmatch(r"lifetide:local|[a-z/]+:v?\d+\.\d+\.\d+", image), (name, image)
        has_probe = "healthcheck" in service or name == "lifetide"  # which has its image's
        assert has_probe, name
        if image.startswith("lifetide"):
            assert service["read_only"] and service["cap_drop"] == ["ALL"], name
    rules = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["rule_files"]
    mounted = {volume["target"] for volume in services["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{file}" for file in rules} <= mounted


@pytest.mark.parametrize("service", ["setup", "lifetide", "load"])
def test_lifetide_takes_the_commands_of_compose(service, lifetide):
    """With `--help` behind them, for that is answered after the words before it are understood."""
    words = compose()["services"][service].get("command") or ["run"]
    if service == "setup":
        (line,) = [line for line in words[0].splitlines() if "exec lifetide" in line]
        words = line.split()[2:]
    done = subprocess.run([lifetide, *words, "--help"], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_compose_says_what_it_does_not_know(tmp_path):
    text = (DEPLOY / "compose.yaml").read_text().replace("read_only: true", "readonly: true")
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    done = tool("cmd", file)
    assert done.returncode != 0 and "readonly" in done.stderr, done.stderr


def test_hadolint_finds_no_fault_in_the_dockerfile():
    done = tool("hadolint", DEPLOY / "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_systemd_takes_the_unit_and_finds_it_contained(lifetide, tmp_path):
    text = (DEPLOY / "lifetide.service").read_text()
    unit = tmp_path / "lifetide.service"

    def verify(text):
        unit.write_text(text.replace("/usr/local/bin/lifetide", str(lifetide)))
        # Other units of this machine may have faults of their own.
        return [line for line in tool("systemd-analyze", "verify", unit).stderr.splitlines()
                if "lifetide" in line]

    assert verify(text.replace("TimeoutStopSec=35s", "TimeoutStopSecs=35s"))
    assert verify(text) == []
    done = tool("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    (exposure,) = re.findall(r"Overall exposure level for lifetide.service: ([\d.]+)", done.stdout)
    assert float(exposure) <= EXPOSURE_MAX, done.stdout


def headings(text):
    """What a link can name in a Markdown file, as those make anchors who show it."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_link_of_the_texts_leads_somewhere():
    files = [ROOT / "README.md", *DEPLOY.glob("**/*.md")]
    links = [(file, *link.partition("#")[::2]) for file in files
             for link in re.findall(r"\]\(([^)\s]+)\)", file.read_text()) if ":" not in link]
    assert len(links) > 100
    for file, path, anchor in links:
        target = file.parent / path if path else file
        assert target.exists(), (file.name, path)
        assert not anchor or anchor in headings(target.read_text()), (file.name, path, anchor)


def test_systemd_starts_it_again_however_long_the_brokers_are_away(lifetide):
    text = (DEPLOY / "lifetide.service").read_text()
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(text)
    assert unit["Unit"]["StartLimitIntervalSec"] == "0" and "StartLimitBurst" not in text
    service = unit["Service"]
    assert service["Restart"] == "on-failure" and service["RestartPreventExitStatus"] == "64"
    # Within the session its partitions wait for it.
    wait_ms = 1000 * int(service["RestartSec"].removesuffix("s"))
    defaults = tomllib.loads((ROOT / "config/lifetide.toml").read_text())
    assert 0 < wait_ms < defaults["kafka"]["session_timeout_ms"] / 2
    # The commands of its head, with `--help` behind them, as those of Compose.
    commands = re.findall(r"^#   lifetide (.+)$", text, re.MULTILINE)
    commands.append(service["ExecStart"].split(maxsplit=1)[1])
    assert [words.split()[0] for words in commands] == ["check", "run"]
    for words in commands:
        assert words.endswith("--config /etc/lifetide/lifetide.toml")
        done = subprocess.run([lifetide, *words.split(), "--help"], capture_output=True)
        assert done.returncode == 0, done.stderr

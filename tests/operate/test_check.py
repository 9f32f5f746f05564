"""`lifetide check` on a real broker: each bad setting of a topic is found, in words and in JSON."""

import json
import subprocess
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, ResourceType,
)

from conftest import DEADLINE_S, Processor, wait_until


@pytest.fixture
def shop(lifetide, broker, scratch):
    """Topics as `check --create-topics` makes them, of a processor that does not run."""
    one = Processor(lifetide, broker, scratch)
    one.create_topics(3)
    return one


def check(one: Processor, *arguments, env: dict | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    done = subprocess.run(
        [one.lifetide, "check", "--config", one.config, *map(str, arguments)],
        capture_output=True, text=True, timeout=DEADLINE_S, env=env or {},
    )
    return done.returncode, done.stdout, done.stderr


def document(one: Processor, *arguments) -> tuple[int, dict]:
    code, out, _ = check(one, "--format", "json", *arguments)
    found = json.loads(out)
    assert set(found) == {"schema", "ok", "faults", "warnings", "findings"}
    assert found["schema"] == "lifetide.check/1" and found["ok"] == (found["faults"] == 0)
    for finding in found["findings"]:
        assert set(finding) == {"level", "subject", "what", "remedy"}
    for level in ("fault", "warning"):
        count = sum(finding["level"] == level for finding in found["findings"])
        assert found[f"{level}s"] == count
    return code, found


def configure(one: Processor, kind: str, settings: dict):
    """Sets settings of a topic, and waits until the broker tells them; `None` takes one away."""
    topic = one.topics[f"kafka.{kind}_topic"]
    entries = [
        ConfigEntry(
            name, value or "",
            incremental_operation=(
                AlterConfigOpType.SET if value is not None else AlterConfigOpType.DELETE
            ),
        )
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": one.settings["kafka.brokers"]})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(timeout=60)
    asked = ConfigResource(ResourceType.TOPIC, topic)

    def is_told():
        told = admin.describe_configs([asked])[asked].result(timeout=60)
        own = {name: entry.value for name, entry in told.items()
               if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value}
        return all(own.get(name) == value for name, value in settings.items())

    wait_until(f"{topic} to have {settings}", is_told)


BAD = [
    ("input", {"cleanup.policy": "compact"}, "fault", "all but a customer's last event"),
    ("input", {"retention.ms": "3600000"}, "warning", "for 1 h"),
    ("input", {"retention.bytes": "1000000"}, "warning", "pushes events out"),
    ("input", {"min.insync.replicas": "2"}, "fault", "nothing can be written"),
    ("input", {"message.timestamp.after.max.ms": "9223372036854775807"}, "warning", "`future`"),
    ("input", {"unclean.leader.election.enable": "true"}, "warning", "a broker that lags"),
    ("changelog", {"cleanup.policy": "delete"}, "fault", "state is lost with age"),
    ("changelog", {"delete.retention.ms": "60000"}, "warning", "brings erased customers back"),
    ("changelog", {"max.message.bytes": "100000"}, "fault", "may not fit"),
    ("dlq", {"max.message.bytes": "100000"}, "fault", "may not fit"),
    ("dlq", {"retention.ms": "3600000"}, "warning", "cannot be sent again"),
    ("signals", {"retention.ms": "1000"}, "warning", "for 1 s"),
    ("scores", {"cleanup.policy": "delete"}, "warning", "quiet customers"),
]


@pytest.mark.long
def test_each_bad_setting_of_a_topic_is_found_alone_and_mended(shop):
    assert document(shop)[1]["warnings"] == 0
    for kind, settings, level, words in BAD:
        configure(shop, kind, settings)
        code, found = document(shop)
        bad = [finding for finding in found["findings"] if finding["level"] != "ok"]
        topic = f"`{shop.topics[f'kafka.{kind}_topic']}`"
        about = [it for it in bad if topic in it["what"] and words in it["what"]]
        assert len(about) == 1 and about[0]["level"] == level, (settings, bad)
        # The same setting may also keep the broker from taking a record; nothing else is said.
        assert all(topic in it["what"] for it in bad), (settings, bad)
        assert about[0]["remedy"] and code == (1 if level == "fault" else 0), (settings, found)
        configure(shop, kind, dict.fromkeys(settings))
        if kind in ("changelog", "scores"):
            configure(shop, kind, {"cleanup.policy": "compact"})
    code, found = document(shop)
    assert (code, found["faults"], found["warnings"]) == (0, 0, 0), found


def test_rights_on_topics_that_are_not_there_are_not_told_to_be_there(lifetide, broker, scratch):
    code, found = document(Processor(lifetide, broker, scratch))
    [rights] = [it for it in found["findings"] if it["subject"] == "permission"]
    assert code == 1 and rights["level"] == "warning", found
    assert "were not tried: there is no topic" in rights["what"]


def test_the_table_and_the_document_say_the_same(shop, scratch):
    configure(shop, "input", {"retention.ms": "3600000"})
    code, table, _ = check(shop)
    assert code == 0 and "\x1b" not in table, "no colours in a pipe"
    found = document(shop)[1]
    assert table.endswith("0 faults, 1 warning\n")
    rows = [line for line in table.splitlines()[:-1] if not line.startswith(" ")]
    assert len(rows) == len(found["findings"])
    for row, finding in zip(rows, found["findings"]):
        assert row == f"{finding['level']:<8} {finding['subject']:<12} {finding['what']}"
        if finding["remedy"]:
            assert f"{'':<22}-> {finding['remedy']}\n" in table


def test_a_bad_configuration_is_64_in_both_forms_with_the_models_faults(shop, scratch):
    model = scratch / "bad-model.toml"
    model.write_text('schema = "lifetide.model/1"\nname = "bg-nbd"\nunit = "day"\nverson = "1"\n')
    sets = ["--set", f"model.file={model}", "--set", "processing.emit=comit"]
    code, out, err = check(shop, *sets)
    assert code == 64 and out == ""
    for words in (
        "did you mean `commit`?", "`unit` is `day`", "did you mean `version`?",
        "`parameters` is missing",
    ):
        assert words in err, (words, err)
    code, found = document(shop, *sets)
    assert code == 64 and not found["ok"]
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        f"error: {finding['what']}: {finding['remedy']}" for finding in found["findings"]
    ]
    # Alone, a bad model is a finding, each fault of it one.
    code, found = document(shop, "--set", f"model.file={model}")
    faults = [it for it in found["findings"] if it["subject"] == "model"]
    assert code == 1 and len(faults) >= 4 and len(faults) == found["faults"], faults


def test_a_record_of_a_time_to_come_shows_that_clocks_differ(shop):
    topic = shop.topics["kafka.input_topic"]
    producer = Producer({"bootstrap.servers": shop.settings["kafka.brokers"]})
    ahead_ms = int(time.time() * 1000) + 20 * 60_000
    producer.produce(topic, b"{}", b"c-1", partition=1, timestamp=ahead_ms)
    assert producer.flush(60) == 0
    code, found = document(shop)
    [clock] = [it for it in found["findings"] if it["subject"] == "clock"]
    assert code == 0 and clock["level"] == "warning"
    assert "partition 1 that are stamped over 600 s after" in clock["what"]


def test_a_secret_for_everybody_is_a_warning_and_no_fault(shop, scratch):
    token = scratch / "token"
    token.write_text("0123456789abcdef0123\n")
    password = scratch / "password"
    password.write_text("hunter2\n")
    sets = ["--set", f"http.token_file={token}",
            "--set", f"kafka.client.ssl.key.password.file={password}"]
    token.chmod(0o600)
    password.chmod(0o644)
    code, out, err = check(shop, *sets)
    assert code == 0 and "hunter2" not in out + err
    assert out.count("every user of this machine") == 1 and f"`chmod o-r {password}`" in out
    password.chmod(0o400)
    assert check(shop, *sets)[1].endswith("0 faults, 0 warnings\n")
    password.write_text("")
    code, _, err = check(shop, *sets)
    assert code == 64 and f"`{password}`" in err and "is empty" in err

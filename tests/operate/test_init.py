"""`lifetide init` and `lifetide config`: files that load, and what is never written into one."""

import json
import os
import socket
import subprocess
import tomllib
import uuid

from confluent_kafka.admin import AdminClient, NewTopic

from conftest import DEADLINE_S, free_port


def run(lifetide, *arguments, env: dict | None = None, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [lifetide, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE_S,
        env={"TZ": "Europe/Berlin"} | (env or {}), cwd=cwd,
    )


def test_the_written_file_passes_check_and_is_never_written_over(lifetide, broker, tmp_path):
    name = f"shop-{uuid.uuid4().hex[:8]}-orders"
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(timeout=60)
    file = tmp_path / "my.toml"
    done = run(lifetide, "init", "--brokers", broker, "--output", file)
    assert done.returncode == 0 and done.stdout == "", done
    assert f"lifetide check --config {file} --create-topics" in done.stderr
    assert "warning" not in done.stderr, done.stderr
    written = tomllib.loads(file.read_text())
    assert written["kafka"]["brokers"] == broker
    assert written["processing"]["time_zone"] == "Europe/Berlin"
    assert written["processing"]["workers"] >= 1
    # Other tests make topics too; whichever is proposed exists.
    proposed = written["kafka"]["input_topic"]
    topics = admin.list_topics(timeout=60).topics
    assert "order" in proposed or "checkout" in proposed, proposed
    assert written["processing"]["workers"] <= len(topics[proposed].partitions)

    own = [
        f"kafka.{kind}_topic={kind}-{uuid.uuid4().hex[:8]}"
        for kind in ("scores", "signals", "dlq", "changelog", "models")
    ]
    sets = [part for one in own for part in ("--set", one)]
    done = run(lifetide, "check", "--config", file, "--create-topics",
               "--set", f"http.listen=127.0.0.1:{free_port()}", *sets)
    assert done.returncode == 0 and done.stdout.endswith("0 faults, 0 warnings\n"), done

    text = file.read_text()
    done = run(lifetide, "init", "--brokers", broker, "--output", file)
    assert done.returncode == 64 and "exists and is left alone" in done.stderr
    assert file.read_text() == text


def test_without_brokers_the_defaults_are_written_with_a_warning(lifetide, tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        password = {"LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD": "hunter2"}
        done = run(lifetide, "init", "--brokers", address, env=password, cwd=tmp_path)
    assert done.returncode == 0 and "warning: no broker of" in done.stderr, done
    text = (tmp_path / "lifetide.toml").read_text()
    assert tomllib.loads(text)["kafka"]["input_topic"] == "checkout.events"
    assert "hunter2" not in text + done.stderr
    done = run(lifetide, "init", "--brokers", "kafka-1", "--output", tmp_path / "other.toml")
    assert done.returncode == 64 and "did you mean `kafka-1:9092`?" in done.stderr
    assert not (tmp_path / "other.toml").exists()


def test_the_effective_configuration_loads_again_and_shows_no_secret(lifetide, tmp_path):
    first, again = tmp_path / "first.toml", tmp_path / "again.toml"
    first.write_text('[kafka]\nbrokers = "a:1"\n[segments.tiers]\nall = 0\n')
    env = {
        "LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD": "hunter2",
        "LIFETIDE__PROCESSING__RATES__EUR": "1.08",
    }
    sets = ["--set", "processing.workers=5"]
    done = run(lifetide, "config", "--config", first, *sets, env=env)
    assert done.returncode == 0 and "hunter2" not in done.stdout + done.stderr, done
    assert '# "sasl.password" = "***"' in done.stdout
    assert "workers = 5  # --set\n" in done.stdout
    assert 'EUR = "1.08"  # environment LIFETIDE__PROCESSING__RATES__EUR\n' in done.stdout
    again.write_text(done.stdout)

    def values(*arguments, env=None) -> dict:
        done = run(lifetide, "config", "--format", "json", *arguments, env=env)
        assert done.returncode == 0, done
        rows = json.loads(done.stdout)
        assert all(set(row) == {"key", "value", "origin"} for row in rows)
        return {row["key"]: row["value"] for row in rows}

    whole = values("--config", first, *sets, env=env)
    assert whole.pop("kafka.client.sasl.password") == "***"
    assert values("--config", again) == whole
    assert values()["processing.workers"] == 2, "no file is needed"


def test_a_password_comes_out_of_a_mounted_file(lifetide, tmp_path):
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    name = "LIFETIDE__KAFKA__CLIENT__SASL_PASSWORD_FILE"
    done = run(lifetide, "config", env={name: str(password)})
    assert done.returncode == 0 and "hunter2" not in done.stdout
    assert f'"sasl.password.file" = "{password}"  # environment {name}\n' in done.stdout
    os.remove(password)
    done = run(lifetide, "config", env={name: str(password)})
    assert done.returncode == 64 and str(password) in done.stderr, done

"""What the tests of operation share: the program, a demo, a Kafka broker and a processor on it.

Every process is started here, is bound to loopback, and ends with its fixture.
"""

import json
import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()

# Far more than anything here takes on a busy machine.
DEADLINE_S = 180


# Below those that the system hands to outgoing connections, in an order of this run's own:
# Hypothesis gives the common generator the same seed each time.
PORTS = random.SystemRandom().sample(range(20_000, 32_000), 12_000)


def free_port() -> int:
    """A port of loopback on which nobody listens, and that is still free when a process that was
    stopped wants it back. Nobody gets it twice."""
    while PORTS:
        port = PORTS.pop()
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port from 20000 to 31999 is free")


def wait_until(what: str, probe, deadline_s: float = DEADLINE_S):
    """Asks until `probe` gives something true, and returns that."""
    until = time.monotonic() + deadline_s
    seen = None
    while time.monotonic() < until:
        try:
            if seen := probe():
                return seen
        except (OSError, urllib.error.URLError) as error:
            seen = error
        time.sleep(0.1)
    raise AssertionError(f"waited {deadline_s} s for {what}; last seen: {seen!r}")


def get(url: str, headers: dict | None = None) -> tuple[int, bytes]:
    """Status and body of an answer, whatever its status."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def get_json(url: str, headers: dict | None = None):
    """The document at `url`, which must answer 200."""
    status, body = get(url, headers)
    assert status == 200, (url, status, body)
    return json.loads(body)


class Process:
    """A process with its output in a file."""

    def __init__(
        self, arguments: list, log: Path, env: dict | None = None, cwd: Path | None = None
    ):
        self.log = log
        # Without the caller's LIFETIDE__ variables and the like; the path finds java and browsers.
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with log.open("wb") as out:
            self.child = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=clean | (env or {}), cwd=cwd,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def assert_runs(self):
        code = self.child.poll()
        assert code is None, f"ended with {code}:\n{self.text()[-4000:]}"

    def stop(self, deadline_s: float = 60) -> int:
        """Asks it to end, and makes it end if it does not."""
        if self.child.poll() is None:
            self.child.terminate()
        try:
            return self.child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


@pytest.fixture(scope="session")
def lifetide() -> Path:
    """The program under test: `LIFETIDE_BIN`, or what `cargo test --profile tests` has built."""
    program = Path(os.environ.get("LIFETIDE_BIN", TARGET / "tests" / "lifetide"))
    assert program.exists(), f"{program} is missing: cargo build --profile tests"
    return program


@pytest.fixture(scope="session")
def scratch(tmp_path_factory) -> Path:
    """A directory for logs and data of this run."""
    return tmp_path_factory.mktemp("operate")


@pytest.fixture(scope="session")
def demo(lifetide, scratch):
    """The address of a demo that plays its story for two minutes and then stays."""
    address = f"127.0.0.1:{free_port()}"
    process = Process([lifetide, "demo", "--listen", address], scratch / "demo.log")

    def is_ready():
        process.assert_runs()
        return get(f"http://{address}/ready")[0] == 200

    wait_until("the demo", is_ready)
    yield f"http://{address}"
    process.stop()


@pytest.fixture(scope="session")
def broker(scratch):
    """`bootstrap.servers` of a real Kafka broker of this run alone."""
    jars = subprocess.run(
        [ROOT / "tests/kafka/broker/jars", TARGET], check=True, capture_output=True, text=True
    ).stdout.strip()
    port = free_port()
    settings = (ROOT / "tests/kafka/broker/server.properties").read_text()
    for name, value in {"dir": scratch, "port": port, "controller": free_port()}.items():
        settings = settings.replace(f"{{{name}}}", str(value))
    file = scratch / "server.properties"
    file.write_text(settings)
    java = ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk",
         "-c", file, "--standalone"],
        check=True, capture_output=True,
    )
    process = Process([*java, "kafka.Kafka", file], scratch / "kafka.log")

    def has_started():
        process.assert_runs()
        return "Kafka Server started" in process.text()

    wait_until("the broker", has_started)
    yield f"127.0.0.1:{port}"
    process.stop()


class Processor:
    """`lifetide run` on a broker, with topics and a group of its own."""

    def __init__(self, lifetide: Path, broker: str, directory: Path, settings: dict | None = None):
        own = uuid.uuid4().hex[:8]
        self.lifetide, self.directory = lifetide, directory
        self.url = f"http://127.0.0.1:{free_port()}"
        self.topics = {
            f"kafka.{kind}_topic": f"{kind}-{own}"
            for kind in ("input", "scores", "signals", "dlq", "changelog", "models")
        }
        self.settings = {
            "kafka.brokers": broker,
            "kafka.group_id": f"group-{own}",
            "http.listen": self.url.removeprefix("http://"),
            **self.topics,
            **(settings or {}),
        }
        self.config = directory / f"lifetide-{own}.toml"
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()]
        self.config.write_text("".join(lines))
        self.process = None

    def create_topics(self, partitions: int = 4):
        self.command("check", "--create-topics", "--partitions", partitions)

    def command(self, name: str, *arguments, expect: int = 0) -> subprocess.CompletedProcess:
        """Runs a subcommand to its end, with this exit code."""
        done = subprocess.run(
            [self.lifetide, name, "--config", self.config, *map(str, arguments)],
            capture_output=True, text=True, timeout=DEADLINE_S,
        )
        assert done.returncode == expect, (name, arguments, done.stdout, done.stderr)
        return done

    def start(self):
        """Starts it and waits until it is ready."""
        log = self.directory / f"run-{uuid.uuid4().hex[:8]}.log"
        self.process = Process([self.lifetide, "run", "--config", self.config], log)

        def is_ready():
            self.process.assert_runs()
            return get(f"{self.url}/ready")[0] == 200

        wait_until("the processor", is_ready)
        return self

    def stop(self) -> int:
        return self.process.stop()


@pytest.fixture
def processor(lifetide, broker, scratch):
    """Makes processors with `processor(settings, partitions)`; all end with the test."""
    made = []

    def make(settings: dict | None = None, partitions: int = 4) -> Processor:
        one = Processor(lifetide, broker, scratch, settings)
        one.create_topics(partitions)
        made.append(one)
        return one.start()

    yield make
    for one in made:
        one.stop()


def pytest_terminal_summary(terminalreporter):
    """A closing line in the form that `tests/run` counts."""
    count = {name: len(found) for name, found in terminalreporter.stats.items()}
    passed, failed = count.get("passed", 0), count.get("failed", 0) + count.get("error", 0)
    word = "FAILED" if failed else "ok"
    terminalreporter.write_line(f"test result: {word}. {passed} passed; {failed} failed")

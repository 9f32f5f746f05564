"""One JSON object a line unless on a terminal, short lines there, and no customer anywhere."""

import json
import os
import pty
import re
import signal
import subprocess
import time
import urllib.parse

import pytest
from confluent_kafka import Producer

from conftest import DEADLINE_S, Process, free_port, get, wait_until

# What no line may show. Beside the plain ones: ids that quoting and escaping change.
CUSTOMERS = [
    "zx-plain-quince", 'zx-"quoted"', "zx-\\back", "zx-new\nline", "zx-{braces}",
    "zx-\u00fcml\u00e4ut", "zx-%41", "zx-" + "l" * 125, "zx-erased-1",
]
MARK = "zx-"
# More than a process tells lines of itself, also where it has a bad day with its broker.
MANY = [f"zx-many-{number}" for number in range(200)]
AMOUNT = "61.83"
# Fields whose digits are drawn, and so may be those of an amount or an id.
DRAWN = ("timestamp", "address", "group", "input")
SECRET = "token-0123456789abcdef"
DAY_MINUTES = 24 * 60


def produce(broker: str, topic: str, records: list[tuple[bytes | None, bytes]]):
    """Sends records and waits until all have arrived."""
    producer = Producer({"bootstrap.servers": broker})
    for key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(DEADLINE_S) == 0


def event(customer: str, kind: str = "order.completed", at: str = "2024-01-01", **more) -> tuple:
    """An event with its key."""
    document = {"type": kind, "customer_id": customer, "occurred_at": f"{at}T12:00:00Z", **more}
    return customer.encode(), json.dumps(document).encode()


def refused(customer: str) -> list[tuple]:
    """What is refused, for each kind of reason that can quote what it met."""
    key, whole = event(customer, amount="4.00")
    return [
        (key, whole[:-20]),
        (key, customer.encode()),
        (b"zx-other", whole),
        event(customer, kind=customer),
        event(customer, amount=customer),
        event(customer, amount="4.00", currency=customer[:3]),
        event(customer, amount="4.00", order_id=customer * 40),
        event(customer, amount="4.00", at="2124-01-01"),
        event(customer + "x" * 200, amount="4.00"),
        (key, whole.replace(b"2024-01-01", customer.encode().replace(b'"', b"'"))),
    ]


def metric(url: str, name: str) -> float:
    """The sum of a family's series."""
    text = get(f"{url}/metrics")[1].decode()
    values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M)
    return sum(map(float, values))


def documents(text: str) -> list[dict]:
    """Every line of a log as the object that it must be."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines and all(isinstance(line, dict) for line in lines)
    return lines


@pytest.mark.long
def test_each_line_is_an_object_and_names_no_customer(processor, broker, scratch):
    token = scratch / "token"
    token.write_text(SECRET)
    one = processor({"http.token_file": str(token), "processing.idle_lag_s": 5}, partitions=2)
    topic = one.topics["kafka.input_topic"]
    records = [event(customer, amount=AMOUNT) for customer in [*CUSTOMERS, *MANY]]
    bad = [record for customer in [*CUSTOMERS, *MANY[:20]] for record in refused(customer)]
    records += [*bad, (None, b"zx-no-key"), event("zx-erased-1", "customer.erased", "2024-02-01")]
    produce(broker, topic, records)
    # Time goes on by the wall clock, and whoever bought once in 2024 has lapsed by now.
    n_lapsed = len(CUSTOMERS) + len(MANY) - 1
    for name in ("signals", "timers_fired"):
        wait_until(name, lambda: metric(one.url, f"lifetide_{name}_total") >= n_lapsed)
    assert metric(one.url, "lifetide_dead_letters_total") >= 0.9 * len(bad)

    seen = []
    for customer in [*CUSTOMERS, *MANY[:40], "zx-nobody", "zx-\u0000", "zx-" + "y" * 400]:
        for path in (urllib.parse.quote(customer, safe=""), "%ff" + MARK, customer.encode().hex()):
            for secret in (SECRET, "wrong-" + SECRET):
                answer = get(f"{one.url}/customers/{path}", {"Authorization": f"Bearer {secret}"})
                seen.append(answer[0])
    assert {200, 400, 401, 404} <= set(seen)
    refusals = "events were refused; `lifetide redrive` shows which and why"
    wait_until("word of what was refused", lambda: refusals in one.process.text())

    one.config.write_text(one.config.read_text() + 'kafka.client."sasl.password" = "hunter2"\n'
                          + 'churn.cooldown_days = 31\n')
    one.process.child.send_signal(signal.SIGHUP)
    wait_until("a reload", lambda: "wait for a restart" in one.process.text())
    token.write_text("zx")
    one.process.child.send_signal(signal.SIGHUP)
    wait_until("a refused reload", lambda: "failed to reload" in one.process.text())
    assert one.stop() == 0

    text = one.process.text()
    lines = documents(text)
    for line in lines:
        assert {"timestamp", "level", "message"} <= line.keys() and "fields" not in line, line
        assert line["level"] in ("INFO", "WARN", "ERROR") and "target" not in line, line
    bare = [{name: told for name, told in line.items() if name not in DRAWN} for line in lines]
    for hidden in (MARK, MARK.encode().hex(), "quince", SECRET, "hunter2", AMOUNT):
        assert hidden not in str(bare), [line for line in bare if hidden in str(line)]
    said = [line["message"] for line in lines]
    for state in ("started", "partitions assigned", "restored partition", "ready", "reloaded",
                  "shutting down", "partitions revoked", "stopped"):
        assert state in said, (state, said)
    assert said.count("started") == said.count("stopped") == 1
    # One line a change of state: nothing of what came in or went out has one of its own. What
    # a broker's pause brings about is told as often as it happens.
    assert len(lines) < min(n_lapsed, len(bad), len(seen)), text
    calm = [line for line in bare if line["level"] == "INFO"]
    assert all(one != other for one, other in zip(calm, calm[1:])), text


def test_what_ends_a_run_is_a_line_as_well(lifetide, scratch):
    config = scratch / "wrong.toml"
    config.write_text('[kafka]\nbrokers = "a:1"\n[processing]\nworkers = 0\nworker = 1\n')
    process = Process([lifetide, "run", "--config", config], scratch / "wrong.log")
    assert process.child.wait(DEADLINE_S) == 64
    said = [(line["level"], line["message"]) for line in documents(process.text())]
    assert [level for level, _ in said] == ["ERROR", "ERROR"], said
    assert "`processing.workers` is `0`" in said[0][1] and "`processing.worker`" in said[1][1]


def minute_in_kolkata() -> int:
    """Of the day there, which is five and a half hours ahead all year."""
    return int(time.time() // 60 + 5.5 * 60) % DAY_MINUTES


def on_terminal(arguments: list) -> tuple[subprocess.Popen, int]:
    """A process whose terminal is ours to read and to close."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        env={"PATH": os.environ["PATH"], "TZ": "Asia/Kolkata"},
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    return child, ours


def read(terminal: int, text: list) -> str:
    """All that has been shown so far."""
    try:
        while more := os.read(terminal, 65536):
            text.append(more.decode(errors="replace"))
    except (BlockingIOError, OSError):
        pass
    return "".join(text)


def test_on_a_terminal_lines_are_short_and_local(processor):
    one = processor()
    assert one.stop() == 0
    began_minute = minute_in_kolkata()
    child, terminal = on_terminal([one.lifetide, "run", "--config", one.config])
    shown = []
    try:
        wait_until("the line", lambda: " ready" in read(terminal, shown))
        child.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: "reloaded" in read(terminal, shown))
        ended_minute = minute_in_kolkata()
        child.terminate()
        assert child.wait(DEADLINE_S) == 0
        lines = re.sub(r"\x1b\[[0-9;]*m", "", read(terminal, shown)).splitlines()
    finally:
        child.kill()
        os.close(terminal)
    for line in lines:
        assert re.match(r"\d\d:\d\d:\d\d\.\d{3} +(INFO|WARN|ERROR) [^:{]", line), line
        assert "lifetide::" not in line, line
    # Also where a midnight is between them.
    since_began = [(minute - began_minute) % DAY_MINUTES
                   for minute in (int(lines[0][:2]) * 60 + int(lines[0][3:5]), ended_minute)]
    assert since_began == sorted(since_began), (lines[0], began_minute, ended_minute)
    assert any("started version=" in line for line in lines), lines


def test_a_hangup_ends_a_demo_only_when_its_terminal_is_gone(lifetide):
    address = f"127.0.0.1:{free_port()}"
    child, terminal = on_terminal([lifetide, "demo", "--listen", address])
    shown = []
    try:
        wait_until("the demo", lambda: get(f"http://{address}/ready")[0] == 200)
        child.send_signal(signal.SIGHUP)
        wait_until("the answer", lambda: "no configuration to reload" in read(terminal, shown))
        assert get(f"http://{address}/ready")[0] == 200
    finally:
        os.close(terminal)
        try:
            code = child.wait(DEADLINE_S)
        finally:
            child.kill()
    assert code is not None

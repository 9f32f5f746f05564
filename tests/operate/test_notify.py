"""The example that turns signals into e-mail and chat messages, against a real broker, a real mail
server and a webhook.
"""

import html
import importlib.util
import json
import os
import re
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import odd_events
from conftest import DEADLINE_S, ROOT, Process, wait_until
from contracts import schema
from receivers import Chat, Mailbox
from test_consumers import abort
from test_contracts import processed, read, send

SCRIPT = ROOT / "deploy/examples/notify.py"
DAY_MS = 86_400_000


@pytest.fixture
def mailbox(tmp_path):
    box = Mailbox(tmp_path)
    box.server.start()
    yield box
    box.server.stop()


@pytest.fixture
def chat():
    server = Chat()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def notifier(directory: Path, broker: str, topic: str, mailbox, chat=None, **settings):
    """Starts `notify.py` with files and settings as its header says; (its group, a starter)."""
    group = f"notify-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    texts = {
        "kafka.properties": f"bootstrap.servers={broker}\ngroup.id={group}\n"
                            "session.timeout.ms=6000\n",
        "password": "open sesame\n",
        "webhook": f"http://127.0.0.1:{chat.server_port}/secret\n" if chat else "",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    env = {
        "SIGNALS_TOPIC": topic, "MAIL_TO": "crm@shop.example", "SMTP_HOST": "localhost",
        "SMTP_PORT": str(mailbox.server.port), "SMTP_USER": "crm",
        "SMTP_PASSWORD_FILE": "password", "SSL_CERT_FILE": str(mailbox.certificate),
        **({"CHAT_WEBHOOK_FILE": "webhook"} if chat else {}), **settings,
    }

    def start(*arguments) -> Process:
        log = directory / f"{uuid.uuid4().hex[:8]}.log"
        return Process([sys.executable, SCRIPT, *arguments], log, env, cwd=directory)

    return group, start


def ended(process: Process) -> int:
    """The exit code of a process that ends by itself."""
    wait_until("notify.py to end", lambda: process.child.poll() is not None)
    return process.child.returncode


def is_read_to_its_end(broker: str, group: str, topic: str) -> bool:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": group})
    place = TopicPartition(topic, 0)
    _, end = consumer.get_watermark_offsets(place, timeout=60)
    [committed] = consumer.committed([place], timeout=60)
    consumer.close()
    return committed.offset == end


def odd_signals(broker: str, topic: str, known: dict):
    """What a reader may meet beside the signals: one that was aborted, one again, a kind of a later
    version, an old one; at the end, so that who has read them has read all."""
    abort(broker, topic, known | {"signal_id": "2" * 32})
    later = known | {"signal_id": "0" * 32, "kind": "wallet_share", "more": {"a": [1]}}
    old = known | {"signal_id": "1" * 32}
    producer = Producer({"bootstrap.servers": broker})
    now_ms = int(time.time() * 1000)
    month_ago_ms = now_ms - 30 * DAY_MS
    for told, at_ms in ((known, now_ms), (later, now_ms), (old, month_ago_ms)):
        producer.produce(topic, json.dumps(told), told["customer_id"], 0, timestamp=at_ms)
    assert producer.flush(60) == 0


@pytest.mark.long
def test_each_signal_becomes_one_mail_and_one_chat_message(
    processor, broker, mailbox, chat, tmp_path
):
    """Also where a server refuses, the script is killed, and is stopped, in the middle."""
    one = processor({"processing.idle_lag_s": -1}, partitions=1)
    topic = one.settings["kafka.signals_topic"]
    odd = {"type": "order.completed", "customer_id": "<a>\r\nBcc: all@shop.example",
           "occurred_at": "2023-12-01T00:00:00Z", "amount": "700"}
    processed(one, broker, [odd_events.record(odd), *odd_events.lives()])
    told = [json.loads(record.value()) for record in read(broker, topic)]
    assert len(told) >= 9 and told[0]["customer_id"] == odd["customer_id"]
    odd_signals(broker, topic, told[0])
    group, start = notifier(
        tmp_path / "all", broker, topic, mailbox, chat, SEVERITY_MIN="low"
    )

    # The third mail is refused: it says so, and begins with that one when it is started again.
    mailbox.limit = 2
    refused = start()
    assert ended(refused) == 1 and "451" in refused.text()
    assert (len(mailbox.mails), len(chat.texts)) == (2, 2)
    # Killed while the fourth chat message is under way, which is sent again.
    mailbox.limit = None
    chat.hold(4)
    killed = start()
    assert chat.reached.wait(DEADLINE_S), killed.text()
    killed.child.kill()
    killed.child.wait(60)
    chat.release.set()
    # Asked to end while another one is: it notes that this was sent.
    chat.hold(7)
    stopped = start()
    assert chat.reached.wait(DEADLINE_S), stopped.text()
    stopped.child.terminate()
    chat.release.set()
    assert ended(stopped) == 0, stopped.text()
    assert (len(mailbox.mails), len(chat.texts)) == (6, 7)
    last = start()
    wait_until("all signals", lambda: is_read_to_its_end(broker, group, topic))
    assert last.stop() == 0, last.text()

    assert mailbox.ids() == [signal["signal_id"] for signal in told]
    twice = told[:4] + told[3:]
    assert len(chat.texts) == len(twice)
    for text, signal in zip(chat.texts, twice):
        assert html.escape(signal["evidence"]["sentence"], quote=False) in text
        assert text.startswith(f"[{signal['severity']}] ")
    assert "<" not in "".join(chat.texts)
    for mail, signal in zip(mailbox.mails, told):
        assert mail["To"] == "crm@shop.example" and mail["Bcc"] is None
        assert mail["Subject"].startswith(f"[{signal['severity']}] ")
        assert signal["evidence"]["sentence"] in mail.get_content().replace("=\n", "")
        assert "At risk" not in mail.get_content() or signal["value_at_risk"] >= 0


@pytest.mark.long
def test_only_signals_of_the_severity_asked_for_become_mails(
    processor, broker, mailbox, tmp_path
):
    one = processor({"processing.idle_lag_s": -1}, partitions=1)
    topic = one.settings["kafka.signals_topic"]
    processed(one, broker, odd_events.lives())
    told = [json.loads(record.value()) for record in read(broker, topic)]
    odd_signals(broker, topic, told[0])
    group, start = notifier(tmp_path / "high", broker, topic, mailbox, SEVERITY_MIN="high")
    process = start()
    wait_until("all signals", lambda: is_read_to_its_end(broker, group, topic))
    assert process.stop() == 0, process.text()
    high = [signal["signal_id"] for signal in told if signal["severity"] == "high"]
    assert mailbox.ids() == high and 0 < len(high) < len(told)


@pytest.mark.long
def test_what_cannot_be_sent_ends_it_with_the_reason_and_is_sent_later(
    broker, mailbox, chat, tmp_path
):
    """No mail to a server whose certificate nobody vouches for, and what a webhook refuses is not
    taken for sent. Where no severity is asked for it is medium, and comments are no settings."""
    topic = f"signals-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)
    known = schema("signal")["examples"][0]
    signals = [known | {"signal_id": str(number) * 32, "severity": severity}
               for number, severity in enumerate(("medium", "low", "high"))]
    send(broker, topic, [(b"01705", json.dumps(signal).encode()) for signal in signals])
    directory = tmp_path / "faults"
    group, start = notifier(directory, broker, topic, mailbox, chat, MAIL_FROM="shop@shop.example")
    with (directory / "kafka.properties").open("a") as file:
        file.write("\n# sasl.password=none\n")

    _, start_unsure = notifier(
        tmp_path / "unsure", broker, topic, mailbox, SSL_CERT_FILE=os.devnull
    )
    unsure = start_unsure()
    assert ended(unsure) == 1 and "certificate verify failed" in unsure.text()
    assert mailbox.mails == []

    webhook = (directory / "webhook").read_text()
    (directory / "webhook").write_text(webhook.replace("/secret", "/other"))
    refused = start()
    assert ended(refused) == 1 and "404" in refused.text()
    (directory / "webhook").write_text(webhook)
    process = start()
    wait_until("all signals", lambda: is_read_to_its_end(broker, group, topic))
    assert process.stop() == 0, process.text()
    told = [signals[0], signals[2]]
    assert mailbox.ids() == [signal["signal_id"] for signal in told]
    # The first one twice: the chat's server had it and said no.
    assert len(chat.texts) == 3
    at_risk = " At risk: 50.66 USD."
    assert all(text.endswith(at_risk) for text in chat.texts), chat.texts
    for mail in mailbox.mails:
        assert at_risk in mail.get_content().replace("=\n", "")
        assert mail["From"] == "shop@shop.example"


@pytest.mark.long
def test_each_of_several_gets_each_mail_once_though_one_is_refused_at_first(
    broker, mailbox, signals, tmp_path
):
    topic, ids = signals([0, 0])
    group, start = notifier(
        tmp_path / "several", broker, topic, mailbox, MAIL_TO="a@shop.example, b@shop.example"
    )
    mailbox.refused = {"b@shop.example"}
    refused = start()
    assert ended(refused) == 1 and "451" in refused.text()
    mailbox.refused = set()
    process = start()
    wait_until("all signals", lambda: is_read_to_its_end(broker, group, topic))
    assert process.stop() == 0, process.text()
    got = [(mail["To"], signal_id) for mail, signal_id in zip(mailbox.mails, mailbox.ids())]
    assert got == [(f"{who}@shop.example", one) for one in ids for who in "ab"]


def test_without_anywhere_to_send_to_it_says_what_to_set(broker, mailbox, tmp_path):
    _, start = notifier(tmp_path / "nowhere", broker, "none", mailbox, MAIL_TO="")
    process = start()
    assert ended(process) == 1
    assert "set MAIL_TO, CHAT_WEBHOOK_FILE, or both" in process.text()


@pytest.fixture
def signals(broker):
    """A topic of its own with signals as old as asked for, one a time, in days; and their ids."""
    admin = AdminClient({"bootstrap.servers": broker})

    def fill(ages_days: list[float]) -> tuple[str, list[str]]:
        topic = f"signals-{uuid.uuid4().hex[:8]}"
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)
        example = schema("signal")["examples"][0]
        producer = Producer({"bootstrap.servers": broker})
        told = [example | {"signal_id": f"{i:032x}", "customer_id": f"c-{i}"}
                for i in range(len(ages_days))]
        for one, age_days in zip(told, ages_days):
            at_ms = int(time.time() * 1000 - age_days * DAY_MS)
            producer.produce(topic, json.dumps(one), one["customer_id"], 0, timestamp=at_ms)
        assert producer.flush(60) == 0
        return topic, [one["signal_id"] for one in told]

    return fill


def committed(broker: str, group: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": group})
    [place] = consumer.committed([TopicPartition(topic, 0)], timeout=60)
    consumer.close()
    return place.offset


@pytest.mark.long
def test_the_first_start_sends_no_mail_of_old_signals_and_counts_them(
    broker, mailbox, signals, tmp_path
):
    topic, ids = signals([9, 3, 3, 1.1, 0.9, 0])
    group, start = notifier(tmp_path / "first", broker, topic, mailbox, SEVERITY_MIN="low")
    process = start()
    wait_until("all signals", lambda: is_read_to_its_end(broker, group, topic))
    assert process.stop() == 0, process.text()
    assert mailbox.ids() == ids[4:]
    # A slow broker may make librdkafka say something too.
    assert re.findall("^left out.*", process.text(), re.MULTILINE) == [
        "left out 4 signals older than NEWS_DAYS (1)"
    ]
    # Another group begins as one that was set back: what was left out comes, and nothing twice.
    group, start = notifier(
        tmp_path / "more", broker, topic, mailbox, SEVERITY_MIN="low", NEWS_DAYS="4",
        SEEN=str(tmp_path / "first/notify.sqlite"),
    )
    process = start()
    wait_until("all signals", lambda: is_read_to_its_end(broker, group, topic))
    assert process.stop() == 0, process.text()
    assert mailbox.ids() == ids[4:] + ids[1:4]
    assert "left out 1 signals" in process.text()


@pytest.mark.long
def test_print_shows_what_would_be_sent_and_moves_and_sends_nothing(
    broker, mailbox, signals, tmp_path
):
    topic, ids = signals([2, 0.5, 0])
    group, start = notifier(tmp_path / "dry", broker, topic, mailbox, SEVERITY_MIN="low")
    for _ in range(2):
        dry = start("--print")
        wait_until("both", lambda: "c-2 spends less:" in dry.text())
        wait_until("the count", lambda: "left out 1 signals" in dry.text())
        assert dry.stop() == 0, dry.text()
        assert re.findall(r"^\[(\w+)\] (c-\d) ", dry.text(), re.MULTILINE) == [
            ("medium", "c-1"), ("medium", "c-2"),
        ]
    assert mailbox.mails == [] and not (tmp_path / "dry/notify.sqlite").exists()
    assert committed(broker, group, topic) < 0
    process = start()
    wait_until("all signals", lambda: is_read_to_its_end(broker, group, topic))
    assert process.stop() == 0, process.text()
    assert mailbox.ids() == ids[1:]
    wrong = start("--pritn")
    assert ended(wrong) == 1 and "usage: " in wrong.text()


def test_the_header_installs_what_was_tried_and_its_example_is_read(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("notify", SCRIPT)
    notify = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(notify)
    [pin] = re.findall(r"pip install (\S+)", notify.__doc__)
    assert pin in (ROOT / "tests/operate/requirements.txt").read_text().splitlines()
    example = notify.__doc__.split("kafka.properties, of this user alone:\n\n")[1].split("\n\n")[0]
    file = tmp_path / "kafka.properties"
    file.write_text("# who\n\n" + "".join(f"{line.strip()}\n" for line in example.splitlines()))
    monkeypatch.setenv("KAFKA_PROPERTIES", str(file))
    given = notify.settings()
    assert given["bootstrap.servers"] == "kafka-1:9092,kafka-2:9092" and len(given) == 5
    # librdkafka knows them all.
    Consumer({"group.id": "any", **given}).close()

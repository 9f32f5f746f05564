#!/usr/bin/env python3
"""Turns Lifetide's signals into e-mail, chat messages, or both.

    python3 -m venv venv && venv/bin/pip install confluent-kafka==2.16.1
    export KAFKA_PROPERTIES=kafka.properties MAIL_TO=crm@shop.example SMTP_HOST=smtp.shop.example
    venv/bin/python notify.py --print     # shows what it would send of the topic, and sends nothing
    venv/bin/python notify.py

kafka.properties, of this user alone:

    bootstrap.servers=kafka-1:9092,kafka-2:9092
    security.protocol=SASL_SSL
    sasl.mechanism=SCRAM-SHA-512
    sasl.username=crm
    sasl.password=…

These are librdkafka's settings, a `name=value` a line. The user may read the topic and use the
group `lifetide-notify` (or `group.id`), which `--print` leaves as it is. Mail goes by STARTTLS and,
with SMTP_USER, a login; the webhook takes `{"text": …}` (Slack, Mattermost, Google Chat). Secrets
are in files, of this user alone: SMTP_PASSWORD_FILE, CHAT_WEBHOOK_FILE. MAIL_TO may name several,
separated by commas. SIGNALS_TOPIC, MAIL_FROM and SMTP_PORT (587) have defaults.

Left out are signals below SEVERITY_MIN (medium), and those written more than NEWS_DAYS (1) ago: the
first start meets all that the topic has, and thousands of mails are no news. How many they were is
said. After it has stood still for days: NEWS_DAYS=4.

At least once: what was sent is noted in SEEN by `signal_id` and the offset committed after that, so
that a crash can only double the one message that was under way; mail then has the same Message-ID.
What cannot be sent ends it with an error; started again, it goes on with the same signal. Where
that was later than NEWS_DAYS, set the group's offsets back: what was sent is not sent again.
"""

import html
import json
import os
import signal
import smtplib
import sqlite3
import ssl
import sys
import time
import urllib.request
from email.message import EmailMessage
from functools import partial
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

# Kinds that are not here are skipped, as those of later versions.
KINDS = {
    "spend_decline": "spends less",
    "lapse": "has probably left",
    "usage_decline": "uses less",
    "recovered": "is back",
    "high_value_reached": "is now of the most valuable",
}
SEVERITIES = ("low", "medium", "high")
SEND_TIMEOUT_S = 30
# How long what was sent is remembered.
SEEN_DAYS = 400

setting = os.environ.get


def secret(name: str) -> str:
    return Path(os.environ[name]).read_text().strip()


def words(told: dict) -> tuple[str, str]:
    """A subject and a text. Ids come from outside: nothing in them may end a line."""
    customer = "".join(c if c.isprintable() else " " for c in told["customer_id"])
    subject = f"{customer} {KINDS[told['kind']]}"
    text = f"{subject}: {told['evidence']['sentence']}."
    if "value_at_risk" in told:
        text += f" At risk: {told['value_at_risk']:.2f} {told['currency']}."
    return subject, text


def mail(to: str, told: dict):
    message = EmailMessage()
    subject, text = words(told)
    message["Subject"] = f"[{told['severity']}] {subject}"
    message["From"] = setting("MAIL_FROM", to)
    message["To"] = to
    message["Message-ID"] = f"<{told['signal_id']}@lifetide>"
    message.set_content(text)
    port = int(setting("SMTP_PORT", "587"))
    with smtplib.SMTP(setting("SMTP_HOST", "localhost"), port, timeout=SEND_TIMEOUT_S) as server:
        server.starttls(context=ssl.create_default_context())
        if user := setting("SMTP_USER"):
            server.login(user, secret("SMTP_PASSWORD_FILE"))
        server.send_message(message)


def chat(told: dict):
    text = html.escape(f"[{told['severity']}] {words(told)[1]}", quote=False)
    request = urllib.request.Request(
        secret("CHAT_WEBHOOK_FILE"), json.dumps({"text": text}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=SEND_TIMEOUT_S).close()


def show(told: dict):
    subject, text = words(told)
    print(f"[{told['severity']}] {subject}\n{text}\n", flush=True)


def is_old(record) -> bool:
    _, written_ms = record.timestamp()
    return written_ms < (time.time() - float(setting("NEWS_DAYS", "1")) * 86_400) * 1000


def say(n_old: int) -> int:
    """Tells of the old signals since the last time; how many are left to tell of: none."""
    if n_old:
        text = f"left out {n_old} signals older than NEWS_DAYS ({setting('NEWS_DAYS', '1')})"
        print(text, file=sys.stderr, flush=True)
    return 0


def handle(record, seen: sqlite3.Connection, routes: dict):
    told = json.loads(record.value())
    least = SEVERITIES.index(setting("SEVERITY_MIN", "medium"))
    if told["kind"] not in KINDS or SEVERITIES.index(told["severity"]) < least:
        return
    for name, route in routes.items():
        sent = (told["signal_id"], name)
        if not seen.execute("SELECT 1 FROM sent WHERE signal = ? AND route = ?", sent).fetchone():
            route(told)
            with seen:
                seen.execute("INSERT INTO sent VALUES (?, ?, ?)", (*sent, time.time()))


def settings() -> dict[str, str]:
    lines = Path(setting("KAFKA_PROPERTIES", "kafka.properties")).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and line[0] != "#")


def remembered(file: str) -> sqlite3.Connection:
    seen = sqlite3.connect(file)
    with seen:
        seen.execute("CREATE TABLE IF NOT EXISTS sent (signal, route, at,"
                     " PRIMARY KEY (signal, route))")
        seen.execute("DELETE FROM sent WHERE at < ?", (time.time() - SEEN_DAYS * 86_400,))
    return seen


def begin(consumer: Consumer, topic: str, is_dry: bool):
    """From where the group stands, or without it from the oldest records."""
    if not is_dry:
        consumer.subscribe([topic])
        return
    found = consumer.list_topics(topic, SEND_TIMEOUT_S).topics[topic]
    if found.error:
        raise KafkaException(found.error)
    parts = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions]
    consumer.assign(parts)


def main():
    is_dry = sys.argv[1:] == ["--print"]
    if sys.argv[1:] and not is_dry:
        raise SystemExit(f"usage: {sys.argv[0]} [--print]")
    # To each by itself: a server may take a message for one of them and refuse it for another.
    mailed = [to.strip() for to in setting("MAIL_TO", "").split(",") if to.strip()]
    routes = {f"mail {to}": partial(mail, to) for to in mailed}
    if setting("CHAT_WEBHOOK_FILE"):
        routes["chat"] = chat
    if is_dry:
        routes = {"show": show}
    if not routes:
        raise SystemExit("nowhere to send to: set MAIL_TO, CHAT_WEBHOOK_FILE, or both")
    seen = remembered(":memory:" if is_dry else setting("SEEN", "notify.sqlite"))
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    consumer = Consumer({
        "group.id": "lifetide-notify", **settings(), "isolation.level": "read_committed",
        "auto.offset.reset": "earliest", "enable.auto.commit": False,
    })
    begin(consumer, setting("SIGNALS_TOPIC", "churn.signals"), is_dry)
    n_old = 0
    try:
        while not stopping:
            record = consumer.poll(1)
            if record is None:
                n_old = say(n_old)
                continue
            if record.error():
                raise KafkaException(record.error())
            if is_old(record):
                n_old += 1
            else:
                handle(record, seen, routes)
            if not is_dry:
                consumer.commit(record, asynchronous=False)
    finally:
        say(n_old)
        consumer.close()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Turns Lifetide's signals into e-mail, chat messages, or both.

    pip install confluent-kafka
    KAFKA_PROPERTIES=kafka.properties MAIL_TO=crm@shop.example SMTP_HOST=smtp.shop.example \\
        CHAT_WEBHOOK_FILE=webhook python3 notify.py

Kafka's settings are librdkafka's, a `name=value` a line. Mail goes by STARTTLS and, with SMTP_USER,
a login; the webhook takes `{"text": …}` (Slack, Mattermost, Google Chat). Secrets are in files, of
this user alone: SMTP_PASSWORD_FILE, CHAT_WEBHOOK_FILE. Signals below SEVERITY_MIN (medium) are left
out. SIGNALS_TOPIC, MAIL_FROM and SMTP_PORT (587) have defaults.

At least once: what was sent is noted in SEEN by `signal_id` and the offset committed after that, so
that a crash can only double the one message that was under way; mail then has the same Message-ID.
What cannot be sent ends it with an error; started again, it goes on with the same signal.
"""

import html
import json
import os
import signal
import smtplib
import sqlite3
import ssl
import time
import urllib.request
from email.message import EmailMessage
from pathlib import Path

from confluent_kafka import Consumer, KafkaException

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
# A new group begins with the oldest record, so that it misses none; what is older is not news.
NEWS_DAYS = 7
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


def mail(told: dict):
    message = EmailMessage()
    subject, text = words(told)
    message["Subject"] = f"[{told['severity']}] {subject}"
    message["From"] = setting("MAIL_FROM", setting("MAIL_TO"))
    message["To"] = setting("MAIL_TO")
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


def handle(record, seen: sqlite3.Connection, routes: list):
    told = json.loads(record.value())
    _, written_ms = record.timestamp()
    least = SEVERITIES.index(setting("SEVERITY_MIN", "medium"))
    if (told["kind"] not in KINDS or SEVERITIES.index(told["severity"]) < least
            or written_ms < (time.time() - NEWS_DAYS * 86_400) * 1000):
        return
    for route in routes:
        sent = (told["signal_id"], route.__name__)
        if not seen.execute("SELECT 1 FROM sent WHERE signal = ? AND route = ?", sent).fetchone():
            route(told)
            with seen:
                seen.execute("INSERT INTO sent VALUES (?, ?, ?)", (*sent, time.time()))


def main():
    routes = [mail] * bool(setting("MAIL_TO")) + [chat] * bool(setting("CHAT_WEBHOOK_FILE"))
    if not routes:
        raise SystemExit("nowhere to send to: set MAIL_TO, CHAT_WEBHOOK_FILE, or both")
    lines = Path(setting("KAFKA_PROPERTIES", "kafka.properties")).read_text().splitlines()
    kafka = dict(line.split("=", 1) for line in lines if line and line[0] != "#")
    seen = sqlite3.connect(setting("SEEN", "notify.sqlite"))
    with seen:
        seen.execute("CREATE TABLE IF NOT EXISTS sent (signal, route, at,"
                     " PRIMARY KEY (signal, route))")
        seen.execute("DELETE FROM sent WHERE at < ?", (time.time() - SEEN_DAYS * 86_400,))
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    consumer = Consumer({
        "group.id": "lifetide-notify", **kafka, "isolation.level": "read_committed",
        "auto.offset.reset": "earliest", "enable.auto.commit": False,
    })
    consumer.subscribe([setting("SIGNALS_TOPIC", "churn.signals")])
    try:
        while not stopping:
            record = consumer.poll(1)
            if record is None:
                continue
            if record.error():
                raise KafkaException(record.error())
            handle(record, seen, routes)
            consumer.commit(record, asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()

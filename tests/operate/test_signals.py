"""Streams of signals: each signal once and in its partition's order, whatever is cut or restarted.

The topic itself is read beside the streams, committed records only.
"""

import http.client
import json
import time
import uuid
from signal import SIGHUP
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from conftest import DEADLINE_S, get, get_json, wait_until
from test_consumers import abort


class Stream:
    """A stream of events that is open, and the id of the last event that was read."""

    def __init__(
        self, url: str, last_id: str | None = None, query: str = "", token: str | None = None
    ):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        headers = {"Last-Event-ID": last_id} if last_id else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self.connection.request("GET", f"/signals{query}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["content-type"] == "text/event-stream"
        self.last_id = last_id

    def lines(self):
        """The lines until the stream ends."""
        while line := self.answer.readline():
            yield line.decode().rstrip("\n")

    def read(self, n_events: int) -> list[dict]:
        """The next signals; anything else that has a name is a fault."""
        signals, event, until = [], {}, time.monotonic() + DEADLINE_S
        lines = self.lines()
        while len(signals) < n_events:
            assert time.monotonic() < until, f"{len(signals)} of {n_events} signals came"
            line = next(lines)
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif "data" in event:
                assert event["event"] == "signal", event
                self.last_id = event["id"]
                signals.append(json.loads(event["data"]))
                event = {}
        return signals

    def close(self):
        self.connection.close()


def order(customer: str) -> bytes:
    """An order that lifts its customer into the highest tier, which is a signal."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({
        "type": "order.completed", "customer_id": customer, "occurred_at": now,
        "event_id": uuid.uuid4().hex, "order_id": uuid.uuid4().hex, "amount": "900.00",
    }).encode()


def produce(one, customers):
    """Sends an order of each customer."""
    producer = Producer({"bootstrap.servers": one.settings["kafka.brokers"]})
    for customer in customers:
        producer.produce(one.topics["kafka.input_topic"], key=customer, value=order(customer))
    assert producer.flush(60) == 0


def topic_of(one, n_signals: int) -> dict[int, list[str]]:
    """The ids of the signals in their topic by partition, when there are so many."""
    topic = one.topics["kafka.signals_topic"]
    consumer = Consumer({
        "bootstrap.servers": one.settings["kafka.brokers"], "group.id": uuid.uuid4().hex,
        "isolation.level": "read_committed", "enable.auto.commit": False,
    })
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found = {number: [] for number in partitions}

    def is_all():
        if (message := consumer.poll(1)) and not message.error():
            found[message.partition()].append(json.loads(message.value())["signal_id"])
        return sum(map(len, found.values())) >= n_signals

    wait_until("all signals in their topic", is_all)
    consumer.close()
    return found


def assert_same(streamed: list[dict], topic: dict[int, list[str]]):
    """Each once, and of each partition in its order."""
    ids = [signal["signal_id"] for signal in streamed]
    assert len(set(ids)) == len(ids), "a signal came twice"
    for number, expected in topic.items():
        assert [one for one in ids if one in set(expected)] == expected, f"partition {number}"
    assert len(ids) == sum(map(len, topic.values()))


@pytest.mark.long
def test_a_stream_that_is_cut_and_resumed_has_each_signal_once_and_in_order(processor):
    one = processor({"processing.idle_lag_s": -1})
    stream = Stream(one.url)
    produce(one, [f"a-{number}" for number in range(40)])
    seen = stream.read(15)
    assert {signal["kind"] for signal in seen} == {"high_value_reached"}
    stream.close()

    # What was never committed is no signal, neither to who looks on nor to who comes later.
    abort(one.settings["kafka.brokers"], one.topics["kafka.signals_topic"], seen[0])
    produce(one, [f"b-{number}" for number in range(40)])
    stream = Stream(one.url, stream.last_id)
    seen += stream.read(20)

    # The stream ends when the process begins to, and goes on behind the same id at the next one.
    # One that is still open when the patience with it ends is cut off, which `read` does not take.
    assert one.stop() == 0
    assert b"event: gap" not in stream.answer.read()
    produce(one, [f"c-{number}" for number in range(40)])
    one.start()
    # The same query again, as a browser does it: the id says more.
    stream = Stream(one.url, stream.last_id, "?last=3")
    seen += stream.read(120 - len(seen))
    stream.close()
    assert_same(seen, topic_of(one, 120))

    # All of them again from another beginning, and a stream that nobody writes to is kept open.
    again = Stream(one.url, query="?last=1000")
    assert_same(again.read(120), topic_of(one, 120))
    assert next(line for line in again.lines() if line).startswith(":")
    again.close()
    everything = {signal["customer_id"] for signal in seen}
    assert not [customer for customer in everything if f'"{customer}"' in one.process.text()]


@pytest.mark.long
def test_a_stream_ends_when_its_token_is_replaced(processor, tmp_path):
    """At the next comment, and not only where somebody asks anew."""
    tokens = ["0123456789abcdef-first", "0123456789abcdef-second"]
    file = tmp_path / "token"
    file.write_text(tokens[0])
    one = processor({"http.token_file": str(file)}, partitions=1)
    stream = Stream(one.url, token=tokens[0])
    file.write_text(tokens[1])
    one.process.child.send_signal(SIGHUP)
    until = time.monotonic() + DEADLINE_S
    for line in stream.lines():
        assert time.monotonic() < until, f"the stream goes on: {line}"
    wait_until("word of the reload", lambda: "reloaded" in one.process.text())
    Stream(one.url, token=tokens[1]).close()


def test_who_cannot_read_the_topic_is_told_why_and_the_processor_goes_on(processor):
    one = processor(partitions=1)
    topic = one.topics["kafka.signals_topic"]
    admin = AdminClient({"bootstrap.servers": one.settings["kafka.brokers"]})
    admin.delete_topics([topic])[topic].result(60)
    wait_until("the topic to be gone", lambda: topic not in admin.list_topics(timeout=30).topics)
    status, body = get(f"{one.url}/signals")
    assert status == 503 and topic in json.loads(body)["error"], (status, body)
    assert "--create-topics" in json.loads(body)["error"]
    assert get_json(f"{one.url}/ready") == {"ready": True}


def test_the_signals_of_a_demo_can_be_watched(demo):
    signals = Stream(demo, query="?last=10").read(3)
    assert all(signal["schema"] == "lifetide.signal/1" for signal in signals)

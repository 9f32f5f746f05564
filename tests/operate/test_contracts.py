"""The contracts of `deploy/contracts`: whole, true of what the program writes and reads, and not
broken by what has changed since they were promised.
"""

import json
import os
import random
import shutil
import subprocess
import uuid

import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from jsonschema import Draft202012Validator

import compatibility
import odd_events
from conftest import ROOT, TARGET, get, wait_until
from contracts import (
    CONTRACTS, NAMES, PREVIOUS, assert_valid, own_headers, schema, strict, subschemas, validator,
)

CDNOW = ROOT / "tests/data/cdnow_sample.csv"
# A record's timestamp behind the last second that an event may be dated at.
AFTER_ALL_MS = 7_258_204_800_000


def asyncapi() -> dict:
    return yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())


def lines(path) -> list[dict]:
    with path.open() as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_tells_of_every_field(name):
    document = schema(name)
    Draft202012Validator.check_schema(document)
    assert document["$id"] == f"urn:lifetide:{name.replace('_', '-')}:1"
    for path, node in subschemas(document):
        assert node.get("description") or "/allOf/" in path and "properties" in node, path
    for held in (document, document if name == "event" else strict(document)):
        for example in document["examples"]:
            assert_valid(validator(held), example, name)


def test_every_type_of_event_has_an_example():
    document = schema("event")
    shown = {example["type"] for example in document["examples"]}
    assert shown == set(document["properties"]["type"]["enum"])


@pytest.mark.parametrize("model", [None, "bg-nbd", "mbg-nbd"])
def test_what_replay_writes_is_what_the_schemas_say(lifetide, tmp_path, model):
    out = {name: tmp_path / f"{name}.jsonl" for name in ("score", "signal")}
    arguments = ["replay", "--input", CDNOW, "--map", "occurred_at=date",
                 "--scores", out["score"], "--signals", out["signal"]]
    arguments += ["--model", ROOT / f"tests/data/models/{model}.toml"] if model else []
    subprocess.run([lifetide, *arguments], check=True, capture_output=True)
    for name, path in out.items():
        checks = [validator(strict(schema(name))), validator(schema(name, PREVIOUS))]
        records = lines(path)
        assert len(records) > 2000
        for record in records:
            for check in checks:
                assert_valid(check, record, name)


# Each makes a record into one that no reader was promised.
FLAWS = [
    ("score", lambda record: record.update(schema="lifetide.score/2")),
    ("score", lambda record: record.update(as_of="2026-11-22T12:46:04+01:00")),
    ("score", lambda record: record["history"].update(gross=59.9)),
    ("score", lambda record: record["history"].update(last_order_on="2026-02-30")),
    ("score", lambda record: record["churn"].update(silence_tail=1.5)),
    ("score", lambda record: record["clv"].update(predicted=None)),
    ("score", lambda record: record["trend"].pop("state")),
    ("score", lambda record: record["segment"].update(lifecycle="gone")),
    ("score", lambda record: record["source"].update(offset="0")),
    ("signal", lambda record: record.update(signal_id="1")),
    ("signal", lambda record: record.update(severity="huge")),
    ("signal", lambda record: record["evidence"].update(new_figure="a word")),
    ("dead_letter", lambda record: record.pop("lifetide.offset")),
    ("dead_letter", lambda record: record.update({"lifetide.partition": "-1"})),
    ("receipt", lambda record: record.update({"lifetide.redriven_offsets": "5-"})),
]


def test_the_schemas_refuse_what_was_not_promised():
    for name, flaw in FLAWS:
        record = json.loads(json.dumps(schema(name)["examples"][0]))
        check = validator(schema(name))
        assert check.is_valid(record)
        flaw(record)
        assert not check.is_valid(record), record


def test_readers_are_open_to_more_fields_and_to_values_of_open_lists():
    record = dict(schema("signal")["examples"][0], kind="wallet_share", more={"a": 1})
    assert validator(schema("signal")).is_valid(record)
    assert not validator(strict(schema("signal"))).is_valid(record)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks_who_relies_on_what_was_promised(name):
    old, new = schema(name, PREVIOUS), schema(name)
    assert compatibility.breaks(old, new, is_written=name != "event") == []
    held, records = (new, old) if name == "event" else (old, new)
    for example in records["examples"]:
        assert_valid(validator(held), example, name)


def field(*path):
    """The place of a field in a schema."""
    return [step for name in path for step in ("properties", name)]


# Name, place, keyword, what it becomes (`None` takes it away), what is said of it.
CHANGES = [
    ("score", field("clv"), "title", "Worth", ""),
    ("score", field("clv"), "description", "Worth.", ""),
    ("score", field("clv", "margin"), None, {"type": "number"}, ""),
    ("score", field("churn"), "required", ["silence_tail"], ""),
    ("score", field("churn", "p_alive"), "maximum", 0.5, ""),
    ("score", field("clv", "total"), "type", "integer", ""),
    ("score", field("cause"), "enum", ["event"], ""),
    ("signal", field("kind"), "x-extensible-enum", ["lapse"], "no longer among the values"),
    ("signal", field("kind"), "x-extensible-enum", [
        "spend_decline", "lapse", "usage_decline", "recovered", "high_value_reached", "more",
    ], ""),
    ("signal", field("evidence", "more"), None, {"type": "number"}, ""),
    ("signal", field("evidence", "more"), None, {"type": "string"}, "type changed"),
    ("score", field("clv", "simple"), None, None, "/clv/simple: removed"),
    ("score", field("source"), "type", ["object", "null"], "/source: type changed"),
    ("score", field("history", "gross"), "type", "number", "/history/gross: type changed"),
    ("score", field("history", "gross"), "pattern", "^.*$", "`pattern` changed"),
    ("score", field("history", "orders"), "minimum", -1, "`minimum` changed"),
    ("score", field("history", "orders"), "minimum", None, "`minimum` changed"),
    ("score", field("history"), "required", ["orders"], "may now be absent"),
    ("score", field("cause"), "enum", ["event", "time", "model"], "values changed"),
    ("score", field("cause"), "enum", None, "values changed"),
    ("score", field("schema"), "const", "lifetide.score/2", "values changed"),
    ("score", [], "additionalProperties", False, "must be open"),
    ("score", [], "oneOf", [], "`oneOf` changed"),
    ("dead_letter", field("lifetide.detail"), "maxLength", 1024, "`maxLength` changed"),
    ("dead_letter", field("lifetide.new"), None, {"type": "string"}, ""),
    ("event", field("coupon"), None, {"type": "string"}, ""),
    ("event", field("x_shelf"), None, {"type": "string"}, "the producers' own"),
    ("event", field("channel"), None, None, ""),
    ("event", field("channel"), "maxLength", 128, ""),
    ("event", field("channel"), "maxLength", 32, "`maxLength` changed"),
    ("event", field("channel"), "pattern", "^[a-z]+$", "`pattern` changed"),
    ("event", field("channel"), "type", "string", "type changed"),
    ("event", field("event_id"), "type", ["string", "null", "integer"], ""),
    ("event", [], "required", ["type", "customer_id"], ""),
    ("event", [], "required", ["type", "customer_id", "occurred_at", "event_id"], "now required"),
    ("event", field("type"), "enum", ["order.completed"], "values changed"),
    ("event", ["allOf", 4, "then"], "required", ["quantity"], "now required"),
    ("event", ["allOf", 1, "then", *field("amount")], "exclusiveMinimum", 5, "changed"),
    ("event", ["allOf", 3], None, {
        "if": {"properties": {"type": {"const": "cart.abandoned"}}},
        "then": {"required": ["amount"]},
    }, "a new condition on a type that was there"),
    ("event", ["allOf", 3], None, {
        "if": {"properties": {"type": {"const": "order.shipped"}}},
        "then": {"required": ["order_id"]},
    }, ""),
]


@pytest.mark.parametrize("name, place, keyword, value, said", CHANGES)
def test_a_change_breaks_readers_or_producers_or_neither(name, place, keyword, value, said):
    old, new = schema(name), schema(name)
    *parents, last = [*place, keyword] if keyword else place
    node = new
    for step in parents:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    found = compatibility.breaks(old, new, is_written=name != "event")
    assert bool(found) == bool(said), found
    assert any(said in one for one in found) or not said, found


def test_the_asyncapi_document_passes_asyncapis_own_tool(tmp_path):
    here = ROOT / "tests/operate/asyncapi"
    modules = subprocess.run(
        [here / "modules", TARGET], check=True, capture_output=True, text=True
    ).stdout.strip()

    def parse(file) -> dict:
        done = subprocess.run(
            ["node", here / "parse.cjs", file], check=True, capture_output=True, text=True,
            timeout=180, env=os.environ | {"NODE_PATH": modules},
        )
        told = json.loads(done.stdout)
        # 0 is an error, 1 a warning; what comes after is advice, as to use a newer AsyncAPI.
        told["faults"] = [fault for fault in told["faults"] if fault["severity"] < 2]
        return told

    told = parse(CONTRACTS / "asyncapi.yaml")
    assert told["faults"] == []
    assert [(one["action"], *one["topics"], *one["messages"]) for one in told["operations"]] == [
        ("receive", "checkout.events", "Checkout event"),
        ("send", "customer.scores", "Score", "Tombstone"),
        ("send", "churn.signals", "Signal"),
        ("send", "checkout.events.dlq", "Dead letter"),
        ("send", "checkout.events", "Checkout event"),
        ("send", "checkout.events.dlq", "Receipt"),
    ]
    # A fault in a schema that it refers to is seen too.
    flawed = shutil.copytree(CONTRACTS, tmp_path / "flawed")
    document = schema("score")
    document["properties"]["history"]["properties"]["orders"]["type"] = "whole"
    (flawed / "score.schema.json").write_text(json.dumps(document))
    faults = parse(flawed / "asyncapi.yaml")["faults"]
    assert "properties/history/properties/orders/type" in {fault["path"] for fault in faults}


def test_the_examples_of_the_asyncapi_document_are_those_of_the_schemas():
    for message in asyncapi()["components"]["messages"].values():
        for part, key in (("payload", "payload"), ("headers", "headers")):
            name = message.get(part, {}).get("$ref", "").removesuffix(".schema.json")
            for example in message.get("examples", []) if name else []:
                assert_valid(validator(schema(name)), example[key], name)
                if name not in ("event", "signal"):
                    assert example[key] in schema(name)["examples"]


def test_the_channels_are_the_topics_that_check_creates(lifetide, processor, broker):
    """Also by the names of the configuration that the program has by default."""
    defaults = (ROOT / "config/lifetide.toml").read_text()
    one = processor(partitions=12)
    topics = AdminClient({"bootstrap.servers": broker})
    keys = {"events": "input", "scores": "scores", "signals": "signals", "deadLetters": "dlq"}
    channels = asyncapi()["channels"]
    assert channels.keys() == keys.keys()
    for channel, key in keys.items():
        told = channels[channel]
        assert f'\n{key}_topic = "{told["address"]}"\n' in defaults
        name = one.settings[f"kafka.{key}_topic"]
        kafka = told["bindings"]["kafka"]
        found = topics.list_topics(name, timeout=60).topics[name]
        assert len(found.partitions) == kafka["partitions"]
        asked = ConfigResource(ResourceType.TOPIC, name)
        policy = topics.describe_configs([asked])[asked].result(60)["cleanup.policy"].value
        assert policy.split(",") == kafka["topicConfiguration"]["cleanup.policy"]


def send(broker: str, topic: str, events: list[tuple[bytes, bytes]], timestamp_ms=None):
    """Sends keys and values to partition 0; the value with offset 0 is the first."""
    producer = Producer({"bootstrap.servers": broker, "acks": "all", "linger.ms": 5})
    failed = []
    for key, value in events:
        producer.produce(
            topic, value, key, partition=0, headers=[("trace", b"\xff\x00"), ("empty", None)],
            on_delivery=lambda error, _: failed.append(error) if error else None,
            **({"timestamp": timestamp_ms} if timestamp_ms is not None else {}),
        )
        producer.poll(0)
    assert producer.flush(120) == 0 and not failed, failed[:3]


def read(broker: str, topic: str) -> list:
    """All committed records of a topic."""
    consumer = Consumer({
        "bootstrap.servers": broker, "group.id": uuid.uuid4().hex, "enable.auto.commit": False,
        "isolation.level": "read_committed", "enable.partition.eof": True,
    })
    partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    records, ended = [], set()
    while len(ended) < len(partitions):
        record = consumer.poll(60)
        assert record is not None, f"{topic} does not come to its end"
        if record.error():
            ended.add(record.partition())
        else:
            records.append(record)
    consumer.close()
    return records


def counted(one) -> int:
    """How many events it has read, whatever became of them."""
    names = [f"lifetide_{name}_total" for name in
             ("events", "rejections", "duplicates", "erased_events")]
    text = get(f"{one.url}/metrics")[1].decode()
    found = [line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#"]
    of = [float(value) for name, value in found if name.split("{")[0] in names]
    return int(sum(of))


def processed(one, broker, events, timestamp_ms=None, n_before=0) -> dict[int, str]:
    """Lets a processor read the events after `n_before` others, and says which offsets of them all
    were refused, and why."""
    send(broker, one.settings["kafka.input_topic"], events, timestamp_ms)
    wait_until("all to be processed", lambda: counted(one) == n_before + len(events))
    letters = read(broker, one.settings["kafka.dlq_topic"])
    check = validator(strict(schema("dead_letter")))
    reasons = {}
    for letter in letters:
        headers = own_headers(letter.headers())
        assert_valid(check, headers, "dead letter")
        offset = int(headers["lifetide.offset"])
        if offset >= n_before:
            key, value = events[offset - n_before]
            assert letter.key() == key[:odd_events.KEY_KEPT_BYTES]
            # A client gives an empty value back as none.
            assert (letter.value() or b"") == (value or b"")[:odd_events.VALUE_KEPT_BYTES]
        assert letter.headers()[:2] == [("trace", b"\xff\x00"), ("empty", None)]
        reasons[offset] = headers["lifetide.reason"]
    return reasons


def open_to_any_time(broker: str) -> str:
    """A topic whose records may be dated as far ahead as events may be."""
    topic = f"input-{uuid.uuid4().hex[:8]}"
    # From its beginning: a change is told as done before the broker goes by it.
    config = {"message.timestamp.after.max.ms": str(2**63 - 1)}
    topics = AdminClient({"bootstrap.servers": broker})
    topics.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(60)
    wait_until("the topic", lambda: topic in topics.list_topics(timeout=60).topics)
    return topic


def test_the_program_takes_the_events_that_the_schema_allows_and_no_others(processor, broker):
    """Events with one fault, with several, and with none; then those of which a schema knows too
    little, each with what both say of it."""
    one = processor({
        "processing.idle_lag_s": -1, "kafka.input_topic": open_to_any_time(broker),
    }, partitions=1)
    dice = random.Random(20261123)
    alike = [odd_events.record(event) for event in
             [*schema("event")["examples"], *odd_events.single(), *odd_events.mixed(dice, 2000)]]
    differing = odd_events.DIFFERENCES
    events = alike + [odd_events.raw(*differ[:2]) for differ in differing]
    reasons = processed(one, broker, events, AFTER_ALL_MS)
    check = validator(schema("event"))
    n_taken = 0
    for offset, (_, value) in enumerate(alike):
        allowed = check.is_valid(json.loads(value))
        assert allowed == (offset not in reasons), (reasons.get(offset), value)
        n_taken += allowed
    assert min(n_taken, len(alike) - n_taken) > len(alike) / 10, n_taken
    for offset, (value, _, allowed, reason) in enumerate(differing, len(alike)):
        assert reasons.get(offset) == reason, (reasons.get(offset), value)
        assert check.is_valid(json.loads(value)) == allowed, value
        assert allowed == (reason is not None), "the two agree; it belongs to the others"


def test_what_a_processor_writes_is_what_the_schemas_say(processor, broker):
    one = processor({"processing.emit": "event", "processing.idle_lag_s": -1}, partitions=1)
    reasons = processed(one, broker, odd_events.lives())
    assert set(reasons.values()) == {
        "not_json", "missing_field", "unknown_type", "bad_value", "unknown_currency",
        "key_mismatch", "future",
    }
    # Sent again by who knows a rate that the processor does not, those of one reason are refused
    # again, and leave letters and a receipt.
    rate = ["--set", "processing.rates.GBP=1.25"]
    one.command("redrive", "--reason", "unknown_currency", *rate, "--send")
    wait_until("the redriven", lambda: counted(one) > len(odd_events.lives()))
    receipts = redriven = 0
    for record in read(broker, one.settings["kafka.dlq_topic"]):
        headers = own_headers(record.headers())
        is_receipt = "lifetide.redriven_offsets" in headers
        form = "receipt" if is_receipt else "dead_letter"
        assert_valid(validator(strict(schema(form))), headers, form)
        assert not is_receipt or (record.key(), record.value()) == (None, None)
        receipts += is_receipt
        redriven += "lifetide.redriven" in headers
    assert (receipts, redriven) == (1, 1)
    seen = {}
    for name, topic in (("score", "scores"), ("signal", "signals")):
        check = validator(strict(schema(name)))
        seen[name] = []
        for record in read(broker, one.settings[f"kafka.{topic}_topic"]):
            if record.value() is None:
                seen[name].append(None)
                continue
            document = json.loads(record.value())
            assert_valid(check, document, name)
            assert record.key().decode() == document["customer_id"]
            seen[name].append(document)
    assert None in seen["score"], "an erased customer has a tombstone"
    scores = [score for score in seen["score"] if score]
    assert {score["cause"] for score in scores} == {"event", "time"}
    assert any("acquisition_cost" in score["history"] for score in scores)
    assert any(score["history"]["net_revenue"].startswith("-") for score in scores)
    assert any("since" in score["trend"] for score in scores)
    kinds = {signal["kind"] for signal in seen["signal"]}
    assert kinds == set(schema("signal")["properties"]["kind"]["x-extensible-enum"])

"""`lifetide load` sends a simulated shop's events to a real broker, and a processor counts them."""

import json
import re
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from conftest import get, wait_until


def counted(url: str, metric: str) -> float:
    text = get(f"{url}/metrics")[1].decode()
    found = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", text, re.M)
    return sum(float(value) for value in found)


def test_a_load_is_sent_and_counted_and_customers_leave(processor):
    one = processor()
    began_s = time.monotonic()
    said = one.command("load", "--rate", 1000, "--duration", "8s").stderr
    sent = int(re.search(r"Sent (\d+) events\.", said)[1])
    # How many a shop's customers make is drawn: about 8000, spread over the 8 s.
    assert 6500 < sent < 9500, said
    assert time.monotonic() - began_s > 7

    def n_inputs():
        names = ("events", "dead_letters", "duplicates", "erased_events")
        return sum(counted(one.url, f"lifetide_{name}_total") for name in names)

    wait_until(f"{sent} events", lambda: n_inputs() == sent)
    wait_until("who leave", lambda: counted(one.url, "lifetide_signals_total") > 10)
    assert one.process.child.poll() is None


def test_a_load_keeps_out_of_a_shop_that_is_real(processor, broker):
    one = processor()
    event = {
        "type": "order.completed", "customer_id": "c-1", "order_id": "o-1",
        "occurred_at": "2026-05-01T12:00:00Z", "amount": "59.90",
    }
    producer = Producer({"bootstrap.servers": broker})
    producer.produce(one.topics["kafka.input_topic"], key="c-1", value=json.dumps(event))
    assert producer.flush(30) == 0
    refused = one.command("load", "--rate", 100, "--duration", "5s", expect=1).stderr
    assert "no load's" in refused and "offset `0`" in refused, refused


def test_a_load_that_does_not_arrive_is_not_told_as_sent(processor, broker):
    one = processor()
    topic = ConfigResource(ConfigResource.Type.TOPIC, one.topics["kafka.input_topic"])
    topic.add_incremental_config(
        ConfigEntry("max.message.bytes", "300", incremental_operation=AlterConfigOpType.SET)
    )
    admin = AdminClient({"bootstrap.servers": broker})
    for changed in admin.incremental_alter_configs([topic]).values():
        changed.result()
    refused = one.command("load", "--rate", 500, "--duration", "3s", expect=1).stderr
    assert "did not arrive" in refused and "Sent" not in refused, refused

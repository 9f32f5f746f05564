"""Events of a small shop whose customers do all that a dashboard shows: they come, buy, complain,
use, return goods, buy less, leave and come back, and some of what is sent cannot be used.

Plain functions of a seed and the time at which it ends; nothing here talks to Kafka but `send`.
"""

import json
import random

from confluent_kafka import Producer

DAY_MS = 86_400_000
WEEKS = 64
# What is wrong with an event, and the reason it is refused for. `too_large` would need a broker
# that takes more than a megabyte.
FAULTS = {
    "not_json": lambda event: b"{",
    "missing_field": lambda event: {**event, "amount": None},
    "unknown_type": lambda event: {**event, "type": "order.dreamt"},
    "bad_value": lambda event: {**event, "amount": "-1"},
    "unknown_currency": lambda event: {**event, "currency": "XXX"},
    "key_mismatch": lambda event: {**event, "customer_id": "somebody else"},
    "future": lambda event: {**event, "occurred_at": event["occurred_at"] + 3000 * DAY_MS},
}


def order(customer: str, at_ms: int, amount: float, n: int = 0) -> dict:
    """A completed order; `n` tells two of one moment apart."""
    return {
        "type": "order.completed", "customer_id": customer, "occurred_at": at_ms,
        "event_id": f"{customer}-{at_ms}-{n}", "order_id": f"o-{customer}-{at_ms}-{n}",
        "amount": f"{amount:.2f}",
    }


def other(kind: str, customer: str, at_ms: int, **fields) -> dict:
    """An event of another type."""
    event_id = f"{kind}-{customer}-{at_ms}"
    return {"type": kind, "customer_id": customer, "occurred_at": at_ms, "event_id": event_id,
            **fields}


def buys(rng: random.Random, customer: str, days: tuple, gap_days: float, amount: float, end_ms):
    """Orders from the first to the last of `days` before the end."""
    first, last = days
    day = float(first)
    while day > last:
        at_ms = end_ms - int(day * DAY_MS)
        yield order(customer, at_ms, amount * rng.gammavariate(6, 1 / 6))
        day -= gap_days * rng.uniform(0.7, 1.3)


def history(end_ms: int, seed: int = 7) -> list[tuple[str, bytes]]:
    """Keys and values of all events in the order of time, up to `end_ms`."""
    rng = random.Random(seed)
    all_days = WEEKS * 7
    events = []
    # Customers keep coming in, so that a model that came too early is fitted again.
    for i in range(240):
        since = rng.uniform(30, all_days)
        gap_days, amount = rng.uniform(6, 20), rng.lognormvariate(3.5, 0.6)
        events += buys(rng, f"steady-{i}", (since, 0), gap_days, amount, end_ms)
    for i in range(40):
        events += buys(rng, f"leaver-{i}", (all_days, 120), 8, 50, end_ms)
        events += buys(rng, f"seldom-{i}", (all_days, 140), 7, 50, end_ms)
        events += buys(rng, f"seldom-{i}", (140, 0), 28, 50, end_ms)
        events += buys(rng, f"frugal-{i}", (all_days, 140), 8, 90, end_ms)
        events += buys(rng, f"frugal-{i}", (140, 0), 8, 25, end_ms)
    for i in range(20):
        events += buys(rng, f"back-{i}", (all_days, 250), 8, 50, end_ms)
        events += buys(rng, f"back-{i}", (40, 0), 8, 50, end_ms)
        customer = f"user-{i}"
        events += buys(rng, customer, (120, 0), 8, 50, end_ms)
        for week in range(15):
            at_ms = end_ms - int((week + 0.5) * 7 * DAY_MS)
            use = rng.randint(18, 22) if week > 6 else 1
            events.append(other("usage.recorded", customer, at_ms, quantity=use))
    for i in range(30):
        at_ms = end_ms - int(rng.uniform(20, all_days) * DAY_MS)
        customer = f"steady-{i}"
        bought = order(f"once-{i}", at_ms, 60)
        named = {"order_id": bought["order_id"]}
        events += [
            bought,
            other("order.refunded", f"once-{i}", at_ms + DAY_MS, amount="20.00", **named),
            other("cart.abandoned", customer, at_ms),
            other("support.contacted", customer, at_ms),
            other("acquisition.recorded", customer, at_ms, cost="12.00"),
        ]
        if i % 3 == 0:
            events.append(other("order.cancelled", f"once-{i}", at_ms + 2 * DAY_MS, **named))
        if i % 5 == 0:
            # What is dated before the erasure comes after it.
            events.append(other("customer.erased", f"once-{i}", at_ms + 10 * DAY_MS))
            events.append({**order(f"once-{i}", at_ms + DAY_MS, 5), "late": 10 * DAY_MS})
    events = [event for event in events if event["occurred_at"] <= end_ms]
    events.sort(key=lambda event: (event["occurred_at"] + event.pop("late", 0), event["event_id"]))
    records = []
    faults = list(FAULTS.values())
    for i, event in enumerate(events):
        key = event["customer_id"]
        records.append((key, json.dumps(event).encode()))
        if i % 90 == 0:
            records.append(records[-1])
        if i % 60 == 0:
            faulty = faults[i // 60 % len(faults)](order(key, event["occurred_at"], 5, n=1))
            raw = faulty if isinstance(faulty, bytes) else json.dumps(faulty).encode()
            records.append((key, raw))
    return records


def send(brokers: str, topic: str, records: list[tuple[str, bytes]]):
    """Produces them in order and waits until all have arrived."""
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
    faults = []
    for key, value in records:
        producer.produce(
            topic, value, key, on_delivery=lambda error, _: error and faults.append(error)
        )
        producer.poll(0)
    left = producer.flush(60)
    assert not faults and not left, (faults[:3], left)

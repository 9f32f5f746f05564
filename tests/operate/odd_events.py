"""Checkout events good and bad, for the contracts: what the schema and the program agree on, what
they do not, and the lives of customers that bring about every kind of signal.
"""

import itertools
import json
from datetime import datetime, timedelta, timezone

KINDS = ("order.completed", "order.refunded", "order.cancelled", "cart.abandoned",
         "usage.recorded", "support.contacted", "acquisition.recorded", "customer.erased")
# What a dead letter keeps of its original.
KEY_KEPT_BYTES, VALUE_KEPT_BYTES = 64 * 1024, 900_000
NO_TEXT = (None, "", 7, True, [], {}, ["a"])
FIGURES = ("0", "1", "59.90", "0.5", "007.50", "10000000000", "0.00", "0" * 63 + "1", 0, 12.5, 100)
NO_FIGURES = (None, "", "-1", -1, "+1", "1e3", "1.", ".5", ".", "1,5", "1 ", " 1", "abc", "1\n",
              "٣", "9" * 20, "0" * 65, 10**13, True, False, [], {}, ["1"])
TIMES = ("2026-05-01T12:00:00Z", "2026-05-01t12:00:00z", "2026-05-01T12:00:00.5+02:00",
         "2026-05-01T12:00:00.123456789-11:30", "1900-01-01T00:00:00Z", "2024-02-29T00:00:00Z",
         "2199-12-31T23:59:59.999Z", "2016-12-31T23:59:60Z", 0, -1, 1777636800000,
         -2208988800000, 7258118399999)
NO_TIMES = (None, "", "yesterday", "2026-05-01", "2026-05-01T12:00:00", "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z", "2026-05-01T24:00:00Z", "2026-05-01T12:60:00Z",
            "2026-05-01T12:00:00+26:00", "2026-05-01T12:00:00Z[UTC]", "1899-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z", "1777636800000", " 2026-05-01T12:00:00Z",
            "2026-05-01T12:00:00.1234567890Z", -2208988800001, 7258118400000, 10**30, 1.5, True,
            [], {})
# Of each field what is allowed where it counts, and what is not.
POOLS = {
    "type": (KINDS, (*NO_TEXT, "order", "Order.completed", "order.completed ")),
    "customer_id": (("c-1", "c-2", "é", "x" * 128, "ü" * 64, " ", "\u0000"),
                    (*NO_TEXT, "x" * 129)),
    "occurred_at": (TIMES, NO_TIMES),
    "event_id": (("e-1", "x" * 128, None), (*NO_TEXT, "x" * 129)),
    "order_id": (("o-1", "o-2", "ü" * 64), (*NO_TEXT, "x" * 129)),
    "channel": (("web", "x" * 64, None), (*NO_TEXT, "x" * 65)),
    "currency": (("USD", None), (*NO_TEXT, "usd", "US", "USDX", "ÜSD")),
    "amount": (FIGURES, NO_FIGURES),
    "cost": (FIGURES, NO_FIGURES),
    "quantity": (("1", "0.125", "1000000000", "1000000000.000", 0, 2.5, None),
                 (*NO_FIGURES, "1.1234", "1000000001", "1000000000.001", 1e10)),
    "items": (([], None, {"type": 1}), ()),
    "x_shelf": ((7, "a"), ()),
}


def record(value) -> tuple[bytes, bytes]:
    """Key and value as a producer of this event would send them."""
    customer = value.get("customer_id") if isinstance(value, dict) else None
    key = customer if isinstance(customer, str) else "c-1"
    return key.encode(), json.dumps(value, ensure_ascii=False).encode()


def raw(text: str, key: str) -> tuple[bytes, bytes]:
    """The same for a value that no serialiser would write."""
    return key.encode(), text.encode()


def whole(kind: str) -> dict:
    """An event with everything that any type asks for."""
    return {"type": kind, "customer_id": "c-1", "occurred_at": "2026-05-01T12:00:00Z",
            "order_id": "o-1", "amount": "5.00", "cost": "5.00"}


def single():
    """Every type with every field once absent and once as each value of its pool."""
    for kind, (field, pool) in itertools.product(KINDS, POOLS.items()):
        event = whole(kind)
        event.pop(field, None)
        yield event
        for value in itertools.chain(*pool):
            yield event | {field: value}
    yield from ([], [whole("cart.abandoned")], "text", 7, None, True, {})


def mixed(dice, count: int):
    """Events in which each field is absent, good or bad by chance."""
    for _ in range(count):
        event = whole(dice.choice(KINDS))
        for field, (good, bad) in POOLS.items():
            chance = dice.random()
            if chance < 0.1:
                event.pop(field, None)
            elif chance < 0.5:
                event[field] = dice.choice(good)
            elif chance < 0.55 and bad:
                event[field] = dice.choice(bad)
        yield event


def differing(fields: str, allowed: bool, reason: str | None, key="c-1"):
    """An order with these fields in place of its own, as it stands in the record."""
    rest = {"type": '"order.completed"', "customer_id": '"c-1"', "amount": '"5.00"',
            "occurred_at": '"2026-05-01T12:00:00Z"'}
    text = "".join(f', "{name}": {value}' for name, value in rest.items()
                   if f'"{name}"' not in fields)
    return f"{{{fields}{text}}}", key, allowed, reason


# Value, key, whether the schema allows it, and why the program refuses it if it does.
DIFFERENCES = [
    # More than the schema can see.
    differing('"customer_id": "%s"' % ("ü" * 65), True, "bad_value", "ü" * 65),
    differing('"order_id": "%s"' % ("ü" * 65), True, "bad_value"),
    differing('"channel": "%s"' % ("ü" * 33), True, "bad_value"),
    differing('"event_id": "e-9"', True, "key_mismatch", "c-2"),
    differing('"currency": "GBP"', True, "unknown_currency"),
    differing('"amount": "5.001"', True, "bad_value"),
    differing('"amount": 5.001', True, "bad_value"),
    differing('"amount": 5.00001', True, "bad_value"),
    differing('"amount": "0.5", "currency": "JPY"', True, "bad_value"),
    differing('"amount": "10000000000.01"', True, "bad_value"),
    differing('"amount": 10000000001', True, "bad_value"),
    differing('"amount": 1e2', True, "bad_value"),
    differing('"amount": -0', True, "bad_value"),
    differing('"amount": 1.%s' % ("0" * 70), True, "bad_value"),
    differing('"type": "usage.recorded", "quantity": 0.0001', True, "bad_value"),
    differing('"event_id": "e-9", "event_id": "e-9"', True, "bad_value"),
    differing('"occurred_at": 1777636800000.0', True, "bad_value"),
    differing('"occurred_at": 1.7776368e12', True, "bad_value"),
    differing('"occurred_at": "1900-01-01T00:30:00+01:00"', True, "bad_value"),
    differing('"occurred_at": "2199-12-31T23:30:00-01:00"', True, "bad_value"),
    # Read, but not promised.
    differing('"occurred_at": "1899-12-31T23:30:00-01:00"', False, None),
    differing('"occurred_at": "2026-05-01 12:00:00Z"', False, None),
    differing('"occurred_at": "20260501T120000Z"', False, None),
    differing('"occurred_at": "2026-05-01T12:00Z"', False, None),
    differing('"occurred_at": "2026-05-01T12:00:00,5Z"', False, None),
    differing('"occurred_at": "2026-05-01T12:00:00+02"', False, None),
    differing('"occurred_at": "2026-05-01T12:00:00+24:00"', False, None),
    differing('"occurred_at": "2026-05-01T12:00:60Z"', False, None),
]


def lives() -> list[tuple[bytes, bytes]]:
    """Two years of a few customers, in order of time, with refused events between them."""
    begin = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
    dated = []

    def add(week: int, kind: str, customer: str, **fields):
        at = begin + timedelta(weeks=week)
        event = {"type": kind, "customer_id": customer, **fields,
                 "occurred_at": at.isoformat().replace("+00:00", "Z"),
                 "event_id": f"{customer}-{kind}-{week}"}
        dated.append((at, event))

    for week in range(104):
        add(week, "order.completed", "steady", order_id=f"s-{week}", amount="20.00")
        # Declines and lapses, and comes back.
        if not 52 <= week < 90:
            add(week, "order.completed", "leaver", order_id=f"l-{week}", amount=30)
        # Orders as before, and uses less and less.
        add(week, "usage.recorded", "user", quantity=20 if week < 60 else 1)
        if week % 8 == 0:
            add(week, "order.completed", "user", order_id=f"u-{week}", amount="12.50")
    add(3, "order.completed", "grand", order_id="g-1", amount="650")
    add(4, "acquisition.recorded", "grand", cost="35.00")
    add(5, "cart.abandoned", "grand")
    add(6, "support.contacted", "grand")
    add(9, "order.refunded", "stranger", order_id="unknown", amount="9.90")
    add(10, "order.completed", "brief", order_id="b-1", amount="10.00")
    add(11, "order.cancelled", "brief", order_id="b-1")
    add(12, "order.completed", "forgotten", order_id="f-1", amount="10.00")
    add(13, "customer.erased", "forgotten")
    dated.sort(key=lambda pair: pair[0])
    good = [record(event) for _, event in dated]
    ahead = whole("cart.abandoned") | {"occurred_at": "2199-01-01T00:00:00Z"}
    bad = [
        # What does not fit a dead letter is cut.
        (b"k" * (KEY_KEPT_BYTES + 1), b"{}"), (b"c-1", b"x" * (VALUE_KEPT_BYTES + 1)),
        (b"c-1", None), (b"c-1", b""), (b"c-1", b"\xff"), (b"c-1", b"{"),
        record({}), record({"type": "order"}),
        record(whole("order")), record(whole("order.completed") | {"amount": "x"}),
        record(whole("order.completed") | {"currency": "GBP"}),
        (b"c-2", record(whole("cart.abandoned"))[1]), record(ahead),
    ]
    middle = len(good) // 2
    return good[:middle] + bad + good[middle:]

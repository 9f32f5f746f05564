"""`lifetide load` sends a simulated shop's events to a real broker, and a processor counts them."""

import re

from conftest import get, wait_until


def counted(url: str, metric: str) -> float:
    text = get(f"{url}/metrics")[1].decode()
    found = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", text, re.M)
    return sum(float(value) for value in found)


def test_a_load_is_sent_and_counted_and_customers_leave(processor):
    one = processor()
    said = one.command("load", "--rate", 1000, "--duration", "8s").stderr
    sent = int(re.search(r"Sent (\d+) events\.", said)[1])
    assert 4000 < sent < 16000, said

    def n_inputs():
        names = ("events", "dead_letters", "duplicates", "erased_events")
        return sum(counted(one.url, f"lifetide_{name}_total") for name in names)

    wait_until(f"{sent} events", lambda: n_inputs() == sent)
    assert counted(one.url, "lifetide_signals_total") > 10
    assert one.process.child.poll() is None

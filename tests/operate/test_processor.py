"""A processor on a real broker answers, and ends in order."""

from conftest import get, get_json


def test_a_processor_is_ready_and_ends_in_order(processor):
    one = processor()
    assert get_json(f"{one.url}/ready") == {"ready": True}
    status, text = get(f"{one.url}/metrics")
    assert status == 200 and b"lifetide_ready 1" in text
    assert one.stop() == 0

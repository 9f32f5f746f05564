"""The HTTP interface keeps what its OpenAPI document promises, for good and for bad requests."""

import copy
import http.client
import json
import uuid
from urllib.parse import quote, urlsplit

import pytest
import schemathesis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from conftest import DEADLINE_S, ROOT, Process, Processor, get, get_json, wait_until
from contracts import assert_valid, validator
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance
from test_signals import Stream, produce

DOCUMENT = json.loads((ROOT / "src/http/openapi.json").read_text())
TOKEN = "0123456789abcdef-shown"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
WRONG_TOKENS = [
    "", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}",
    f"Bearer {TOKEN.upper()}",
]
CUSTOMERS = [f"c-{number}" for number in range(5)]


def strict(schema):
    """A copy in which an answer may have no field that is not documented."""
    schema = copy.deepcopy(schema)

    def close(node):
        if isinstance(node, dict):
            if isinstance(node.get("properties"), dict) and node.get("type") == "object":
                node.setdefault("additionalProperties", False)
            for child in node.values():
                close(child)
        elif isinstance(node, list):
            for child in node:
                close(child)

    close(schema)
    return schema


def loaded():
    """The document, for good and for bad data."""
    schema = schemathesis.openapi.from_dict(strict(DOCUMENT))
    schema.config.generation.update(modes=list(GenerationMode))
    return schema


def promising(status: str) -> list[str]:
    """The paths that may answer so."""
    return [path for path, methods in DOCUMENT["paths"].items()
            if status in methods["get"]["responses"]]


SCHEMA = loaded()
# A stream has no end.
WITH_END = loaded().exclude(path="/signals")
OF_CUSTOMERS = loaded().include(path=promising("401"))
MANY = settings(
    max_examples=60, deadline=None, database=None, derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def guarded(lifetide, broker, scratch):
    """A processor that asks for a token and knows customers, each with a signal."""
    token = scratch / "api-token"
    token.write_text(TOKEN)
    own = {"http.token_file": str(token), "processing.idle_lag_s": -1}
    # A second lane that joins late takes partitions over, and a restore is answered with 503.
    own["processing.workers"] = 1
    one = Processor(lifetide, broker, scratch, own)
    one.create_topics(2)
    produce(one, CUSTOMERS)
    try:
        one.start()
        Stream(one.url, query="?last=5", token=TOKEN).read(len(CUSTOMERS))
        yield one
    finally:
        one.stop()


def test_the_document_is_valid_and_is_what_is_served(demo):
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    assert get_json(f"{demo}/openapi.json") == DOCUMENT


def is_beyond_the_document(case):
    """Whether a request may be refused for what the document cannot say: which tiers there are is
    configured, a cursor is of a page before, and ids are measured in bytes, not in characters.
    """
    if case.path == "/customers":
        return bool({"segment", "after"} & set(case.query or {}))
    return len(str((case.path_parameters or {}).get("id", "")).encode()) > 128


def assert_documented(case, url: str, headers: dict | None = None):
    """For who may see customers."""
    excluded = [positive_data_acceptance] if is_beyond_the_document(case) else []
    answer = case.call_and_validate(
        base_url=url, headers=headers, timeout=30, excluded_checks=excluded
    )
    assert answer.status_code not in (401, 403), answer.content


@pytest.mark.long
@WITH_END.parametrize()
@MANY
def test_every_answer_is_as_documented(case, demo):
    assert_documented(case, demo)


@pytest.mark.long
@WITH_END.parametrize()
@MANY
def test_every_answer_to_who_shows_the_token_is_as_documented(case, guarded):
    assert_documented(case, guarded.url, WITH_TOKEN)


@pytest.mark.long
@OF_CUSTOMERS.parametrize()
@MANY
def test_who_shows_no_token_or_another_is_refused_as_documented(case, guarded):
    for wrong in WRONG_TOKENS:
        answer = case.call(base_url=guarded.url, headers={"Authorization": wrong}, timeout=30)
        expected = 401 if case.method in ("GET", "HEAD") else 405
        assert answer.status_code == expected, (case.method, wrong, answer.content)
        case.validate_response(answer)


def assert_answers(url: str, path: str, status: str, headers: dict, known: dict, **more):
    """A request is answered with this status, and as the document says of it."""
    case = SCHEMA[path]["GET"].Case(
        path_parameters={name: known[name] for name in known if f"{{{name}}}" in path}
    )
    answer = case.call(base_url=url, headers=headers, timeout=30, **more)
    assert str(answer.status_code) == status, (path, answer.status_code, answer.content)
    case.validate_response(answer, excluded_checks=[not_a_server_error])


# How an answer with it is brought about: what differs from a request that is in order.
STATUSES = {
    "200": {},
    "400": {"known": {"id": "x" * 129}, "params": {"last": "x", "limit": "x"}},
    "401": {"headers": {}},
    # Only without a token, and so at the demo.
    "403": {"headers": {"Host": "shop.example"}},
    "404": {"known": {"id": "nobody", "part": "nothing"}},
    "413": {"data": b"{}"},
    "414": {"params": {"x": "x" * 5000}},
    "431": {"headers": {**WITH_TOKEN, "X-Long": "x" * 20_000}},
}
# Answers of a defect, which nothing from outside brings about: src/http/tests.rs has them.
OF_DEFECTS = {("/live", "503"), ("/customers", "500"), ("/customers/{id}", "500")}
# Held against the document by a test of its own.
APART = {("/signals", "200"), *[(path, "503") for path in promising("503")]} | OF_DEFECTS


@pytest.mark.parametrize("path, status", [
    (path, status) for path, methods in DOCUMENT["paths"].items()
    for status in methods["get"]["responses"] if (path, status) not in APART
])
def test_each_documented_status_is_answered_as_documented(path, status, demo, guarded):
    request = {"headers": WITH_TOKEN, "known": {"id": CUSTOMERS[0], "part": "main.js"}}
    url = demo if status == "403" else guarded.url
    assert_answers(url, path, status, **{**request, **STATUSES[status]})


def test_a_stream_is_as_documented(guarded):
    promised = DOCUMENT["paths"]["/signals"]["get"]["responses"]["200"]["content"]
    stream = Stream(guarded.url, query="?last=1000", token=TOKEN)
    media = promised[stream.answer.headers["content-type"]]
    check = validator({**strict(DOCUMENT), **media["schema"]["x-event-data"]})
    for signal in stream.read(len(CUSTOMERS)):
        assert_valid(check, signal, "signal")
    # Behind an id of no place, whatever there is comes after word of a gap.
    stream = Stream(guarded.url, "no place of this topic", token=TOKEN)
    lines = stream.lines()
    gap = dict(line.split(": ", 1) for line in iter(lines.__next__, ""))
    assert gap.keys() == {"event", "id", "data"} and gap["event"] == "gap", gap
    assert "signals before this place are missing" in gap["data"]
    of_all = {signal["customer_id"] for signal in stream.read(len(CUSTOMERS))}
    assert of_all == set(CUSTOMERS)


@pytest.mark.long
def test_what_cannot_be_answered_yet_is_refused_as_documented(processor, broker, scratch):
    """While a partition is restored, which an open transaction in its changelog holds up; and
    where the signals have no topic."""
    one = processor(partitions=1)
    assert one.stop() == 0
    held = Producer({
        "bootstrap.servers": broker, "transactional.id": uuid.uuid4().hex,
        "transaction.timeout.ms": 600_000,
    })
    held.init_transactions(DEADLINE_S)
    held.begin_transaction()
    held.produce(one.topics["kafka.changelog_topic"], b"", b"c-1", partition=0)
    assert held.flush(DEADLINE_S) == 0
    one.process = Process([one.lifetide, "run", "--config", one.config], scratch / "held.log")
    wait_until(
        "the partition to be held up", lambda: "waits for an open transaction" in one.process.text()
    )
    admin, topic = AdminClient({"bootstrap.servers": broker}), one.topics["kafka.signals_topic"]
    admin.delete_topics([topic])[topic].result(DEADLINE_S)
    wait_until("the topic to be gone", lambda: topic not in admin.list_topics(timeout=30).topics)
    for path in promising("503"):
        if (path, "503") in OF_DEFECTS:
            continue
        assert_answers(one.url, path, "503", headers={}, known={"id": "c-1"})
    held.abort_transaction(DEADLINE_S)
    wait_until("the partition to be restored", lambda: get(f"{one.url}/ready")[0] == 200)


@pytest.mark.long
def test_customers_whom_the_demo_knows_are_as_documented(demo):
    operation = SCHEMA["/customers/{id}"]["GET"]
    address = urlsplit(demo).netloc
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
    connection.request("GET", "/signals?last=1000")
    answer = connection.getresponse()
    known = set()

    def is_enough():
        line = answer.readline().decode()
        if line.startswith("data: "):
            known.add(json.loads(line.removeprefix("data: "))["customer_id"])
        return len(known) >= 50

    wait_until("signals of fifty customers", is_enough)
    connection.close()
    for customer in known:
        case = operation.Case(path_parameters={"id": customer})
        answer_of_one = case.call(base_url=demo, timeout=30)
        assert answer_of_one.status_code == 200, (customer, answer_of_one.content)
        case.validate_response(answer_of_one)


@pytest.mark.parametrize("query", [
    "last=1001", "last=-1", "last=", "last=x", "last=1&last=1", "first=1", "last=1.5",
])
def test_a_stream_that_is_asked_for_wrongly_names_the_fault(demo, query):
    status, body = get(f"{demo}/signals?{query}")
    assert status == 400 and "`last`" in json.loads(body)["error"], (status, body)


@pytest.mark.parametrize("customer", [
    "nobody", "a b", "ä/ö?#", "\"<script>", "%", "\u200b", "x" * 128, "☃" * 42,
])
def test_ids_of_any_kind_are_looked_up(demo, customer):
    status, body = get(f"{demo}/customers/{quote(customer, safe='')}")
    assert (status, json.loads(body)["error"]) == (404, f"there is no customer `{customer}`")


@pytest.mark.parametrize("path", ["x" * 129, quote("ä" * 65), "%FF", "%C3"])
def test_what_can_be_no_id_is_refused(demo, path):
    status, body = get(f"{demo}/customers/{path}")
    assert status == 400 and "customer id" in json.loads(body)["error"], (status, body)

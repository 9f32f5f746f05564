"""The HTTP interface keeps what its OpenAPI document promises, for good and for bad requests."""

import copy
import http.client
import json
from urllib.parse import quote, urlsplit

import pytest
import schemathesis
from conftest import DEADLINE_S, ROOT, get, get_json, wait_until
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

DOCUMENT = json.loads((ROOT / "src/http/openapi.json").read_text())


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
    # A stream has no end: tests/operate/test_signals.py reads it.
    return schema.exclude(path="/signals")


SCHEMA = loaded()


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


@pytest.mark.long
@SCHEMA.parametrize()
@settings(
    max_examples=60, deadline=None, database=None, derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(case, demo):
    excluded = [positive_data_acceptance] if is_beyond_the_document(case) else []
    case.call_and_validate(base_url=demo, timeout=30, excluded_checks=excluded)


@pytest.mark.long
def test_customers_whom_the_demo_knows_are_as_documented(demo):
    schema = schemathesis.openapi.from_dict(strict(DOCUMENT))
    operation = schema["/customers/{id}"]["GET"]
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

"""The schemas of `deploy/contracts`, as readers have them and as the program is held to them.

`strict` is for the tests alone: it refuses whatever a schema does not describe, so that a field
or a value that the program adds has to be written down. Readers must never be that strict.
"""

import copy
import json

import jsonschema_rs

from conftest import ROOT

CONTRACTS = ROOT / "deploy/contracts"
# What was promised last. A release replaces the copies; `compatibility.py` compares with them.
PREVIOUS = ROOT / "tests/data/contracts"
# Written by Lifetide, but for the event, which it reads.
NAMES = ("event", "score", "signal", "dead_letter", "receipt")


def schema(name: str, directory=CONTRACTS) -> dict:
    return json.loads((directory / f"{name}.schema.json").read_text())


def subschemas(node, path=""):
    """Every schema in a schema that describes a value, with its place."""
    yield path, node
    for name, sub in node.get("properties", {}).items():
        yield from subschemas(sub, f"{path}/{name}")
    for i, case in enumerate(node.get("allOf", [])):
        yield from subschemas(case["then"], f"{path}/allOf/{i}")


def strict(loose: dict) -> dict:
    """Nothing but what is described: no other field, no value that a reader was not told of."""
    tight = copy.deepcopy(loose)
    for _, node in subschemas(tight):
        if "properties" in node:
            node["additionalProperties"] = False
        if "x-extensible-enum" in node:
            node["enum"] = node["x-extensible-enum"]
    return tight


def validator(document: dict):
    """A validator that also checks formats, which the drafts leave open."""
    return jsonschema_rs.Draft202012Validator(document, validate_formats=True)


def assert_valid(check, value, what):
    """Fails with the place and the fault."""
    faults = [f"{error.instance_path}: {error.message}" for error in check.iter_errors(value)]
    assert not faults, f"{what}: {faults[:5]}\n{json.dumps(value)[:2000]}"


def own_headers(headers) -> dict:
    """A record's headers of our own, as the schemas see them."""
    return {name: value.decode() for name, value in headers if name.startswith("lifetide.")}

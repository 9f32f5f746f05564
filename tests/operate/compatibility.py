"""The rule by which a form may change within its version, and what breaks it.

Of what Lifetide writes, old readers must be able to read new records: whatever a new schema
allows, the old one must have allowed. Of what it reads, records of old producers must stay
welcome: whatever the old schema allowed, the new one must allow. What cannot be told to be
either (another pattern, a keyword not known here) counts as breaking.
"""

# They say something to people, and refuse nothing.
NOTES = {"$schema", "$comment", "title", "description", "examples"}
LOWER, UPPER = {"minimum", "exclusiveMinimum", "minLength"}, {"maximum", "maxLength"}
KNOWN = {"type", "required", "properties", "additionalProperties", "enum", "const", "allOf",
         "x-extensible-enum"} | LOWER | UPPER
# A name that producers may use for fields of their own; no version reads it.
OWN_PREFIX = "x_"


def breaks(old: dict, new: dict, is_written: bool) -> list[str]:
    """What a change from `old` to `new` breaks; `is_written` for what Lifetide writes."""
    return list(_breaks(old, new, is_written, ""))


def _breaks(old, new, is_written, path):
    here = path or "/"
    # The narrower one must be within the wider one.
    narrow, wide = (new, old) if is_written else (old, new)
    for keyword in sorted((old.keys() | new.keys()) - NOTES - KNOWN):
        if old.get(keyword) != new.get(keyword):
            yield f"{here}: `{keyword}` changed"
    for keyword in LOWER | UPPER:
        yield from _bound(keyword, narrow, wide, here)
    if not _types(narrow) <= _types(wide):
        yield f"{here}: type changed"
    for keyword in ("enum", "const"):
        values = wide.get("enum", [wide["const"]] if "const" in wide else None)
        given = narrow.get("enum", [narrow["const"]] if "const" in narrow else None)
        if keyword in wide and (given is None or not all(value in values for value in given)):
            yield f"{here}: values changed"
    if gone := set(old.get("x-extensible-enum", ())) - set(new.get("x-extensible-enum", ())):
        yield f"{here}: {sorted(gone)} are no longer among the values"
    if gone := set(wide.get("required", ())) - set(narrow.get("required", ())):
        yield f"{here}: {sorted(gone)} {'may now be absent' if is_written else 'are now required'}"
    yield from _fields(old, new, is_written, path)
    yield from _cases(old, new, is_written, path)


def _fields(old, new, is_written, path):
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, field in before.items():
        if name in after:
            yield from _breaks(field, after[name], is_written, f"{path}/{name}")
        elif is_written:
            # Its name would be free for another meaning, and readers wait for it.
            yield f"{path}/{name}: removed"
    for name in after.keys() - before.keys():
        if not is_written and name.startswith(OWN_PREFIX):
            yield f"{path}/{name}: names with `{OWN_PREFIX}` are the producers' own"
        rest = old.get("additionalProperties", {})
        if is_written and rest:
            yield from _breaks(rest, after[name], is_written, f"{path}/{name}")
    rest = (old.get("additionalProperties", {}), new.get("additionalProperties", {}))
    if False in rest:
        yield f"{path or '/'}: readers must be open to more fields, so the schema is too"
    elif rest[0] != rest[1]:
        yield f"{path or '/'}: `additionalProperties` changed"


def _cases(old, new, is_written, path):
    """`allOf` holds cases `if` … `then`; only events have some."""
    if is_written:
        if old.get("allOf") != new.get("allOf"):
            yield f"{path or '/'}: `allOf` changed"
        return
    known = set(old.get("properties", {}).get("type", {}).get("enum", ()))
    before = {str(case["if"]): case["then"] for case in old.get("allOf", ())}
    for case in new.get("allOf", ()):
        then = before.get(str(case["if"]))
        about = case["if"]["properties"]["type"]
        kinds = set(about.get("enum", [about.get("const")]))
        if then is not None:
            yield from _breaks(then, case["then"], is_written, f"{path}/{sorted(kinds)}")
        elif kinds & known:
            yield f"{path}/{sorted(kinds)}: a new condition on a type that was there"


def _types(node):
    types = node.get("type", ["null", "boolean", "object", "array", "number", "string"])
    types = set(types if isinstance(types, list) else [types])
    # Whatever is written as an integer is a number.
    return types | {"integer"} if "number" in types else types


def _bound(keyword, narrow, wide, here):
    if keyword not in wide:
        return
    if keyword not in narrow:
        yield f"{here}: `{keyword}` changed"
    elif keyword in LOWER and narrow[keyword] < wide[keyword]:
        yield f"{here}: `{keyword}` changed"
    elif keyword in UPPER and narrow[keyword] > wide[keyword]:
        yield f"{here}: `{keyword}` changed"

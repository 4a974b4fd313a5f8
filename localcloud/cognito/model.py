"""Input checked against botocore's own service model: required, types, lengths, patterns.

The texts are those of AWS's front end: how many errors, and for each the place and the rule.
"""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader

from localcloud.cognito.errors import SerializationException, ValidationException

Shape = dict[str, Any]
_INPUTS = ("GetOpenIdTokenForDeveloperIdentity", "GetCredentialsForIdentity")
_JSON_TYPES: dict[str, type] = {"string": str, "long": int, "map": dict, "structure": dict}


@functools.cache
def _shapes() -> dict[str, Shape]:
    model = Loader().load_service_model("cognito-identity", "service-2")
    shapes: dict[str, Shape] = model["shapes"]
    inputs = {name: shapes[model["operations"][name]["input"]["shape"]] for name in _INPUTS}
    return shapes | inputs


def parse_input(operation: str, body: bytes) -> dict[str, Any]:
    """Give the operation's input, null members left out; unknown members are ignored, as by AWS.

    SerializationException for what is no JSON or of another type, ValidationException for what
    breaks a rule of the model.
    """
    try:
        found = json.loads(body or b"{}")
        # Python's JSON lets halves of surrogate pairs in, which no text of bytes can hold.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise SerializationException("could not parse the body as JSON") from error
    shape = _shapes()[operation]
    _check_type(shape, found, "the body")
    given = {name: found[name] for name in shape["members"] if found.get(name) is not None}
    for name, value in given.items():
        _check_types(_member(shape, name), value, name)
    problems = list(_problems(shape, given))
    if problems:
        plural = "s" if len(problems) > 1 else ""
        summary = f"{len(problems)} validation error{plural} detected: "
        raise ValidationException(summary + "; ".join(problems))
    return given


def _member(shape: Shape, name: str) -> Shape:
    member: Shape = _shapes()[shape["members"][name]["shape"]]
    return member


def _check_types(shape: Shape, value: object, place: str) -> None:
    _check_type(shape, value, place)
    if isinstance(value, dict):
        for item in value.values():
            _check_type(_shapes()[shape["value"]["shape"]], item, place)


def _check_type(shape: Shape, value: object, place: str) -> None:
    wanted = _JSON_TYPES[shape["type"]]
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise SerializationException(f"{place} is of another type than {shape['type']}")


def _problems(shape: Shape, given: dict[str, Any]) -> Iterator[str]:
    for name in shape["members"]:
        place = f"at '{name[0].lower()}{name[1:]}' failed to satisfy constraint:"
        if name in given:
            member, value = _member(shape, name), given[name]
            for rule in _broken(member, value):
                yield f"Value {_shown(member, value)}{place} {rule}"
        elif name in shape["required"]:
            yield f"Value null {place} Member must not be null"


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    if shape["type"] == "map":
        yield from _broken_in_map(shape, value)
        return
    size, measure = (value, "value") if shape["type"] == "long" else (len(value), "length")
    if size > shape.get("max", size):
        yield f"Member must have {measure} less than or equal to {shape['max']}"
    if size < shape.get("min", size):
        yield f"Member must have {measure} greater than or equal to {shape['min']}"
    pattern = shape.get("pattern")
    # The model's patterns are Java's: \w is ASCII, and the whole value must match.
    if pattern is not None and not re.fullmatch(pattern, value, re.ASCII):
        yield f"Member must satisfy regular expression pattern: {pattern}"


def _broken_in_map(shape: Shape, value: dict[str, str]) -> Iterator[str]:
    if len(value) > shape.get("max", len(value)):
        yield f"Member must have length less than or equal to {shape['max']}"
    for part, items in (("keys", value.keys()), ("value", value.values())):
        rules = _shapes()[shape["key" if part == "keys" else "value"]["shape"]]
        broken = sorted({rule for item in items for rule in _broken(rules, item)})
        if broken:
            yield f"Map {part} must satisfy constraint: [{', '.join(broken)}]"


def _shown(shape: Shape, value: object) -> str:
    # A map's values are tokens: never echoed.
    return "" if shape["type"] == "map" else f"'{value}' "

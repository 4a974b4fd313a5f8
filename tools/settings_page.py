"""docs/settings.md, from the JSON schema that pydantic makes of the settings."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic_settings import BaseSettings

Schema = dict[str, Any]

_INTRODUCTION = """\
# Settings

Read from the environment when `uploadgate serve` starts. Lists are JSON: `["a","b"]`. A value that
is not valid, or not safe outside development, is refused at start with the name of its setting.
Generated from `settings.py` by `make generate`."""

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "length ≥ {}",
    "maxLength": "length ≤ {}",
    "pattern": "matches `{}`",
    "minItems": "{} or more",
}
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true/false",
    "object": "JSON object",
}
# How an empty one is written; pydantic leaves the default out of the schema where it is made anew.
_EMPTY = {"array": "`[]`", "object": "`{}`"}


def settings_page(kind: type[BaseSettings]) -> str:
    """Raises ValueError naming every setting that has no description."""
    schema = kind.model_json_schema()
    prefix = str(kind.model_config["env_prefix"])
    described = [*_all_fields(schema, prefix), *_inner_fields(schema)]
    undescribed = [name for name, field in described if not _says(field)]
    if undescribed:
        raise ValueError(f"settings without a description: {', '.join(undescribed)}")
    parts = [_INTRODUCTION, _section("General", "", _fields(schema, prefix))]
    for name, group in _groups(schema):
        says = str(group.get("description", ""))
        parts.append(_section(f"`{name}`", says, _fields(group, f"{prefix}{name}__")))
    for title, inner in _inner(schema):
        says = str(inner.get("description", ""))
        parts.append(_section(title, says, iter(inner["properties"].items()), of="field"))
    return "\n\n".join(parts) + "\n"


def variables(kind: type[BaseSettings]) -> list[str]:
    """The name of every environment variable that is read."""
    fields = _all_fields(kind.model_json_schema(), str(kind.model_config["env_prefix"]))
    return [name for name, _ in fields]


def _all_fields(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
    yield from _fields(schema, prefix)
    for name, group in _groups(schema):
        yield from _fields(group, f"{prefix}{name}__")


def _inner(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """What the values of JSON objects are, by the title of the setting that holds them."""
    for _, group in _groups(schema):
        for field in group["properties"].values():
            for value in field.get("patternProperties", {}).values():
                yield field["title"], _referred(schema, value)


def _inner_fields(schema: Schema) -> Iterator[tuple[str, Schema]]:
    for title, inner in _inner(schema):
        for name, field in inner["properties"].items():
            yield f"{title}: {name}", field


def _groups(schema: Schema) -> Iterator[tuple[str, Schema]]:
    for name, field in schema["properties"].items():
        if "$ref" in field:
            yield name, _referred(schema, field)


def _referred(schema: Schema, field: Schema) -> Schema:
    found: Schema = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
    return found


def _fields(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
    for name, field in schema["properties"].items():
        if "$ref" not in field:
            yield f"{prefix}{name}".upper(), field


def _says(field: Schema) -> str:
    return str(field.get("description", "")).strip()


def _section(
    title: str, says: str, fields: Iterator[tuple[str, Schema]], *, of: str = "variable"
) -> str:
    lines = [f"## {title}", ""]
    if says:
        lines += [says, ""]
    lines += [f"| {of} | type | default | meaning |", "|---|---|---|---|"]
    lines += [
        _row(f"`{name}`", _type(field), _default(field), _says(field)) for name, field in fields
    ]
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _type(field: Schema) -> str:
    kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    return " or ".join(_one_type(kind) for kind in kinds)


def _one_type(kind: Schema) -> str:
    if kind.get("type") == "array":
        name = f"list of {_one_type(kind['items'])}"
    elif "enum" in kind:
        *first, last = (f"`{value}`" for value in kind["enum"])
        name = f"{', '.join(first)} or {last}" if first else last
    elif _is_secret(kind):
        name = "secret"
    else:
        name = _TYPES[kind["type"]]
    bounds = [text.format(kind[key]) for key, text in _BOUNDS.items() if key in kind]
    return ", ".join([name, *bounds])


def _is_secret(kind: Schema) -> bool:
    inner = [*kind.get("anyOf", []), *([kind["items"]] if "items" in kind else [])]
    return kind.get("format") == "password" or any(_is_secret(each) for each in inner)


def _default(field: Schema) -> str:
    if "default" not in field:
        return _EMPTY.get(field.get("type", ""), "required")
    value = field["default"]
    if value is None:
        return "unset"
    if _is_secret(field) and value:
        return "not shown"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"

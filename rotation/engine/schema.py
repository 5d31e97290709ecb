"""Renders the JSON Schema of a policy from the plugins' settings types.

1. What `rotation.engine.policy` accepts, the schema accepts.  The reverse does not hold: rules
   between fields, such as two different slots, are not expressed.
2. Editors read it: ``# yaml-language-server: $schema=...``.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from rotation.engine.duration import DURATION_PATTERN, format_duration
from rotation.model.policy import Policy, Retire

_Schema = dict[str, Any]
_DURATION: Final[_Schema] = {"type": "string", "pattern": DURATION_PATTERN}
_REFERENCE: Final = "#/$defs/{name}"


def policy_schema(issuers: Mapping[str, type], participants: Mapping[str, type]) -> _Schema:
    """Return the JSON Schema (draft 2020-12) of a policy.

    Args:
        issuers: Settings dataclass of each known issuer, by kind.
        participants: Settings dataclass of each known participant, by kind.
    """
    kinds = [*issuers.values(), *participants.values(), Retire]
    references, definitions = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    closed = {name: _close(schema) for name, schema in definitions.items()}
    names = [reference["$ref"].rpartition("/")[2] for reference in references]
    by_type = dict(zip(kinds, names, strict=True))
    stage = _object(
        {
            "stage": {"type": "string", "minLength": 1},
            "participants": {
                "type": "array",
                "minItems": 1,
                "items": _one_of(participants, by_type, closed),
            },
        },
        required=["stage", "participants"],
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rotation policy",
        **_object(
            {
                "issuer": _one_of(issuers, by_type, closed),
                "rollout": {"type": "array", "minItems": 1, "maxItems": 1, "items": stage},
                "soak": {**_DURATION, "default": format_duration(Policy.soak)},
                "retire": {"$ref": _REFERENCE.format(name=by_type[Retire])},
            },
            required=["issuer"],
        ),
        "$defs": closed,
    }


def _object(properties: _Schema, required: list[str]) -> _Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _one_of(plugins: Mapping[str, type], names: Mapping[type, str], closed: _Schema) -> _Schema:
    choices = []
    for kind, settings in plugins.items():
        schema = closed[names[settings]]
        properties = {"kind": {"const": kind}, **schema["properties"]}
        choices.append({"title": kind, **_object(properties, ["kind", *schema["required"]])})
    return {"oneOf": choices}


def _close(schema: Any) -> Any:  # noqa: ANN401 - any part of a JSON Schema
    """Forbid unknown keys, and spell durations as this product does."""
    if isinstance(schema, list):
        return [_close(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "duration":
        return _duration(schema)
    closed = {key: _close(part) for key, part in schema.items()}
    return {**closed, "additionalProperties": False} if "properties" in schema else closed


def _duration(schema: _Schema) -> _Schema:
    if "default" not in schema:
        return dict(_DURATION)
    default = msgspec.convert(schema["default"], timedelta)
    return {**_DURATION, "default": format_duration(default)}

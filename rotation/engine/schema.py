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
from rotation.engine.policy import STAGE_NAME, Kinds
from rotation.model.policy import OnDeadline, ParticipantChoice, Policy, Retire, Stage

_Schema = dict[str, Any]
_DURATION: Final[_Schema] = {"type": "string", "pattern": DURATION_PATTERN}
_REFERENCE: Final = "#/$defs/{name}"
#: Keys of every participant, beside those of its kind.
_PARTICIPANT: Final[_Schema] = {
    "deadline": {**_DURATION, "default": format_duration(ParticipantChoice.deadline)},
    "on_deadline": {
        "enum": [each.value for each in OnDeadline],
        "default": ParticipantChoice.on_deadline.value,
    },
}


def policy_schema(kinds: Kinds) -> _Schema:
    """Return the JSON Schema (draft 2020-12) of a policy.

    Args:
        kinds: The plugins it may name.
    """
    groups = (kinds.issuers, kinds.participants, kinds.gates)
    types = [*(kind for group in groups for kind in group.values()), Retire]
    references, definitions = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    closed = {name: _close(schema) for name, schema in definitions.items()}
    names = [reference["$ref"].rpartition("/")[2] for reference in references]
    by_type = dict(zip(types, names, strict=True))
    stage = {
        "stage": {"type": "string", "pattern": STAGE_NAME},
        "participants": _list_of(_one_of(kinds.participants, by_type, closed, _PARTICIPANT)),
        "gates": _list_of(_one_of(kinds.gates, by_type, closed), least=0),
        "soak": {**_DURATION, "default": format_duration(Stage.soak)},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rotation policy",
        **_object(
            {
                "issuer": _one_of(kinds.issuers, by_type, closed),
                "rollout": _list_of(_object(stage, required=["stage", "participants"])),
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


def _list_of(items: _Schema, least: int = 1) -> _Schema:
    return {"type": "array", "minItems": least, "items": items}


def _one_of(
    plugins: Mapping[str, type],
    names: Mapping[type, str],
    closed: _Schema,
    common: _Schema | None = None,
) -> _Schema:
    choices = []
    for kind, settings in plugins.items():
        schema = closed[names[settings]]
        properties = {"kind": {"const": kind}, **schema["properties"], **(common or {})}
        choices.append({"title": kind, **_object(properties, ["kind", *schema["required"]])})
    return {"oneOf": choices} if choices else {"not": {}}


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

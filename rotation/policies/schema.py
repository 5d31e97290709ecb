"""Renders the JSON Schema of a policy from the plugins' settings types.

1. What `rotation.policies.policy` accepts, the schema accepts.  The reverse does not hold: rules
   between fields, such as two different slots, are not expressed.
2. The types are those that `rotation.policies.typed` reads; each has one spelling, decided here and
   by no library, so that a library's next release never changes the document.
3. Editors read it: ``# yaml-language-server: $schema=...``.
"""

import enum
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from rotation.model.policy import OnDeadline, ParticipantChoice, Policy, Retire, Stage
from rotation.policies.duration import DURATION_PATTERN, format_duration
from rotation.policies.policy import STAGE_NAME, Kinds

_Schema = dict[str, Any]
_DURATION: Final[_Schema] = {"type": "string", "pattern": DURATION_PATTERN}
_PLAIN: Final[Mapping[Any, _Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    timedelta: _DURATION,
}
#: Keys of every participant, beside those of its kind.
_PARTICIPANT: Final[_Schema] = {
    "deadline": {**_DURATION, "default": format_duration(ParticipantChoice.deadline)},
    "on_deadline": {
        "enum": [choice.value for choice in OnDeadline],
        "default": ParticipantChoice.on_deadline.value,
    },
}


def policy_schema(kinds: Kinds) -> _Schema:
    """Return the JSON Schema (draft 2020-12) of a policy.

    Args:
        kinds: The plugins it may name.
    """
    records = _Records()
    stage = {
        "stage": {"type": "string", "pattern": STAGE_NAME},
        "participants": _list_of(records.one_of(kinds.participants, _PARTICIPANT)),
        "gates": _list_of(records.one_of(kinds.gates), least=0),
        "soak": {**_DURATION, "default": format_duration(Stage.soak)},
    }
    policy = {
        "issuer": records.one_of(kinds.issuers),
        "rollout": _list_of(_object(stage, required=["stage", "participants"])),
        "soak": {**_DURATION, "default": format_duration(Policy.soak)},
        "retire": records.render(Retire),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rotation policy",
        **_object(policy, required=["issuer"]),
        "$defs": records.definitions,
    }


class _Records:
    """Renders types, and keeps the records they refer to for ``$defs``."""

    def __init__(self) -> None:
        self.definitions: _Schema = {}

    def one_of(self, plugins: Mapping[str, type], common: _Schema | None = None) -> _Schema:
        """Render a choice between plugins, told apart by ``kind``."""
        choices = []
        for kind, settings in plugins.items():
            record = self._record(settings)
            properties = {"kind": {"const": kind}, **record["properties"], **(common or {})}
            choices.append({"title": kind, **_object(properties, ["kind", *record["required"]])})
        return {"oneOf": choices} if choices else {"not": {}}

    def render(self, kind: Any) -> _Schema:  # noqa: ANN401 - any type of a setting
        """Render one type; a record becomes a reference."""
        origin, parts = get_origin(kind), get_args(kind)
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if is_dataclass(kind) and isinstance(kind, type):
            return self._reference(kind)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"enum": sorted(option.value for option in kind)}
        if origin is Literal:
            return {"enum": sorted(parts)}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.render(part) for part in parts]}
        if origin in (tuple, list):
            return self._items(origin, parts)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.render(parts[1])}
        raise TypeError(f"{kind} has no JSON Schema; see rotation.policies.typed for what is read")

    def _items(self, origin: type, parts: tuple[Any, ...]) -> _Schema:
        if origin is list or parts[1:] == (...,):
            return {"type": "array", "items": self.render(parts[0])}
        counted = {"minItems": len(parts), "maxItems": len(parts)}
        prefix = [self.render(part) for part in parts]
        return {"type": "array", **counted, "prefixItems": prefix, "items": False}

    def _reference(self, kind: type) -> _Schema:
        if kind.__name__ not in self.definitions:
            self.definitions[kind.__name__] = {}  # a record may hold itself
            self.definitions[kind.__name__] = {"title": kind.__name__, **self._record(kind)}
        return {"$ref": f"#/$defs/{kind.__name__}"}

    def _record(self, kind: type) -> _Schema:
        hints = get_type_hints(kind)
        properties, required = {}, []
        for field in fields(kind):
            properties[field.name] = self.render(hints[field.name])
            if field.default is MISSING and field.default_factory is MISSING:
                required.append(field.name)
            else:
                properties[field.name]["default"] = _default(field)
        return _object(properties, required)


def _default(field: Field[Any]) -> object:
    factory = field.default_factory
    return _plain(field.default if factory is MISSING else factory())


def _plain(value: object) -> object:
    """Spell a default as a policy does."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value


def _object(properties: _Schema, required: list[str]) -> _Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _list_of(items: _Schema, least: int = 1) -> _Schema:
    return {"type": "array", "minItems": least, "items": items}

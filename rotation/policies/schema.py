"""Renders the JSON Schemas of policies and of the targets document from plugins' settings types.

1. What `rotation.policies` accepts, the schema accepts.  The reverse does not hold: rules between
   fields, such as two different slots, are not expressed.
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
from rotation.model.target import Demands, target_type
from rotation.policies.choosing import policys_fields
from rotation.policies.duration import DURATION_PATTERN, format_duration
from rotation.policies.policy import STAGE_NAME, Kinds
from rotation.policies.targets import NAME_PATTERN, SECRET_PATTERN, Targets

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
        kinds: The plugins and the targets it may name.
    """
    records, targets = _Records(), kinds.asking.targets
    stage = {
        "stage": {"type": "string", "pattern": STAGE_NAME},
        "participants": _list_of(records.one_of(kinds.participants, targets, _PARTICIPANT)),
        "gates": _list_of(records.one_of(kinds.gates, targets), least=0),
        "soak": {**_DURATION, "default": format_duration(Stage.soak)},
    }
    policy = {
        "issuer": records.one_of(kinds.issuers, targets),
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


def targets_schema(kinds: Mapping[str, type]) -> _Schema:
    """Return the JSON Schema (draft 2020-12) of a targets document.

    Args:
        kinds: Settings record of each plugin, of whatever kind.
    """
    records = _Records()
    target = records.one_target_of(kinds)
    named = {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
        "additionalProperties": target,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rotation targets",
        **_object({"targets": named}, required=["targets"]),
        "$defs": records.definitions,
    }


class _Records:
    """Renders types, and keeps the records they refer to for ``$defs``."""

    def __init__(self) -> None:
        self.definitions: _Schema = {}

    def one_of(
        self, plugins: Mapping[str, type], targets: Targets | None, common: _Schema | None = None
    ) -> _Schema:
        """Render a choice between plugins, told apart by ``kind``."""
        choices = []
        for kind, settings in plugins.items():
            record = self._record(settings)
            if target_type(settings) is None:
                choices.append(_choice(kind, record, common))
                continue
            choices.append(_choice(kind, _on_target(kind, settings, record, targets), common))
        return {"oneOf": choices} if choices else {"not": {}}

    def one_target_of(self, plugins: Mapping[str, type]) -> _Schema:
        """Render a choice between targets, told apart by ``kind``."""
        common = {
            "secrets": _list_of({"type": "string", "pattern": f"^{SECRET_PATTERN}$"}),
            "demands": {**self.render(Demands), "default": {}},
        }
        choices = [
            _choice(kind, self._record(record), common, required=["secrets"])
            for kind, settings in sorted(plugins.items())
            if (record := target_type(settings)) is not None
        ]
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


def _on_target(kind: str, settings: type, record: _Schema, targets: Targets | None) -> _Schema:
    """Return what a policy says where a target has the rest."""
    own = policys_fields(settings)
    name: _Schema = {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
    if targets is not None:
        name = {"enum": [target.name for target in targets if target.kind == kind]}
    properties = {key: value for key, value in record["properties"].items() if key in own}
    required = [key for key in record["required"] if key in own]
    return _object({"target": name, **properties}, ["target", *required])


def _choice(
    kind: str, record: _Schema, common: _Schema | None, required: list[str] | None = None
) -> _Schema:
    properties = {"kind": {"const": kind}, **record["properties"], **(common or {})}
    needed = ["kind", *(required or ()), *record["required"]]
    return {"title": kind, **_object(properties, needed)}


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

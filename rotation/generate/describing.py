"""Turns a plugin's spec into plain data, for ``plugins.json`` and ``rotation plugins --json``."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict

from rotation.generate.fields import describe
from rotation.model.permission import Permission
from rotation.model.plugin import GateSpec, IssuerSpec, ParticipantSpec, Spec


def described(kind: str, spec: Spec) -> Mapping[str, Any]:
    """Return everything a spec says."""
    return {
        "kind": kind,
        "name": spec.name,
        "title": spec.title,
        "does": spec.does,
        **capabilities(spec),
        "settings": [dataclasses.asdict(description) for description in describe(spec.settings)],
        "permissions": [permission(needed) for needed in spec.permissions],
        "permissions_not_needed": [
            asdict(not_needed) for not_needed in spec.permissions_not_needed
        ],
        "rights": list(spec.rights),
        "network": list(spec.network),
        "failure_modes": [asdict(mode) for mode in spec.failure_modes],
        "guide": spec.guide,
    }


def capabilities(spec: Spec) -> dict[str, Any]:
    """Return what a spec of its kind says beyond the others."""
    match spec:
        case IssuerSpec():
            can = asdict(spec.capabilities)
            return {"can": {key: getattr(value, "value", value) for key, value in can.items()}}
        case ParticipantSpec():
            return {"rides_in_write": spec.rides_in_write}
        case GateSpec():
            return {"needs_use": spec.needs_use}
        case _:
            return {}


def permission(need: Permission) -> dict[str, str]:
    """Return one permission as data."""
    return {**asdict(need), "on": need.on.value}

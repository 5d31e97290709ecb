"""Finds plugins by scanning their packages; refuses duplicates and bad specs at start.

Rules of this module:
  1. A plugin is found by being there: one module in its package, exposing one class under the
     name of its kind.  There is no list to edit; deleting the module removes the plugin.
  2. Whatever is wrong with a plugin fails the start of the process, naming the modules.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any

import rotation.gates
import rotation.issuers
import rotation.participants
from rotation.engine.policy import Kinds
from rotation.model.plugin import GateSpec, IssuerSpec, ParticipantSpec
from rotation.ports.gate import Gate
from rotation.ports.issuer import Issuer
from rotation.ports.participant import OutsideParticipant, RidingParticipant


class BadPluginError(Exception):
    """A plugin module breaks a rule; the process must not start."""


def issuers(package: ModuleType = rotation.issuers) -> Mapping[str, type[Issuer]]:
    """Return the issuers by the name policies use."""
    return _scan(package, "ISSUER", IssuerSpec)


def participants(
    package: ModuleType = rotation.participants,
) -> Mapping[str, type[RidingParticipant | OutsideParticipant]]:
    """Return the participants by the name policies use."""
    return _scan(package, "PARTICIPANT", ParticipantSpec)


def gates(package: ModuleType = rotation.gates) -> Mapping[str, type[Gate]]:
    """Return the gates by the name policies use."""
    return _scan(package, "GATE", GateSpec)


def kinds(
    issuers: Mapping[str, type[Issuer]],
    participants: Mapping[str, type[RidingParticipant | OutsideParticipant]],
    gates: Mapping[str, type[Gate]],
) -> Kinds:
    """Return what a policy may name, with the settings of each."""
    return Kinds(
        *(
            {name: each.spec.settings for name, each in group.items()}
            for group in (issuers, participants, gates)
        )
    )


def _scan(package: ModuleType, attribute: str, spec_type: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for module in _modules(package):
        plugin = getattr(module, attribute, None)
        if plugin is None:
            raise BadPluginError(f"{module.__file__}: exposes no {attribute}")
        name = _checked_name(module, plugin, spec_type)
        if name in found:
            raise BadPluginError(f"{origin[name]} and {module.__file__}: both are named {name!r}")
        found[name], origin[name] = plugin, str(module.__file__)
    return found


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package.__name__}.{info.name}")


def _checked_name(module: ModuleType, plugin: Any, spec_type: type) -> str:  # noqa: ANN401
    spec = getattr(plugin, "spec", None)
    if not isinstance(spec, spec_type):
        raise BadPluginError(f"{module.__file__}: its spec is not a {spec_type.__name__}")
    says = "looks_at" if spec_type is GateSpec else "changes"
    missing = [key for key in ("name", "title", says) if not getattr(spec, key)]
    if missing:
        raise BadPluginError(f"{module.__file__}: its spec says nothing for {', '.join(missing)}")
    if not is_dataclass(spec.settings):  # type: ignore[attr-defined]
        raise BadPluginError(f"{module.__file__}: its settings are not a dataclass")
    return str(spec.name)  # type: ignore[attr-defined]

"""Finds plugins by scanning their packages; refuses duplicates and bad specs at start.

Rules of this module:
  1. A plugin is found by being there: one module in its package, exposing one class under the
     name of its kind.  There is no list to edit; deleting the module removes the plugin.
  2. Whatever is wrong with a plugin fails the start of the process, naming the files and what to
     add to them.
  3. A plugin that needs no permission says so: it names what is not needed, and why.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import rotation.gates
import rotation.issuers
import rotation.participants
from rotation.model.permission import Permission
from rotation.model.plugin import (
    Capabilities,
    GateSpec,
    IssuerSpec,
    MadeBy,
    ParticipantSpec,
    Spec,
)
from rotation.policies.policy import Kinds
from rotation.ports.gate import Gate
from rotation.ports.issuer import Composes, Issuer, SeesUse, Suspends
from rotation.ports.participant import OutsideParticipant, RidingParticipant

#: What a spec must say, and how.
_SAYS: Final = {
    "name": "the kind that policies use",
    "title": "one line",
    "does": "what it changes or looks at, one sentence",
    "permissions_not_needed": "what it does without, and why: NotNeeded(WHAT, WHY)",
    "network": "what it must reach, or that it reaches nothing",
    "setbacks": "what may go wrong, and what happens then: Setback(SEEN, THEN)",
}


class BadPluginError(Exception):
    """A plugin module breaks a rule; the process must not start."""


def issuers(package: ModuleType = rotation.issuers) -> Mapping[str, type[Issuer]]:
    """Return the issuers by the name policies use.

    Raises:
        BadPluginError: A plugin breaks a rule.
    """
    return _scan(package, "ISSUER", IssuerSpec)


def participants(
    package: ModuleType = rotation.participants,
) -> Mapping[str, type[RidingParticipant | OutsideParticipant]]:
    """Return the participants by the name policies use."""
    return _scan(package, "PARTICIPANT", ParticipantSpec)


def gates(package: ModuleType = rotation.gates) -> Mapping[str, type[Gate]]:
    """Return the gates by the name policies use."""
    return _scan(package, "GATE", GateSpec)


def specs(
    issuers: Mapping[str, type[Issuer]],
    participants: Mapping[str, type[RidingParticipant | OutsideParticipant]],
    gates: Mapping[str, type[Gate]],
) -> list[tuple[str, Spec]]:
    """Return what every plugin says of itself, with its kind."""
    groups: list[tuple[str, Mapping[str, Any]]] = [
        ("issuer", issuers),
        ("participant", participants),
        ("gate", gates),
    ]
    return [(kind, each.spec) for kind, group in groups for _, each in sorted(group.items())]


def kinds(
    issuers: Mapping[str, type[Issuer]],
    participants: Mapping[str, type[RidingParticipant | OutsideParticipant]],
    gates: Mapping[str, type[Gate]],
) -> Kinds:
    """Return what a policy may name, with the settings of each."""

    def settings(group: Mapping[str, Any]) -> Mapping[str, type]:
        return {name: each.spec.settings for name, each in group.items()}

    blind = (name for name, each in issuers.items() if not each.spec.capabilities.sees_use)
    return Kinds(
        settings(issuers),
        settings(participants),
        settings(gates),
        sightless=frozenset(blind),
        sight_needed=frozenset(name for name, each in gates.items() if each.spec.needs_sight),
    )


def _scan(package: ModuleType, attribute: str, spec_type: type[Spec]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    for module in _modules(package):
        file = Path(str(module.__file__))
        plugin = getattr(module, attribute, None)
        if plugin is None:
            raise BadPluginError(
                f"{file}: exposes no {attribute}; add: {attribute} = the plugin's class"
                " (a module of helpers begins with an underscore)"
            )
        name = _checked_name(file, plugin, spec_type)
        if spec_type is IssuerSpec:
            _check_capabilities(file, plugin)
        if name in found:
            raise BadPluginError(f"{origin[name]} and {file}: both are named {name!r}; rename one")
        found[name], origin[name] = plugin, file
    return found


def _check_capabilities(file: Path, plugin: type) -> None:
    """Refuse an issuer whose spec and class say different things of what it can."""
    can: Capabilities = plugin.spec.capabilities  # type: ignore[attr-defined]
    for port, declared in (
        (Composes, can.made_by is MadeBy.OURS),
        (Suspends, can.suspends),
        (SeesUse, can.sees_use),
    ):
        if issubclass(plugin, port) is not declared:
            has, says = ("lacks", "declares") if declared else ("has", "does not declare")
            raise BadPluginError(
                f"{file}: its spec {says} what {port.__name__} of rotation.ports.issuer is for, and"
                f" its class {has} those methods; make them agree"
            )
    if not can.overlap:
        raise BadPluginError(f"{file}: the engine cannot rotate without overlap yet")


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package.__name__}.{info.name}")


def _checked_name(file: Path, plugin: Any, spec_type: type[Spec]) -> str:  # noqa: ANN401
    spec = getattr(plugin, "spec", None)
    if not isinstance(spec, spec_type):
        raise BadPluginError(
            f"{file}: its spec is not a {spec_type.__name__}; add to the class: "
            f"spec: ClassVar[{spec_type.__name__}] = {spec_type.__name__}(...)"
        )
    missing = [key for key in _SAYS if not getattr(spec, key)]
    if missing:
        raise BadPluginError(
            f"{file}: its spec says nothing for {', '.join(missing)}; add "
            + "; ".join(f"{key}= ({_SAYS[key]})" for key in missing)
        )
    if not is_dataclass(spec.settings):
        raise BadPluginError(
            f"{file}: its settings are not a dataclass; put @dataclass(frozen=True) above them"
        )
    for permission in spec.permissions:
        if not isinstance(permission, Permission) or not permission.why:
            raise BadPluginError(
                f"{file}: a permission of its spec does not say what it is for; "
                "write Permission(NAME, On.PLACE, WHY)"
            )
    return spec.name

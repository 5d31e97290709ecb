"""Finds plugins by their names; imports one when a policy names it, and never before.

Rules of this module:
  1. A plugin is found by being there: one module in its package, exposing one class under the
     name of its kind.  There is no list to edit; deleting the module removes the plugin.
  2. A policy calls a plugin by its module's name, with ``-`` for ``_``.  What cannot be the name of
     a plugin is never imported, and which plugins there are is known without importing any.
  3. A plugin that cannot be loaded, or breaks a rule, is in the way of the secrets that name it and
     of no other.  `generate`, the doctor and the tests load them all, and refuse every one of them.
  4. No name is that of two plugins, of whatever kind, where a target may be of it.
  5. A plugin that needs no permission says so: it names what is not needed, and why.
"""

import importlib
import importlib.util
import re
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import rotation.gates
import rotation.issuers
import rotation.participants
from rotation.model.errors import BadPluginError, MissingLibraryError
from rotation.model.permission import Permission
from rotation.model.plugin import (
    Capabilities,
    GateSpec,
    IssuerSpec,
    MadeBy,
    ParticipantSpec,
    Spec,
)
from rotation.model.target import target_type
from rotation.policies.choosing import Asking
from rotation.policies.policy import Kinds
from rotation.policies.targets import Targets
from rotation.ports.gate import Gate
from rotation.ports.issuer import Composes, Issuer, SeesUse, Suspends
from rotation.ports.participant import OutsideParticipant, RidingParticipant

_Plugin = TypeVar("_Plugin")

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
#: What a spec must say, and how.
_SAYS: Final = {
    "name": "the kind that policies use",
    "title": "one line",
    "does": "what it changes or looks at, one sentence",
    "permissions_not_needed": "what it does without, and why: NotNeeded(WHAT, WHY)",
    "network": "what it must reach, or that it reaches nothing",
    "failure_modes": "what may go wrong, and what happens then: FailureMode(WHEN, THEN)",
}


class Plugins(Mapping[str, type[_Plugin]]):
    """The plugins of one kind by the name policies use; reading one imports its module.

    Raises:
        BadPluginError: When one is read that cannot be loaded, or breaks a rule.
    """

    def __init__(self, package: ModuleType, attribute: str, spec_type: type[Spec]) -> None:
        self._package = package
        self._attribute = attribute
        self._spec_type = spec_type
        self._loaded: dict[str, type[_Plugin]] = {}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(_NAME.fullmatch(name)) and self._is_there(name)

    def __getitem__(self, name: str) -> type[_Plugin]:
        if name not in self._loaded:
            if name not in self:
                raise KeyError(name)
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        names = {_name_of(module) for module in self._modules()}
        return iter(sorted(filter(_NAME.fullmatch, names)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def faults(self) -> Iterator[BadPluginError]:
        """Load every plugin, and yield what is wrong with each that is not fit to be used."""
        for module, count in sorted(Counter(self._modules()).items()):
            file = f"{self._package.__path__[0]}/{module}"
            if not _NAME.fullmatch(_name_of(module)):
                yield BadPluginError(
                    f"{file}.py: no policy can name it; rename it: lower-case letters, digits and"
                    " single underscores between them (helpers begin with an underscore)"
                )
            elif count > 1:
                yield BadPluginError(f"{file}.py and {file}/: one name, two plugins; rename one")
        for name in self:
            try:
                self[name]
            except BadPluginError as error:
                yield error

    def _is_there(self, name: str) -> bool:
        return importlib.util.find_spec(self._module_of(name)) is not None

    def _module_of(self, name: str) -> str:
        return f"{self._package.__name__}.{name.replace('-', '_')}"

    def _modules(self) -> Iterator[str]:
        """Yield the name of each file and each package: twice, where both have it."""
        for folder in self._package.__path__:
            for path in Path(folder).iterdir():
                is_module = path.suffix == ".py" or (path / "__init__.py").exists()
                if is_module and not path.name.startswith("_"):
                    yield path.stem

    def _load(self, name: str) -> type[_Plugin]:
        module = _imported(self._module_of(name), name)
        file = str(module.__file__)
        plugin: Any = getattr(module, self._attribute, None)
        if plugin is None:
            raise BadPluginError(
                f"{file}: exposes no {self._attribute}; add: {self._attribute} = the plugin's class"
                " (a module of helpers begins with an underscore)"
            )
        _check(file, getattr(plugin, "spec", None), self._spec_type, name)
        if self._spec_type is IssuerSpec:
            _check_capabilities(file, plugin)
        return plugin  # type: ignore[no-any-return]


class _Settings(Mapping[str, type]):
    """The settings record of each plugin of one kind; reading one imports its plugin."""

    def __init__(self, plugins: Mapping[str, Any]) -> None:
        self._plugins = plugins

    def __contains__(self, name: object) -> bool:
        return name in self._plugins

    def __getitem__(self, name: str) -> type:
        settings: type = self._plugins[name].spec.settings
        return settings

    def __iter__(self) -> Iterator[str]:
        return iter(self._plugins)

    def __len__(self) -> int:
        return len(self._plugins)


class _Those:
    """The plugins of one kind whose spec has a property; asking imports the plugin asked about."""

    def __init__(self, plugins: Mapping[str, Any], has: Callable[[Any], bool]) -> None:
        self._plugins = plugins
        self._has = has

    def __contains__(self, name: object) -> bool:
        return name in self._plugins and self._has(self._plugins[str(name)].spec)


def issuers(package: ModuleType = rotation.issuers) -> Plugins[Issuer]:
    """Return the issuers by the name policies use; none is imported."""
    return Plugins(package, "ISSUER", IssuerSpec)


def participants(
    package: ModuleType = rotation.participants,
) -> Plugins[RidingParticipant | OutsideParticipant]:
    """Return the participants by the name policies use; none is imported."""
    return Plugins(package, "PARTICIPANT", ParticipantSpec)


def gates(package: ModuleType = rotation.gates) -> Plugins[Gate]:
    """Return the gates by the name policies use; none is imported."""
    return Plugins(package, "GATE", GateSpec)


def kinds(
    issuers: Mapping[str, type[Issuer]],
    participants: Mapping[str, type[RidingParticipant | OutsideParticipant]],
    gates: Mapping[str, type[Gate]],
    targets: Targets | None = None,
) -> Kinds:
    """Return what a policy may name, with the settings of each; none is imported."""
    return Kinds(
        _Settings(issuers),
        _Settings(participants),
        _Settings(gates),
        cannot_see_use=_Those(issuers, lambda spec: not spec.capabilities.sees_use),
        needs_use=_Those(gates, lambda spec: spec.needs_use),
        asking=Asking(targets),
    )


def settings_of_all(*plugins: Mapping[str, Any]) -> Mapping[str, type]:
    """Return the settings record of each plugin of all kinds; reading one imports its plugin."""
    return ChainMap(*(_Settings(kind) for kind in plugins))  # type: ignore[arg-type]


def specs() -> list[tuple[str, Spec]]:
    """Load every plugin, and return what each says of itself, with its kind.

    Raises:
        BadPluginError: Not all of them are fit to be used; it names all that are not.
    """
    if found := faults():
        raise BadPluginError("\n".join(str(fault) for fault in found))
    return [(kind, plugins[name].spec) for kind, plugins in _all() for name in plugins]


def faults() -> list[BadPluginError]:
    """Load every plugin, and return what is wrong with those that are not fit to be used."""
    every = _all()
    found = [fault for _, plugins in every for fault in plugins.faults()]
    return [*found, *_shared_names(every)]


def _shared_names(every: "list[tuple[str, Plugins[Any]]]") -> Iterator[BadPluginError]:
    """Yield what is wrong with names that several plugins have: a target's kind is one of them."""
    kinds = Counter(name for _, plugins in every for name in plugins)
    for name in (name for name, count in kinds.items() if count > 1):
        having = [(kind, plugins) for kind, plugins in every if name in plugins]
        if any(_has_target(plugins, name) for _, plugins in having):
            yield BadPluginError(
                f"{' and '.join(kind for kind, _ in having)} are both called {name!r}, and a target"
                " says its kind by that name; rename one"
            )


def _has_target(plugins: "Plugins[Any]", name: str) -> bool:
    try:
        return target_type(plugins[name].spec.settings) is not None
    except BadPluginError:
        return False  # that is a fault of its own


def _all() -> list[tuple[str, Plugins[Any]]]:
    return [("issuer", issuers()), ("participant", participants()), ("gate", gates())]


def _name_of(module: str) -> str:
    return module.replace("_", "-")


def _imported(module: str, name: str) -> ModuleType:
    """Import a plugin's module.

    Raises:
        BadPluginError: It cannot be imported, for whatever reason.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and not missing.startswith("rotation."):
            raise MissingLibraryError(
                f"{module} cannot be loaded: the library {missing} is not installed",
                remedy=f"install it where this runs; what only one plugin needs is an extra of its"
                f" name: pip install 'rotation[{name}]'",
            ) from error
        raise BadPluginError(
            f"{module} cannot be loaded: {type(error).__name__}{_place(error)}",
            remedy=f"repair it, or remove it (to see more: python -c 'import {module}')",
        ) from error


def _place(error: Exception) -> str:
    """Say where a module broke; what it says may be anything, so it is not repeated."""
    if isinstance(error, SyntaxError):
        return f" in {error.filename}, line {error.lineno}"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace else ""


def _check(file: str, spec: object, spec_type: type[Spec], name: str) -> None:
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
    if spec.name != name:
        raise BadPluginError(
            f"{file}: its spec is named {spec.name!r}, and policies call it by its module's name;"
            f" write name={name!r}, or rename the module"
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


def _check_capabilities(file: str, plugin: type) -> None:
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

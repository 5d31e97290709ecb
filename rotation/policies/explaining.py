"""Says what a secret may use and by which line, and what each plugin of its policy uses.

Decides nothing: whether a policy is allowed is decided by `rotation.policies.choosing` alone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rotation.model.names import SecretName
from rotation.model.target import Target
from rotation.policies.choosing import places
from rotation.policies.policy import encode_record
from rotation.policies.targets import Targets
from rotation.policies.typed import Fault


@dataclass(frozen=True)
class Grant:
    """Whether one secret may use one target."""

    target: Target
    #: What lets it, for example ``targets.orders-db.secrets[0]``; None: nothing does.
    line: str | None
    #: What somebody who owns the document would have to do; empty where it may.
    needed: str


@dataclass(frozen=True)
class Use:
    """One plugin of a policy, and what it uses."""

    #: Where it stands in the policy.
    path: str
    kind: str
    #: What it names; empty: it names none.
    target: str
    #: What lets this secret use it; None: nothing does, or nothing has to.
    line: str | None
    #: What is wrong with it or not allowed.
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class WidePattern:
    """A line that lets more secrets use a target than it names or needs."""

    path: str
    pattern: str


def encode_target(target: Target) -> dict[str, Any]:
    """Spell a target with every default written out; `decode_targets` reads the same."""
    return {
        "kind": target.kind,
        **encode_record(target.settings),
        "secrets": list(target.secrets),
        "demands": encode_record(target.demands),
    }


@dataclass(frozen=True)
class TargetUse:
    """What uses one target."""

    name: str
    #: The projects of its lines, by id or number.
    projects: frozenset[str]
    #: The secrets whose policies name it, and that may use it.
    users: tuple[SecretName, ...]
    #: Whether there is one that may use it, and whose policy does not say what it uses.
    unknown: bool
    #: Patterns that one secret alone makes use of, and that secret.
    wide: tuple[tuple[WidePattern, SecretName], ...]


def usage(targets: Targets, policies: Mapping[SecretName, str]) -> Iterator[TargetUse]:
    """Yield every target with what uses it.

    Args:
        targets: What the deployment lets be touched.
        policies: The stored policies, as text; what is not a policy uses nothing.
    """
    named = {secret: _names(text) for secret, text in policies.items()}
    for target in targets:
        lines = {
            secret: line
            for secret, names in named.items()
            if target.name in names and (line := targets.line_for(target, secret))
        }
        yield TargetUse(
            target.name,
            frozenset(pattern.split("/")[1] for pattern in target.secrets),
            tuple(lines),
            any(not names and targets.line_for(target, one) for one, names in named.items()),
            tuple(_wider(target, lines)),
        )


def _names(text: str) -> set[str]:
    """Return what a policy names, empty where a plugin names nothing; without plugins nothing."""
    try:
        return {str(choice.get("target", "")) for _, choice in places(json.loads(text))}
    except (ValueError, RecursionError):
        return set()


def _wider(
    target: Target, lines: Mapping[SecretName, str]
) -> Iterator[tuple[WidePattern, SecretName]]:
    for index, pattern in enumerate(target.secrets):
        path = f"targets.{target.name}.secrets[{index}]"
        users = [secret for secret, line in lines.items() if line == path]
        if {"*", "?"} & set(pattern) and len(users) == 1:
            yield WidePattern(path, pattern), users[0]


def grants(targets: Targets, secret: SecretName) -> Iterator[Grant]:
    """Yield every target, and by which line a secret may use it."""
    for target in targets:
        line = targets.line_for(target, secret)
        needed = "" if line else f"{secret} under targets.{target.name}.secrets"
        yield Grant(target, line, needed)


def uses(
    document: object, targets: Targets | None, secret: SecretName | None, faults: Iterable[Fault]
) -> Iterator[Use]:
    """Yield every plugin of a policy.

    Args:
        document: The policy, as plain values; possibly faulty.
        targets: What the deployment lets be touched; None: it has no document.
        secret: Whose policy it is; None: nobody's yet.
        faults: What was found in it.
    """
    faults = tuple(faults)
    for path, choice in places(document):
        kind, name = choice.get("kind"), choice.get("target")
        target = targets.get(name) if targets and isinstance(name, str) else None
        line = targets.line_for(target, secret) if targets and target and secret else None
        yield Use(
            path,
            kind if isinstance(kind, str) else "",
            name if isinstance(name, str) else "",
            line,
            tuple(fault for fault in faults if _is_within(fault.path, path)),
        )


def wide_patterns(targets: Iterable[Target]) -> Iterator[WidePattern]:
    """Yield the lines that name every secret of a project."""
    for target in targets:
        for index, pattern in enumerate(target.secrets):
            if not pattern.rpartition("/")[2].strip("*?"):
                yield WidePattern(f"targets.{target.name}.secrets[{index}]", pattern)


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}.", f"{place}["))

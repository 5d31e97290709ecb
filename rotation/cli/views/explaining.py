"""Words and plain values for what a secret may use, and by which line of the targets document.

It decides nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from rotation.cli.views.context import Context, printable
from rotation.model.names import SecretName
from rotation.model.policy import NotKnownHere, Policy
from rotation.policies.duration import format_duration
from rotation.policies.explaining import Grant, Use, WidePattern
from rotation.policies.targets import FaultyTargetsError, Targets
from rotation.policies.typed import Fault

#: Targets that are named before they are connected to.
_MOST: Final = 10


def verdict(
    targets: Targets | None, wide: Iterable[WidePattern], faults: Sequence[Fault]
) -> Iterator[str]:
    """Say whether a targets document is valid, and which of its lines are wide."""
    if faults or targets is None:
        yield str(FaultyTargetsError(list(faults)))
        return
    count = len(targets.names)
    yield f"the targets document is valid: {count} target{'' if count == 1 else 's'}"
    for one in wide:
        yield f"wide: {one.path}: {one.pattern} names every secret of the project"


def grant(granted: Grant) -> Mapping[str, Any]:
    """Return whether a secret may use a target."""
    target = granted.target
    return {
        "name": target.name,
        "kind": target.kind,
        "line": granted.line,
        "needed": granted.needed or None,
    }


def grant_lines(name: SecretName, granted: Sequence[Grant]) -> list[str]:
    """Say which targets a secret may use, and what the others would need."""
    usable = sum(one.line is not None for one in granted)
    lines = [f"{name} may use {usable} of {len(granted)} target{'' if len(granted) == 1 else 's'}"]
    for one in granted:
        label = f"{one.target.name} ({one.target.kind})"
        line = f"by {one.line}" if one.line else f"no; it would need {one.needed}"
        lines.append(f"  {label}: {line}")
    return lines


def use(plugin: Use) -> Mapping[str, Any]:
    """Return what one plugin of a policy uses."""
    return {
        "path": plugin.path,
        "kind": plugin.kind,
        "target": plugin.target or None,
        "line": plugin.line,
        "faults": [fault(one) for one in plugin.faults],
    }


def fault(found: Fault) -> Mapping[str, Any]:
    """Return one fault."""
    return {"path": found.path, "message": found.message, "by": found.by or None}


def plugin_lines(
    plugins: Sequence[Use], faults: Sequence[Fault], policy: Policy | None
) -> list[str]:
    """Say of each plugin of a policy what lets it; then what is wrong with the rest."""
    lines, named = [], {id(found) for plugin in plugins for found in plugin.faults}
    for plugin in plugins:
        label = f"  {plugin.path}: {printable(plugin.kind)}"
        if plugin.faults:
            lines.append(f"{label}: no")
            lines += [f"    {printable(str(found))}" for found in plugin.faults]
        elif plugin.target:
            lines.append(f"{label}, target {printable(plugin.target)}: by {plugin.line}")
        else:
            lines.append(f"{label}: touches nothing outside")
    lines += [f"  {printable(str(found))}" for found in faults if id(found) not in named]
    return [*lines, *demand_lines(policy)]


def demand_lines(policy: Policy | None) -> list[str]:
    """Say which words of a policy are not its own."""
    return [
        f"  {path}: {_time(policy, path)}, demanded by {line}"
        for path, line in (policy.demanded.items() if policy else ())
        if policy
    ]


def name_logins(context: Context, policies: Iterable[Policy | None]) -> None:
    """Say on standard error what is about to be connected to, and with whose login or token.

    With ``--json`` nothing is said.
    """
    reached: dict[str, str] = {}
    for policy in filter(None, policies):
        for choice in policy.choices:
            if choice.target and not isinstance(choice.settings, NotKnownHere):
                reached[choice.target] = choice.settings.reaches()
    named = [f"{name} ({where})" for name, where in reached.items() if where]
    if len(named) > _MOST:
        named = [*named[:_MOST], f"and {len(named) - _MOST} more"]
    if named and not context.json:
        click.echo(printable(f"connecting to {'; '.join(named)}"), err=True)


def _time(policy: Policy, path: str) -> str:
    times = {
        "soak": policy.soak,
        "retire.observe": policy.retire.observe,
        "max_age": policy.max_age,
    }
    found = times.get(path)
    return format_duration(found) if found is not None else "?"

"""The command ``plugins``: which issuers, participants and gates there are, from their specs.

It knows no plugin: whatever the registry finds is listed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any, Final

import click

from rotation.cli.context import Context, json_option
from rotation.model.plugin import GateSpec, IssuerSpec, ParticipantSpec

#: What a spec lists: its attribute, and how people call it.
_LISTS: Final = {
    "permissions": "IAM permissions",
    "permissions_not_needed": "not needed",
    "rights": "rights there",
    "network": "must reach",
}


@click.command()
@json_option
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """List issuers, participants and gates: what they do, and what they need."""
    context = ctx.ensure_object(Context)
    found = [
        *(_described("issuer", each.spec) for each in context.issuers.values()),
        *(_described("participant", each.spec) for each in context.participants.values()),
        *(_described("gate", each.spec) for each in context.gates.values()),
    ]
    context.answer({"plugins": found}, "\n".join(line for each in found for line in _lines(each)))


def _described(kind: str, spec: IssuerSpec | ParticipantSpec | GateSpec) -> Mapping[str, Any]:
    return {
        "kind": kind,
        "name": spec.name,
        "title": spec.title,
        "changes": spec.looks_at if isinstance(spec, GateSpec) else spec.changes,
        "overlapping": getattr(spec, "overlapping", None),
        "settings": [
            {"name": field.name, "required": field.default is MISSING}
            for field in fields(spec.settings)
        ],
        **{name: list(getattr(spec, name, ())) for name in _LISTS},
    }


def _lines(plugin: Mapping[str, Any]) -> Iterator[str]:
    yield f"{plugin['kind']} {plugin['name']}: {plugin['title']}"
    yield f"  {plugin['changes']}"
    for name, title in _LISTS.items():
        for each in plugin[name]:
            yield f"  {title}: {each}"
    settings = [f"{each['name']}{'' if each['required'] else '?'}" for each in plugin["settings"]]
    if settings:
        yield f"  settings (? optional): {' '.join(settings)}"

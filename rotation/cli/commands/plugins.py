"""The command ``plugins``: which issuers, participants and gates there are, from their specs.

It knows no plugin: whatever the registry finds is listed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from rotation.cli.views.context import Context, json_option
from rotation.generate.describing import described


@click.command()
@json_option
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """List issuers, participants and gates: what they do, and what they need.

    With --json: {"plugins": [...]}, as in deploy/generated/plugins.json.
    """
    context = ctx.ensure_object(Context)
    found = [described(kind, spec) for kind, spec in context.specs]
    context.answer(
        {"plugins": found}, "\n".join(line for plugin in found for line in _lines(plugin))
    )


def _lines(plugin: Mapping[str, Any]) -> Iterator[str]:
    yield f"{plugin['kind']} {plugin['name']}: {plugin['title']}"
    yield f"  {plugin['does']}"
    for need in plugin["permissions"]:
        when = f", with {need['when']}" if need["when"] else ""
        yield f"  needs {need['name']} on {need['which'] or need['on']}{when}: {need['why']}"
    for spared in plugin["permissions_not_needed"]:
        yield f"  not needed: {spared['what']}: {spared['why']}"
    for title, key in (("rights there", "rights"), ("must reach", "network")):
        yield from (f"  {title}: {text}" for text in plugin[key])
    settings = [
        f"{setting['name']}{'' if setting['required'] else '?'}" for setting in plugin["settings"]
    ]
    if settings:
        yield f"  settings (? optional): {' '.join(settings)}"

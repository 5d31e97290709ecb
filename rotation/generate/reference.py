"""Renders the reference pages: the policy, permissions by part, states, and the command line.

The command line is handed in as it is built: this package lies below it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from rotation.generate import states
from rotation.generate.fields import meaning_of
from rotation.generate.files import MARK
from rotation.generate.pages import page_path, table
from rotation.generate.roles import Role, roles
from rotation.google.needs import NOT_NEEDED
from rotation.machine.transitions import TRANSITIONS
from rotation.model.plugin import Spec
from rotation.model.policy import ParticipantChoice, Policy, Retire, Stage
from rotation.policies.duration import format_duration

if TYPE_CHECKING:
    import click

_FOLDER: Final = "deploy/docs"
_SCOPES: Final = {
    "secret": "each managed secret; for people, on given ones",
    "secret-read": (
        "each secret that a policy names for reading;"
        " for whoever runs doctor, on managed ones as well"
    ),
    "project": "the project",
    "topic": "the topic `rotation`",
    "topic-emergency": "the topic `rotation-emergency`",
    "service": "the Cloud Run service",
    "account": "the function's service account",
}
_ROLES: Final = "Custom roles, one for each part, with what the plugins that are there declare."
_DATA: Final = "[iam.json](../generated/iam.json)"
_Row = tuple[str, str, str, str]


def render(specs: Sequence[tuple[str, Spec]]) -> dict[str, str]:
    """Return the pages that need no command line, by path."""
    found = roles({f"{kind} {spec.name}": spec for kind, spec in specs})
    return {
        f"{_FOLDER}/policy.md": _policy(specs),
        f"{_FOLDER}/permissions.md": _permissions(found),
        f"{_FOLDER}/states.md": _states(),
    }


def render_commands(root: "click.Group", exit_codes: str) -> dict[str, str]:
    """Return the page of the command line, by its path."""
    codes = exit_codes.replace("\b\n", "").strip()
    parts = [f"<!-- {MARK} -->", "# Command line", f"```\n{codes}\n```"]
    import click  # noqa: PLC0415 - the extra [cli]

    parts += _commands(root, click.Context(root, info_name="rotation"))
    return {f"{_FOLDER}/cli.md": "\n\n".join(parts) + "\n"}


def _page(*parts: str) -> str:
    return "\n\n".join([f"<!-- {MARK} -->", *parts]) + "\n"


def _policy(specs: Sequence[tuple[str, Spec]]) -> str:
    def links(kind: str) -> str:
        named = (
            f"[`{spec.name}`]({page_path(kind, spec).removeprefix(_FOLDER + '/')})"
            for plugin, spec in specs
            if plugin == kind
        )
        return ", ".join(named) or "none"

    head = ("key", "type", "default", "meaning")
    top: list[_Row] = [
        ("`issuer`", "object", "required", f"`kind` and its settings: {links('issuer')}"),
        ("`rollout`", "list of stages", "one stage with `alias`", "see below"),
        ("`soak`", "duration", _time(Policy, "soak"), "how long both credentials work at the end"),
        ("`retire`", "object", "`{}`", "see below"),
    ]
    stage: list[_Row] = [
        ("`stage`", "text", "required", "name, unique in the policy"),
        ("`participants`", "list", "required", f"`kind` and its settings: {links('participant')}"),
        ("`gates`", "list", "`[]`", f"`kind` and its settings: {links('gate')}"),
        ("`soak`", "duration", _time(Stage, "soak"), "how long the stage is watched"),
    ]
    common: list[_Row] = [
        ("`deadline`", "duration", _time(ParticipantChoice, "deadline"),
         "how long a participant may take"),
        ("`on_deadline`", "text", f"`{ParticipantChoice.on_deadline.value}`", "what happens then"),
    ]  # fmt: skip
    retire: list[_Row] = [
        (f"`{field.name}`", "duration", _time(Retire, field.name), meaning_of(Retire, field.name))
        for field in fields(Retire)
    ]
    return _page(
        "# Policy",
        "The annotation `rotation.policy`, written by `rotation policy apply` or Terraform. "
        "Unknown keys are errors. What is touched outside is the deployment's to say: a plugin "
        "that touches something takes `target`, a name of the [targets document](targets.md), and "
        "of its settings those that are the policy's. For editors: "
        "[policy.schema.json](../generated/policy.schema.json).",
        table(head, top),
        "## Stage",
        table(head, stage),
        "Every participant takes, beside the settings of its kind:",
        table(head, common),
        "## Retire",
        table(head, retire),
    )


def _time(owner: type, name: str) -> str:
    return f"`{format_duration(getattr(owner, name))}`"


def _permissions(found: Sequence[Role]) -> str:
    parts = [
        "# Permissions",
        f"{_ROLES} As data: {_DATA}; for gcloud: `deploy/generated/roles/`.",
    ]
    for role in found:
        rows = ((f"`{name}`", "; ".join(role.because[name])) for name in role.permissions)
        where = f"On {_SCOPES[role.scope]}; for the {role.part}."
        only = " Only where a policy calls for it." if role.optional else ""
        parts += [f"## {role.id}", f"{where}{only}", table(("permission", "because"), rows)]
    rows = ((f"`{not_needed.what}`", not_needed.why) for not_needed in NOT_NEEDED)
    parts += ["## What is not needed", table(("permission", "because"), rows)]
    return _page(*parts)


def _states() -> str:
    rows = (
        (f"`{before.value}`", event.value, f"`{after.value}`")
        for (before, event), after in TRANSITIONS.items()
    )
    costs = ("before", "is looked at", "Google's calls, more", "logins, more")
    return _page(
        "# States of a rotation",
        states.draw(),
        table(("in", "when", "then"), rows),
        "## What is looked at before something ends",
        "Nothing ends on the record's word alone. What is not so blocks the secret; nothing is"
        " changed.",
        table(costs, states.proofs()),
        states.PROOFS_END,
    )


def _commands(command: "click.Command", ctx: "click.Context") -> Iterator[str]:
    import click  # noqa: PLC0415 - the extra [cli]

    yield f"## {ctx.command_path}"
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield f"```\n{usage}\n```"
    if command.help:
        yield _help(command.help)
    rows = [record for param in command.get_params(ctx) if (record := _record(param, ctx))]
    if rows:
        yield table(("option", "meaning"), rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            if inner is not None and not inner.hidden:
                yield from _commands(inner, click.Context(inner, parent=ctx, info_name=name))


def _record(param: "click.Parameter", ctx: "click.Context") -> tuple[str, str] | None:
    found: Any = param.get_help_record(ctx)
    return (f"`{found[0]}`", found[1]) if found else None


def _help(text: str) -> str:
    """Return a command's help as Markdown; what click must not wrap keeps its lines."""
    parts = []
    for paragraph in text.strip().split("\n\n"):
        lines = [line.strip() for line in paragraph.strip("\n").splitlines()]
        if lines and lines[0] == "\b":
            parts.append("\n".join(["```", *lines[1:], "```"]))
        else:
            parts.append(" ".join(lines))
    return "\n\n".join(parts)

"""Renders one page for each plugin, and the index of all.

Rules of this module:
  1. Every page has the same five headings, in the same order; what does not apply says so.
  2. A page says what its spec says, and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from rotation.generate.fields import Described, describe
from rotation.generate.files import MARK
from rotation.model.permission import On, Permission
from rotation.model.plugin import (
    Capabilities,
    Fence,
    IssuerSpec,
    MadeBy,
    ParticipantSpec,
    Spec,
)
from rotation.model.target import target_type

FOLDER: Final = "deploy/docs/plugins"
#: As long as a deployment may do without a targets document.
HEADINGS: Final = (
    "What it does",
    "Settings",
    "Permissions",
    "Rights and network",
    "When it fails",
)
_PLURALS: Final = {"issuer": "Issuers", "participant": "Participants", "gate": "Gates"}
_FENCES: Final[Mapping[Fence, str]] = {
    Fence.TARGET: "A late worker is refused by the system itself, in the step that changes it.",
    Fence.KEY_ID: "A late worker adds a key of its own, which nobody uses and which is removed.",
    Fence.SECRET: "Nothing outside changes: a late worker fails to write the secret.",
    Fence.NONE: "Nothing keeps a late worker out; two at once may undo each other's change.",
}
_MAKERS: Final[Mapping[MadeBy, str]] = {
    MadeBy.OURS: "The value is made here, before the system knows it.",
    MadeBy.THEIRS: "The system makes the value.",
}
#: How a place is named where nothing more exact is known.
PLACES: Final[Mapping[On, str]] = {
    On.MANAGED_SECRET: "each managed secret",
    On.READ_SECRET: "a secret that is read",
    On.PROJECT: "the project",
    On.TOPIC: "the topic",
    On.SUBSCRIPTION: "the subscription",
    On.SERVICE: "the service",
    On.ACCOUNT: "the function's account",
}


def render(specs: Sequence[tuple[str, Spec]]) -> dict[str, str]:
    """Return every page, by its path."""
    pages = {page_path(kind, spec): _page(kind, spec) for kind, spec in specs}
    return {**pages, f"{FOLDER}/README.md": _index(specs)}


def page_path(kind: str, spec: Spec) -> str:
    """Return where the page of a plugin lies."""
    return f"{FOLDER}/{kind}-{spec.name}.md"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def settings_table(settings: Sequence[Described]) -> str:
    """Return the settings of a plugin as a table."""
    rows = (
        (f"`{setting.name}`", setting.type, _default(setting), setting.meaning)
        for setting in settings
    )
    return table(("setting", "type", "default", "meaning"), rows)


def _page(kind: str, spec: Spec) -> str:
    sections = (
        _does(spec),
        _settings(spec),
        _permissions(spec),
        _rights(spec),
        _failure_modes(spec),
    )
    parts = [f"<!-- {MARK} -->", f"# {kind.capitalize()} `{spec.name}`", f"{spec.title}."]
    if spec.guide:
        parts.append(f"The guide: [{spec.guide}](../{spec.guide}).")
    for heading, section in zip(HEADINGS, sections, strict=True):
        parts += [f"## {heading}", *section]
    return "\n\n".join(parts) + "\n"


def _does(spec: Spec) -> Iterator[str]:
    yield f"It {spec.does}."
    match spec:
        case IssuerSpec():
            yield "\n".join(f"* {capability}" for capability in _capabilities(spec.capabilities))
        case ParticipantSpec(rides_in_write=True):
            yield "Its change is part of the secret and rides in the write that stores the phase."
        case _:
            pass
    if spec.notes:
        yield spec.notes


def _capabilities(can: Capabilities) -> Iterator[str]:
    if can.overlap:
        yield "Old and new credential both work while consumers move."
    else:
        yield "There is one identity: consumers are cut off until they have the new credential."
    yield _FENCES[can.fence]
    yield _MAKERS[can.made_by]
    if can.suspends:
        yield "The previous credential is suspended first, and can be given back."
    else:
        yield "A credential cannot be suspended: it works until it is revoked."
    if can.sees_use:
        yield "It shows who still uses the previous credential, and nothing is retired before."
    else:
        yield (
            "It cannot show who uses a credential: the previous one is retired by age, by what"
            " participants hand out, and by what consumers report to a gate."
        )


def _settings(spec: Spec) -> Iterator[str]:
    settings = describe(spec.settings)
    if target_type(spec.settings) is None:
        yield settings_table(settings) if settings else "It has none."
        return
    yield (
        "The deployment says in its [targets document](../targets.md) what may be touched, beside"
        " `secrets` and `demands`:"
    )
    yield settings_table([setting for setting in settings if setting.owner == "target"])
    own = [setting for setting in settings if setting.owner == "policy"]
    yield "The policy says `target`, the target's name" + (
        ", and:" if own else ", and nothing else."
    )
    if own:
        yield settings_table(own)


def _permissions(spec: Spec) -> Iterator[str]:
    if spec.permissions:
        rows = [
            (f"`{needed.name}`", place(needed), needed.why, needed.when or "always")
            for needed in spec.permissions
        ]
        yield table(("needed", "on", "to", "when"), rows)
    else:
        yield "It needs none of its own."
    without = ((not_needed.what, not_needed.why) for not_needed in spec.permissions_not_needed)
    yield table(("not needed", "because"), without)


def place(need: Permission) -> str:
    """Say on what a permission is granted."""
    return need.which or PLACES[need.on]


def _rights(spec: Spec) -> Iterator[str]:
    if spec.rights:
        yield "Rights in the system outside:"
        yield "\n".join(f"* {right}" for right in spec.rights)
    else:
        yield "It needs no right in another system."
    if isinstance(spec, IssuerSpec) and (scripts := spec.grants()):
        links = (f"[{name}](../../generated/sql/{name})" for name in scripts)
        yield f"Scripts that grant them: {', '.join(links)}."
    yield "It must reach:"
    yield "\n".join(f"* {line}" for line in spec.network)


def _failure_modes(spec: Spec) -> Iterator[str]:
    yield table(("when", "then"), ((mode.when, mode.then) for mode in spec.failure_modes))


def _index(specs: Sequence[tuple[str, Spec]]) -> str:
    parts = [f"<!-- {MARK} -->", "# Plugins", "What a policy may name. One file is one plugin."]
    for kind, plural in _PLURALS.items():
        rows = [
            (f"[`{spec.name}`]({kind}-{spec.name}.md)", spec.title, spec.does)
            for name, spec in specs
            if name == kind
        ]
        parts += [f"## {plural}", table(("kind", "title", "it"), rows) if rows else "None."]
    return "\n\n".join(parts) + "\n"


def _default(setting: Described) -> str:
    return "required" if setting.required else f"`{setting.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

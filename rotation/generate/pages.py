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
from rotation.model.plugin import IssuerSpec, ParticipantSpec, Spec

FOLDER: Final = "deploy/docs/plugins"
HEADINGS: Final = (
    "What it does",
    "Settings",
    "Permissions",
    "Rights and network",
    "When it fails",
)
_PLURALS: Final = {"issuer": "Issuers", "participant": "Participants", "gate": "Gates"}
#: How a place is told where nothing more exact is.
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
    lines += ["| " + " | ".join(_cell(each) for each in row) + " |" for row in rows]
    return "\n".join(lines)


def settings_table(settings: Sequence[Described]) -> str:
    """Return the settings of a plugin as a table."""
    rows = ((f"`{each.name}`", each.type, _default(each), each.meaning) for each in settings)
    return table(("setting", "type", "default", "meaning"), rows)


def _page(kind: str, spec: Spec) -> str:
    sections = (
        _does(spec),
        _settings(spec),
        _permissions(spec),
        _rights(spec),
        _setbacks(spec),
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
        case IssuerSpec(overlapping=True):
            yield "Old and new credential both work while consumers move."
        case IssuerSpec():
            yield "There is one identity: consumers are cut off until they have the new credential."
        case ParticipantSpec(rides_in_write=True):
            yield "Its change is part of the secret and rides in the write that stores the phase."
        case _:
            pass
    if spec.notes:
        yield spec.notes


def _settings(spec: Spec) -> Iterator[str]:
    settings = describe(spec.settings)
    yield settings_table(settings) if settings else "It has none."


def _permissions(spec: Spec) -> Iterator[str]:
    if spec.permissions:
        rows = ((f"`{each.name}`", place(each), each.why, each.when or "always")
                for each in spec.permissions)  # fmt: skip
        yield table(("needed", "on", "to", "when"), rows)
    else:
        yield "It needs none of its own."
    without = ((each.what, each.why) for each in spec.permissions_not_needed)
    yield table(("not needed", "because"), without)


def place(need: Permission) -> str:
    """Say on what a permission is granted."""
    return need.which or PLACES[need.on]


def _rights(spec: Spec) -> Iterator[str]:
    if spec.rights:
        yield "Rights in the system outside:"
        yield "\n".join(f"* {each}" for each in spec.rights)
    else:
        yield "It needs no right in another system."
    if isinstance(spec, IssuerSpec) and (scripts := spec.grants()):
        links = (f"[{name}](../../generated/sql/{name})" for name in scripts)
        yield f"Scripts that grant them: {', '.join(links)}."
    yield "It must reach:"
    yield "\n".join(f"* {each}" for each in spec.network)


def _setbacks(spec: Spec) -> Iterator[str]:
    yield table(("when", "then"), ((each.seen, each.then) for each in spec.setbacks))


def _index(specs: Sequence[tuple[str, Spec]]) -> str:
    parts = [f"<!-- {MARK} -->", "# Plugins", "What a policy may name. One file is one plugin."]
    for kind, plural in _PLURALS.items():
        rows = [
            (f"[`{spec.name}`]({kind}-{spec.name}.md)", spec.title, spec.does)
            for each, spec in specs
            if each == kind
        ]
        parts += [f"## {plural}", table(("kind", "title", "it"), rows) if rows else "None."]
    return "\n\n".join(parts) + "\n"


def _default(setting: Described) -> str:
    return "required" if setting.required else f"`{setting.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

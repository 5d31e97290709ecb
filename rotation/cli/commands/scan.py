"""The command ``scan``: every use of a secret in a folder, and whether it is pinned.

1. Exit codes: 0 nothing of ``--fail-on`` was found; 1 something was; 2 used wrongly, or a part of
   the folder could not be read, so that nobody knows.
2. It reads files, and asks nobody.
3. Standard output has the lines, one JSON object, or one SARIF log, and nothing else.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from rotation.cli.views import sarif
from rotation.cli.views.context import Context, json_option, printable
from rotation.cli.views.failures import NO, OK, USAGE
from rotation.cli.views.scanning import Line, Scan
from rotation.config import ConfigError
from rotation.pins.use import State

_NOT_PINNED: Final = (State.ALIAS, State.LATEST, State.UNPINNED, State.UNCLEAR)
_CHOICES: Final = [*(state.value for state in State if state is not State.PINNED), "none"]


class _States(click.ParamType[frozenset[State]]):
    name = "states"

    def convert(
        self,
        value: str | frozenset[State],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> frozenset[State]:
        if not isinstance(value, str):
            return value
        names = [name.strip() for name in value.split(",") if name.strip()]
        wrong = [name for name in names if name not in _CHOICES]
        if wrong or not names:
            self.fail(f"{value!r} is not a list of: {', '.join(_CHOICES)}", param, ctx)
        return frozenset(State(name) for name in names if name != "none")


@click.command()
@click.argument("root", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="sarif is for code hosts.",
)
@click.option(
    "--fail-on",
    type=_States(),
    default=",".join(state.value for state in _NOT_PINNED),
    show_default=True,
    metavar="STATES",
    help=f"What makes the exit code 1: a comma list of {', '.join(_CHOICES)}.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Pass over paths below DIR.")
@json_option
@click.pass_context
def scan(
    ctx: click.Context,
    root: Path,
    form: str,
    fail_on: frozenset[State],
    exclude: tuple[str, ...],
) -> None:
    """List every use of a secret in DIR, and say how each that is not pinned is mended.

    Exits with 1 when one is in a state of --fail-on. What is filled in from elsewhere (indirect)
    is listed, and fails only when asked to.
    """
    context = ctx.ensure_object(Context)
    what = Scan(root, exclude, _project(context))
    lines = list(what.lines())
    failing = [line for line in lines if line.state in fail_on]
    if form == "sarif":
        click.echo(json.dumps(sarif.render(lines, fail_on, version("rotation")), indent=2))
    elif form == "json" or context.json:
        click.echo(json.dumps(_body(root, lines, fail_on), indent=2))
    else:
        click.echo("\n".join([*map(_text, lines), _summary(lines)]))
    for path in what.unread:
        click.echo(f"rotation: not read: {printable(path)}", err=True)
    ctx.exit(NO if failing else USAGE if what.unread else OK)


def _project(context: Context) -> str:
    """Return the project for the commands that are proposed."""
    try:
        return context.project
    except ConfigError:
        return "PROJECT"


def _text(line: Line) -> str:
    fix = f"; {line.fix}" if line.fix else ""
    place = f"{printable(line.path)}:{line.line}"
    return f"{place}: {line.secret} ({line.kind}) {line.says}{fix}"


def _summary(lines: Sequence[Line]) -> str:
    if not lines:
        return "no use of a secret was found"
    files = len({line.path for line in lines})
    counts = Counter(line.state for line in lines)
    by_state = ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state])
    return f"{len(lines)} {_many('use', len(lines))} in {files} {_many('file', files)}: {by_state}"


def _many(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _body(root: Path, lines: Sequence[Line], fail_on: Collection[State]) -> Mapping[str, Any]:
    counts = Counter(line.state for line in lines)
    return {
        "root": str(root),
        "failing": sum(counts[state] for state in fail_on),
        "counts": {state.value: counts[state] for state in State},
        "uses": [
            {
                "path": line.path,
                "line": line.line,
                "column": line.column,
                "secret": line.secret,
                "kind": line.kind,
                "state": line.state.value,
                "version": line.version or None,
                "marked": line.marked,
                "fix": line.fix or None,
            }
            for line in lines
        ],
    }

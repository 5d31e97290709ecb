"""The command ``pin``: turn ``latest``, an alias or nothing into a number, and place the marker.

1. Without ``--version`` it pins what consumers get now: the version that the alias ``current``
   points to.  A number that stands in the file already is then left alone.
2. The file appears whole or not at all, with its mode; a file that needs no change is not written.
3. What cannot be pinned surely is refused with its line, and nothing is changed.
"""

import difflib
import os
import tempfile
from pathlib import Path

import click

from rotation.cli.views.context import Context, json_option, printable
from rotation.model.errors import PermanentError
from rotation.model.names import SecretName
from rotation.participants.alias import CURRENT
from rotation.pins.adopting import Adopted, Wish, adopt


@click.command()
@click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--secret", required=True, metavar="NAME", help="Its id, or its full name.")
@click.option(
    "--version", "number", type=click.IntRange(min=1), help="Else the one that `current` points to."
)
@click.option("--marker/--no-marker", default=True, help="Mark the lines; the default.")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@json_option
@click.pass_context
def pin(
    ctx: click.Context, file: Path, secret: str, number: int | None, *, marker: bool, dry_run: bool
) -> None:
    """Pin every use of a secret in FILE to one version, and mark the lines for `rotation`."""
    context = ctx.ensure_object(Context)
    wish = _wish(context, context.secret_name(secret), number, marker=marker)
    target = file.resolve()
    content = target.read_bytes()
    adopted = adopt(content, file.as_posix(), wish)
    diff = _diff(file, content, adopted.content)
    if diff and not dry_run:
        _replace(target, adopted.content)
    done = "unchanged" if not diff else "would change" if dry_run else "pinned"
    body = {
        "file": str(file),
        "secret": str(wish.secret),
        "version": wish.version,
        "result": done,
        "lines": list(adopted.lines),
        "unmarked": list(adopted.unmarked),
        "diff": diff,
    }
    context.answer(body, "\n".join([*diff, f"{printable(str(file))}: {_sentence(done, wish)}"]))
    if adopted.unmarked:
        click.echo(f"note: {_about_markers(file, adopted)}", err=True)


def _wish(context: Context, name: SecretName, number: int | None, *, marker: bool) -> Wish:
    if number is not None:
        return Wish(name, number, str.__eq__, replace=True, marker=marker)
    secret = context.store.get(name)
    current = secret.aliases.get(CURRENT)
    if current is None:
        raise PermanentError(
            f"{name} has no alias `{CURRENT}`, so the version in force is not known",
            remedy="give --version N",
            reason="no-current",
        )
    spellings = {name.project, secret.name.project}

    def same(one: str, other: str) -> bool:
        return one == other or {one, other} <= spellings

    return Wish(name, current, same, marker=marker)


def _diff(file: Path, before: bytes, after: bytes) -> list[str]:
    old, new = (part.decode().splitlines() for part in (before, after))
    found = difflib.unified_diff(old, new, str(file), str(file), lineterm="")
    return ["\t".join(map(printable, line.split("\t"))) for line in found]


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(content)
            os.fchmod(written.fileno(), path.stat().st_mode & 0o7777)
            written.flush()
            os.fsync(written.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sentence(done: str, wish: Wish) -> str:
    if done == "unchanged":
        return f"{wish.secret} is pinned already"
    return (
        f"{wish.secret} {'would be' if done == 'would change' else 'is'} pinned to {wish.version}"
    )


def _about_markers(file: Path, adopted: Adopted) -> str:
    lines = ", ".join(str(number) for number in adopted.unmarked)
    many = "s" if len(adopted.unmarked) > 1 else ""
    return (
        f"no comment can stand on line{many} {lines} of {printable(str(file))}; in the policy, let"
        " the participant locate this pin by `resource` or `path`"
    )

"""The command ``generate``: render documents and deployment files from the plugins that are there.

1. It works on a checkout, with that checkout's own code: another one's plugins are not these.
2. What was generated before and no longer belongs is removed.
3. ``--check`` changes nothing, names each file that differs, and exits with 1 when there is one.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

import rotation as package
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.failures import EXIT_CODES, NO, OK
from rotation.generate import deployed, documents, files, pages, reference
from rotation.model.errors import PermanentError

_HERE: Final = Path(package.__file__).parent.parent
#: What a checkout has and an installed package has not.
_SIGNS: Final = ("pyproject.toml", "deploy/docs", "rotation/registry.py")


class NoCheckoutError(PermanentError):
    """There is no checkout to write to."""

    reason = "no-checkout"


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 when a file differs.")
@click.option(
    "--root",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The checkout to write to; else the one this program runs from.",
)
@json_option
@click.pass_context
def generate(ctx: click.Context, root: Path | None, *, check: bool) -> None:
    """Render documentation, IAM roles, grants and schemas from the plugins that are there.

    Into deploy/generated and deploy/docs, and between the markers of README.md and
    rotation/README.md.

    With --json: {"changes": [{"path", "how"}]}; how is missing, differs or left over.
    """
    context = ctx.ensure_object(Context)
    at = checkout(root)
    if at != _HERE:
        words = ["--check"] * check + ["--json"] * context.json
        ctx.exit(in_checkout(at, "generate", *words))
    wanted = {**rendered(context), **documents.rendered(at)}
    changes = files.drift(at, wanted)
    if not check:
        files.write(at, wanted, also=documents.DOCUMENTS)
    body = {"changes": [{"path": change.path, "how": change.how} for change in changes]}
    done = "" if check else "mended: "
    lines = [f"{change.path}: {done}{change.how}" for change in changes]
    if check and changes:
        lines.append("run: rotation generate")
    context.answer(body, "\n".join(lines or [f"{len(wanted)} files are what the code says"]))
    ctx.exit(NO if check and changes else OK)


def rendered(context: Context) -> Mapping[str, str]:
    """Return every whole file, by its path."""
    from rotation import registry  # noqa: PLC0415 - only for what is rendered
    from rotation.cli.main import rotation  # noqa: PLC0415 - it imports its commands when asked

    specs = context.specs
    kinds = registry.kinds(context.issuers, context.participants, context.gates)
    return {
        **deployed.render(specs, kinds),
        **pages.render(specs),
        **reference.render(specs),
        **reference.render_commands(rotation, EXIT_CODES),
    }


def checkout(root: Path | None) -> Path:
    """Return the checkout to work on.

    Raises:
        NoCheckoutError: There is none.
    """
    at = (root or _HERE).resolve()
    missing = [sign for sign in _SIGNS if not (at / sign).exists()]
    if missing:
        raise NoCheckoutError(
            f"{at} is not a checkout of this program: {missing[0]} is missing",
            remedy="clone the repository, and give its folder with --root",
        )
    return at


def in_checkout(at: Path, *words: str) -> int:
    """Run a command with another checkout's own code; return its exit code."""
    command = [sys.executable, "-m", "rotation", *words]
    return subprocess.run(command, cwd=at, check=False).returncode  # noqa: S603 - our own program

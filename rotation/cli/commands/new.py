"""The command ``new``: lay down one plugin file and its contract test subject.

1. What is laid down works: it passes the contract as it is, on a file or a URL that stands for the
   system outside.  Whoever fills it in keeps it passing.
2. Nothing that exists is overwritten; with one file in the way nothing is written.
3. The subject is found by being there, as the plugin is; there is no list to edit.
"""

import keyword
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from rotation.cli.commands.generate import checkout
from rotation.cli.views.context import Context, json_option
from rotation.model.errors import BadNameError, PermanentError

_SKELETONS: Final = Path(__file__).parent / "skeletons"
_KINDS: Final = {"issuer": "issuers", "participant": "participants", "gate": "gates"}
#: Longer ones would not leave room on a line.
_LONGEST: Final = 30
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


class FileExistsAlreadyError(PermanentError):
    """A file is where one would be laid down."""

    reason = "file-exists"


@click.command()
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.argument("name")
@click.option(
    "--root",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The checkout to write to; else the one this program runs from.",
)
@json_option
@click.pass_context
def new(ctx: click.Context, kind: str, name: str, root: Path | None) -> None:
    """Lay down a new plugin of KIND called NAME, and its contract test subject.

    NAME is what policies write: lower-case letters, digits and dashes.

    With --json: {"kind", "name", "files"}.
    """
    context = ctx.ensure_object(Context)
    at = checkout(root)
    texts = _texts(kind, name)
    for path in texts:
        if (at / path).exists() or (at / path).with_suffix("").is_dir():
            raise FileExistsAlreadyError(f"{at / path} exists", remedy="choose another name")
    for path, text in texts.items():
        (at / path).write_text(text, encoding="utf-8")
    _format(at, texts)
    lines = [f"wrote {path}" for path in texts]
    lines.append("then: rotation generate, and pytest tests/contract/" + _KINDS[kind])
    context.answer({"kind": kind, "name": name, "files": list(texts)}, "\n".join(lines))


def _format(at: Path, paths: Iterable[str]) -> None:
    """Let the formatter, where it is installed, break lines that a long name has made longer."""
    if find_spec("ruff"):
        command = [sys.executable, "-m", "ruff", "format", "--quiet", *paths]
        subprocess.run(command, cwd=at, check=False)  # noqa: S603 - our own tool


def _texts(kind: str, name: str) -> dict[str, str]:
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(module):
        raise BadNameError(
            f"{name!r} cannot name a plugin",
            remedy="use lower-case letters, digits and dashes, at most 30, a letter first",
        )
    folder = _KINDS[kind]
    words = {"@NAME@": name, "@MODULE@": module, "@CLASS@": name.title().replace("-", "")}
    return {
        f"rotation/{folder}/{module}.py": _filled(f"{kind}.txt", words),
        f"tests/contract/{folder}/subject_{module}.py": _filled(f"{kind}_subject.txt", words),
    }


def _filled(skeleton: str, words: dict[str, str]) -> str:
    text = (_SKELETONS / skeleton).read_text(encoding="utf-8")
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text

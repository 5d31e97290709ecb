"""A file of ``export NAME='value'`` lines that a shell reads with ``. FILE``.

1. It appears whole or not at all, and only its owner can read it: it holds a password.
2. A file that is something else is never overwritten, and only what was written here is removed.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

_LINE: Final = re.compile(r"export [A-Z_]+='.*'")
#: A line by which our files are known from other people's.
_OURS: Final = "export SECRET_MANAGER_ENDPOINT="


class EnvFile:
    """One such file."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is written yet.

        Raises:
            click.BadParameter: There is a file that is not one of ours, or no folder for it.
        """
        self._path = path.absolute()
        self._text = ""
        if not self._path.parent.is_dir():
            raise click.BadParameter(f"{self._path.parent} is not a folder")
        if self._path.exists() and not _is_ours(self._path):
            raise click.BadParameter(f"{self._path} exists and is something else; choose another")

    def __str__(self) -> str:
        return str(self._path)

    def write(self, variables: Mapping[str, str]) -> None:
        """Write the variables."""
        self._text = "".join(f"export {name}={_quoted(text)}\n" for name, text in variables.items())
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self._text)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """Remove the file if it is still the one that was written.  May be called twice."""
        try:
            if self._text and self._path.read_text(encoding="utf-8") == self._text:
                self._path.unlink()
        except OSError:
            return


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _is_ours(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    is_exports = all(_LINE.fullmatch(line) for line in lines)
    return is_exports and any(line.startswith(_OURS) for line in lines)

"""Walks a folder and says in a line each how every secret is used.

1. It reads files and nothing else.  Symbolic links are not followed; folders of tools and of
   packages, binaries, big files and documentation are passed over.
2. A fix is a command or an instruction that can be carried out as it stands.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from rotation.cli.views.context import printable
from rotation.model.names import SecretName
from rotation.pins import PinError
from rotation.pins.source import MAX_BYTES
from rotation.pins.survey import LocatedUse, survey
from rotation.pins.use import State, Use

#: Folders that hold what others wrote or tools made.
SKIPPED_FOLDERS: Final = frozenset(
    (
        *(".git", ".hg", ".svn", "node_modules", "vendor", ".terraform", ".venv", "venv", ".tox"),
        *("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".idea"),
    )
)
#: Documentation uses no secret, however many it names.
SKIPPED_SUFFIXES: Final = frozenset((".md", ".rst", ".adoc"))
#: What a file needs to be worth a parser's time.
_WORTH: Final = re.compile(rb"secret|\$rotation|rotation:", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """One use as people and programs get it."""

    path: str
    line: int
    column: int
    secret: str
    kind: str
    state: State
    #: As written; empty when none is.
    version: str
    marked: bool
    #: How it picks its version.
    says: str
    #: What mends it; empty when nothing has to.
    fix: str


@dataclass(frozen=True)
class Scan:
    """A folder, or one file, to look at."""

    root: Path
    #: Globs on paths relative to the root.
    excluded: Sequence[str] = ()
    #: For the fix, where a file does not name it.
    project: str = "PROJECT"
    #: What could not be read; filled while `lines` is walked.
    unread: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[Line]:
        """Yield every use, file by file, the files of a folder before its folders."""
        for path in self._files():
            content = self._content(path)
            if content is None:
                continue
            name = path.relative_to(self.root).as_posix() if path != self.root else path.name
            try:
                found = survey(content, name)
            except PinError:
                continue  # no text
            shown = path.as_posix()
            yield from (self._line(name, shown, located) for located in found)

    def _files(self) -> Iterator[Path]:
        if not stat.S_ISDIR(self.root.stat().st_mode):
            yield self.root
            return
        for folder, folders, files in os.walk(self.root, onerror=self._not_read):
            here = Path(folder)
            folders[:] = sorted(
                folder
                for folder in folders
                if folder not in SKIPPED_FOLDERS
                and not folder.endswith(".egg-info")
                and not self._is_excluded(here / folder)
            )
            for name in sorted(files):
                path = here / name
                if path.suffix.lower() not in SKIPPED_SUFFIXES and not self._is_excluded(path):
                    yield path

    def _content(self, path: Path) -> bytes | None:
        """Return what a file holds, if it is one to look into."""
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
                return None
            content = path.read_bytes()
        except OSError as error:
            self._not_read(error)
            return None
        return content if _WORTH.search(content) else None

    def _not_read(self, error: OSError) -> None:
        self.unread.append(f"{error.filename}: {error.strerror}")

    def _is_excluded(self, path: Path) -> bool:
        name = path.relative_to(self.root).as_posix()
        return any(fnmatch(name, glob) for glob in self.excluded)

    def _line(self, name: str, shown: str, located: LocatedUse) -> Line:
        use = located.use
        return Line(
            path=name,
            line=located.line,
            column=located.column,
            secret=printable(str(use.named)),
            kind=use.kind,
            state=use.state,
            version=printable(use.value or ""),
            marked=located.is_marked,
            says=says(use),
            fix=printable(self._fix(use, shown)),
        )

    def _fix(self, use: Use, shown: str) -> str:
        full = str(use.named)
        if use.named.project is None:
            full = str(SecretName(self.project, use.named.secret_id))
        by_hand = use.state is State.UNPINNED and use.insertion is None
        match use.state:
            case State.PINNED:
                return ""
            case State.INDIRECT:
                return "pin the value where it is filled in from, with a marker there"
            case State.UNCLEAR:
                return printable(use.fault)
            case _ if not re.fullmatch(r"[\w/.:-]+", full):
                return "write the number of the version here"
            case State.UNPINNED if by_hand:
                return "give it a version by hand, then mark the line"
            case _:
                return f"run: rotation pin {_shell_word(shown)} --secret {full}"


def says(use: Use) -> str:
    """Say how a use picks its version."""
    value = printable(use.value or "")
    match use.state:
        case State.PINNED:
            return f"pinned to {value}"
        case State.ALIAS:
            return f"takes the alias {value}"
        case State.LATEST:
            return "takes the latest version"
        case State.UNPINNED:
            return "says no version, so it takes the latest"
        case State.INDIRECT:
            return f"takes its version from {value}"
        case State.UNCLEAR:
            return "has a marker whose version is not clear"


def _shell_word(text: str) -> str:
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else "'" + text.replace("'", "'\\''") + "'"

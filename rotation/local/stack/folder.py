"""A folder that outlives its stack: one stack at a time in it, and nothing left running.

1. The kernel gives the lock back when the stack ends, however it ends.
2. Whoever has the lock ends what a killed stack left running, by the ids it wrote down, and only
   where the process is what it should be: ids are used again.
3. Nobody else enters a folder that is made here, but PostgreSQL, where it has to run as another
   user; one that was there keeps its mode.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rotation.local.postgres.server import free_port, server_group
from rotation.model.errors import PermanentError

#: Seconds a process left over may take to end, before it is killed.
_PATIENCE: Final = 15.0
_PROC: Final = Path("/proc")


class FolderInUseError(PermanentError):
    """Another stack has this folder."""

    reason = "folder-in-use"


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Have the folder for oneself, with nothing of an earlier stack running in it.

    Raises:
        FolderInUseError: Another stack has it.
    """
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(
                f"another stack is running in {folder}", remedy="end it, or use another folder"
            ) from None
        _end_leftovers(folder)
        yield


def make_private(folder: Path) -> None:
    """Make a folder that others cannot enter, unless it is there; its parents, too."""
    if not folder.parent.exists():
        make_private(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    close_folder(folder)


def close_folder(folder: Path) -> None:
    """Keep others out of a folder, and let PostgreSQL's own user pass."""
    group = server_group()
    folder.chmod(0o700 if group is None else 0o710)
    if group is not None:
        os.chown(folder, -1, group)


def kept_port(folder: Path) -> int:
    """Return a port that stays the same as long as the folder: policies name it."""
    path = folder / "postgres-port"
    if not path.exists():
        path.write_text(f"{free_port()}\n", encoding="ascii")
    return int(path.read_text(encoding="ascii"))


def _end_leftovers(folder: Path) -> None:
    cluster = folder / "postgres" / "cluster"
    function = _recorded(folder / "function.pid")
    if function and _command(function, b"functions_framework") and _cwd(function) == folder:
        _end(function, signal.SIGTERM, os.killpg)
    server = _recorded(cluster / "postmaster.pid")
    if server and _command(server, os.fsencode(cluster)):
        _end(server, signal.SIGINT, os.kill)


def _recorded(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _command(pid: int, part: bytes) -> bool:
    try:
        return part in (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False


def _cwd(pid: int) -> Path | None:
    try:
        return (_PROC / str(pid) / "cwd").readlink()
    except OSError:
        return None


def _end(pid: int, how: signal.Signals, send: Callable[[int, int], None]) -> None:
    with contextlib.suppress(ProcessLookupError):
        send(pid, how)
        ends = time.monotonic() + _PATIENCE
        # It is nobody's child of ours: there is no event to wait for.
        while _is_running(pid):
            if time.monotonic() > ends:
                send(pid, signal.SIGKILL)
                return
            time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        state = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"

"""Where the drill looks for passwords: everything a run wrote, and every process while it ran.

Left out are only the places that are meant to hold one: the payloads of the embedded Secret
Manager, the file with the superuser's password, and PgBouncer's file with its own.
"""

import json
import threading
from pathlib import Path
from typing import Final, Self

from rotation.local.demo import leaks
from rotation.local.demo.leaks import Place
from rotation.local.demo.world import SLOTS, World
from tests.drill.findings import Findings

#: Files below the run's folder, and a word that must be in each.
CONTROLS: Final = {
    "function.log": "rotation",
    "consumers.log": "",
    "postgres/server.log": SLOTS[0],
    "pgbouncer/pgbouncer.log": SLOTS[0],
}
#: SQLite files: their rows are searched, and of those without secrets the raw files, too.
_SECRETS: Final = "secretmanager.sqlite"
_MESSAGES: Final = "pubsub.sqlite"
_MEANT_TO: Final = {"postgres/superuser", "pgbouncer/userlist.txt"}
_EVERY: Final = 1.0


class ProcessWatch:
    """Looks at command lines and environments while it is entered, again and again."""

    def __init__(self) -> None:
        self._lines: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Look now."""
        self._lines |= set(leaks.processes().split(b"\n"))

    def place(self) -> Place:
        """Return everything seen so far."""
        self.look()
        return Place("processes", b"\n".join(self._lines), "rotation.local.demo.client")

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY):
            self.look()


def search(world: World, findings: Findings, processes: Place) -> None:
    """Search for every password there was; write what was found into the findings."""
    passwords = _passwords(world, findings)
    findings.passwords = len(passwords)
    for place in (*_published(world), processes, *_files(world.stack.folder)):
        if not place.is_read:
            findings.faults.append(f"{place.name} was not searched")
        findings.searched[place.name] = len(place.text)
        findings.leaks += leaks.find([place], passwords)


def _passwords(world: World, findings: Findings) -> dict[str, str]:
    newest = max(world.versions())
    if set(world.payloads) != set(range(1, newest + 1)):
        findings.faults.append("not every password is known")
    minted = {f"version {n}'s": payload["password"] for n, payload in world.payloads.items()}
    return {**minted, **world.further}


def _published(world: World) -> list[Place]:
    labels = json.dumps(world.described()).encode()
    events = "\n".join(world.events()).encode()
    return [Place("labels", labels, world.secret), Place("events", events, "SECRET_UPDATE")]


def _files(folder: Path) -> list[Place]:
    """Return every file; a control that no file answers to makes a place that was not read."""
    texts = {
        name: _text(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (name := str(path.relative_to(folder))) not in _MEANT_TO
        and not name.startswith(_SECRETS)
    }
    known = [Place(name, texts.pop(name, b""), word) for name, word in CONTROLS.items()]
    known += [
        Place(_SECRETS, leaks.rows(folder / _SECRETS, "version.payload"), SLOTS[0]),
        Place(f"{_MESSAGES}, rows", leaks.rows(folder / _MESSAGES), "ROTATION_REQUEST"),
    ]
    cluster = [name for name in texts if name.startswith("postgres/cluster/")]
    files = b"\n".join(texts.pop(name) for name in cluster)
    known.append(Place("postgres/cluster", files, SLOTS[0]))
    return [*known, *(Place(name, text, "") for name, text in texts.items())]


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # PostgreSQL has removed it meanwhile

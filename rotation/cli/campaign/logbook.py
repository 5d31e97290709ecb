"""The file that a campaign keeps: which secrets, what was asked, and what became of it.

1. A line is on the disk before what it describes is done: after any crash it is known which
   secrets were asked for.
2. Lines are only appended; one that was cut off by a crash is left out.
3. Request ids follow from the campaign's id and the secret's name, so nothing can lose them.
4. Only one process uses a file.  It is readable by its owner only, and holds no payload.

Lines, one JSON object each: first what the campaign is (``schema``), then the secrets as they were
(``secret``), then ``asked`` and ``ended`` as they happen.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from rotation.cli.views.asking import Verdict
from rotation.model.errors import PermanentError
from rotation.model.secret import Secret
from rotation.model.wakeup import Ask

SCHEMA: Final = "rotation.campaign/1"
#: Logbooks that stay in the folder.
_KEPT: Final = 50


@dataclass(frozen=True)
class Head:
    """What a campaign is."""

    id: str
    mode: Ask
    reason: str
    requested_by: str
    #: Empty: the secrets were named.
    matching: str
    project: str
    started_at: datetime
    schema: str = SCHEMA

    def request_id(self, secret: str) -> str:
        """Return the id of the request to one secret; the same whenever it is asked."""
        return str(uuid.uuid5(uuid.UUID(self.id), secret))


@dataclass(frozen=True)
class Target:
    """One secret of a campaign, as it was when the campaign began."""

    secret: Secret
    topic: str
    place: str

    @property
    def name(self) -> str:
        """Full name of the secret."""
        return str(self.secret.name)


@dataclass
class Story:
    """What is known of one secret."""

    target: Target
    asked_at: datetime | None = None
    verdict: Verdict | None = None


@dataclass
class Logbook:
    """An open file; a context manager."""

    path: Path
    head: Head
    stories: dict[str, Story] = field(default_factory=dict)
    _handle: int = -1

    @classmethod
    def create(cls, folder: Path, head: Head, targets: Iterable[Target]) -> Self:
        """Begin a new file with everything that does not change."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{head.mode.value}-{head.started_at:%Y%m%dt%H%M%S}-{head.id[:8]}.jsonl"
        book = cls(path, head, {target.name: Story(target) for target in targets})
        book._handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
        book._lock()
        stories = book.stories.values()
        book._append([msgspec.to_builtins(head), *(_fields(story.target) for story in stories)])
        return book

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Open a file that another run left behind.

        Raises:
            PermanentError: It is something else, or in use.
        """
        handle = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            whole = _whole_lines(path.read_bytes())
            lines = [json.loads(line) for line in whole.splitlines()]
            head = msgspec.convert(lines[0], Head)
            if head.schema != SCHEMA:
                raise ValueError(head.schema)
            book = cls(path, head, {}, handle)
            book._lock()
            for line in lines[1:]:
                book._replay(line)
        except (ValueError, IndexError, KeyError, TypeError):
            os.close(handle)
            raise PermanentError(
                f"{path} is not a file that a campaign left",
                remedy="give the name that was printed when it began",
                reason="bad-logbook",
            ) from None
        os.ftruncate(handle, len(whole))
        return book

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._handle)

    def ask(self, names: Iterable[str], now: datetime) -> None:
        """Note that secrets are about to be asked."""
        lines = []
        for name in names:
            self.stories[name].asked_at = now
            lines.append({"asked": name, "at": now})
        self._append(lines)

    def end(self, name: str, verdict: Verdict, now: datetime) -> None:
        """Note what became of a request."""
        self.stories[name].verdict = verdict
        self._append([{"ended": name, "at": now, **msgspec.to_builtins(verdict)}])

    def _replay(self, line: Mapping[str, Any]) -> None:
        if "secret" in line:
            target = msgspec.convert(line, Target)
            self.stories[target.name] = Story(target)
        elif "asked" in line:
            self.stories[line["asked"]].asked_at = msgspec.convert(line["at"], datetime)
        else:
            self.stories[line["ended"]].verdict = msgspec.convert(line, Verdict)

    def _append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._handle)
            raise PermanentError(
                f"{self.path} is in use by another process",
                remedy="let it end, or interrupt it with Ctrl-C",
                reason="in-use",
            ) from None


def latest(folder: Path, mode: Ask) -> Path:
    """Return the file of the campaign begun last.

    Raises:
        PermanentError: There is none.
    """
    # The time is part of the name.
    found = sorted(folder.glob(f"{mode.value}-*.jsonl"))
    if not found:
        raise PermanentError(
            f"no campaign of mode {mode.value} has left a file in {folder}",
            remedy="name the file: --resume FILE",
            reason="nothing-to-resume",
        )
    return found[-1]


def new_head(mode: Ask, now: datetime, **more: str) -> Head:
    """Return what a campaign that begins now is."""
    return Head(id=str(uuid.uuid4()), mode=mode, started_at=now.astimezone(UTC), **more)


def remove_older(folder: Path) -> None:
    """Keep the latest files only; those in use are never the older ones."""
    files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    for path in files[:-_KEPT]:
        with suppress(OSError):
            path.unlink()


def _fields(target: Target) -> dict[str, Any]:
    return dict(msgspec.to_builtins(target))


def _whole_lines(text: bytes) -> bytes:
    return text[: text.rfind(b"\n") + 1]

"""Search everything the system wrote for every password there was.

Rules of this module:
  1. A place counts as searched only if a word was found there that must be in it: an empty place
     proves nothing.
  2. A password is searched for as it is, and in each of its common `spellings`.
  3. What is found is named by place and version, never quoted.
  4. The time a search takes does not depend on how many passwords there are: what could hold a
     password is collected once, then looked up.
"""

import base64
import json
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

_PROC: Final = Path("/proc")
_ALIGNMENTS: Final = range(3)
#: How many characters of a spelling are looked up; shorter ones are searched for one by one.
_PREFIX: Final = 16
#: A run, long enough, of the characters that spellings are made of.
_RUN: Final = re.compile(rb"[\w%+/=\\.~-]{16,}", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Something that was written, and a word that must be in it."""

    name: str
    text: bytes
    control: str

    @property
    def is_read(self) -> bool:
        """Whether the place was really read."""
        return self.control.encode() in self.text


def judge(places: Collection[Place], passwords: Mapping[str, str]) -> tuple[str, bool]:
    """Return what was found, or looked at, and whether every place was read and holds none."""
    found = find(places, passwords)
    unread = [place.name for place in places if not place.is_read]
    looked = ", ".join(f"{place.name} ({len(place.text) // 1024} KiB)" for place in places)
    detail = "; ".join(found) or (f"could not read: {', '.join(unread)}" if unread else looked)
    return detail, not found and not unread


def find(places: Iterable[Place], passwords: Mapping[str, str]) -> list[str]:
    """Return where which password was found."""
    known = _Spellings(passwords)
    return [
        f"{whose} password in {place.name}"
        for place in places
        for whose in sorted(known.found_in(place.text))
    ]


def spellings(password: str) -> set[bytes]:
    """Return every way of writing a password that is searched for.

    As it is; in hexadecimal; in both alphabets of Base64 at every alignment; percent-encoded; in
    JSON, and with every character escaped.
    """
    data = password.encode()
    percent = "".join(f"%{byte:02X}" for byte in data)
    unicode = "".join(f"\\u{ord(character):04x}" for character in password)
    texts = [
        *(password, json.dumps(password)[1:-1], unicode),
        *(quote(password, safe=""), percent, percent.lower()),
        *(data.hex(), data.hex().upper()),
    ]
    return {data, *(text.encode() for text in texts), *_in_base64(data)}


def can_see_processes() -> bool:
    """Whether this system shows command lines and environments as files."""
    return (_PROC / "self" / "environ").exists()


def processes() -> bytes:
    """Return command lines and environments of this process and all its descendants."""
    if not can_see_processes():
        return b""
    parts = []
    for pid in _family(os.getpid()):
        for name in ("cmdline", "environ"):
            try:
                parts.append((_PROC / str(pid) / name).read_bytes())
            except OSError:
                continue  # it has ended, or is another user's
    return b"\n".join(parts)


def rows(path: Path, *hidden: str) -> bytes:
    """Return everything an SQLite file holds, but for the columns that are meant to hold secrets.

    Args:
        path: The file.
        hidden: ``table.column`` of those.
    """
    parts: list[bytes] = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            answer = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own name
            names = [f"{table}.{column[0]}" for column in answer.description]
            for row in answer:
                shown = (v for name, v in zip(names, row, strict=True) if name not in hidden)
                parts += (v if isinstance(v, bytes) else str(v).encode() for v in shown)
    return b"\n".join(parts)


class _Spellings:
    """All spellings of all passwords, to be found by how they begin."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._by_prefix: defaultdict[bytes, list[tuple[bytes, str]]] = defaultdict(list)
        self._odd: list[tuple[bytes, str]] = []
        for whose, password in passwords.items():
            for spelling in spellings(password):
                if _RUN.fullmatch(spelling):
                    self._by_prefix[spelling[:_PREFIX]].append((spelling, whose))
                else:
                    self._odd.append((spelling, whose))

    def found_in(self, text: bytes) -> set[str]:
        """Return whose passwords the text holds."""
        found = {whose for spelling, whose in self._odd if spelling in text}
        for run in {match[0] for match in _RUN.finditer(text)}:
            for start in range(len(run) - _PREFIX + 1):
                for spelling, whose in self._by_prefix.get(run[start : start + _PREFIX], ()):
                    if run.startswith(spelling, start):
                        found.add(whose)
        return found


def _in_base64(data: bytes) -> Iterator[bytes]:
    for shift in _ALIGNMENTS:
        text = base64.b64encode(bytes(shift) + data)
        # Only the characters that hold no bits of the neighbours: six bits each.
        inner = text[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _family(root: int) -> Iterator[int]:
    parents: dict[int, int] = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(after_name[1])
    for pid in parents:
        above = pid
        while above not in (root, 0):
            above = parents.get(above, 0)
        if above == root:
            yield pid

"""Payloads that are not a JSON object: find the login in one, put the next login in its place.

Applications that never heard of rotation read a URL or ``KEY=value`` lines, and shapes of their
system's own.  What they read must stay what they can read.

Rules of this module:
  1. Only user and password change; every other byte stays as it is.
  2. Where a value stands decides how it is spelled: escaped for a URL, quoted for a line.
  3. A payload that holds two logins is not understood.
  4. Nothing here raises while it holds a payload; what is not understood is ``None``.
  5. It knows no system: schemes of URLs and names of keys come in a `Dialect`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from rotation.model.adoption import ShapeName
from rotation.model.password import Password

_LINE: Final = re.compile(
    r"""(?m)^[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*"""
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\n]*?)[ \t\r]*$"""
)


def keys(*words: str) -> re.Pattern[str]:
    """Return the pattern of keys that mean one of the words, whatever stands before them."""
    return re.compile(rf"(.*_)?({'|'.join(words)})", re.IGNORECASE)


class Dialect(Struct, frozen=True):
    """How the clients of one system name what they connect to."""

    #: A URL with a login, as a whole.
    url: re.Pattern[str]
    #: Keys of lines, one pattern for each part.
    user: re.Pattern[str]
    password: re.Pattern[str]
    host: re.Pattern[str]
    port: re.Pattern[str]
    database: re.Pattern[str]


class Spot(Struct, frozen=True):
    """Where a value stands in a text, and how values are spelled there."""

    start: int
    end: int
    spell: Callable[[str], str]


class Found(Struct, frozen=True):
    """A login found in a payload; its ``repr`` shows no password."""

    shape: ShapeName
    user: str
    password: Password
    host: str = ""
    port: int | None = None
    database: str = ""
    #: Places of the user and of the password, one each or more.
    users: tuple[Spot, ...] = ()
    passwords: tuple[Spot, ...] = ()

    @property
    def facts(self) -> tuple[object, ...]:
        """What it says, wherever that stands."""
        return (self.shape, self.user, self.password, self.host, self.port, self.database)


class Value(Struct, frozen=True):
    """A value in a text, and where it stands."""

    text: str
    spot: Spot


#: Finds the one login in a payload; None when there is not exactly one.
Finder = Callable[[bytes], Found | None]


def replace_login(data: bytes, user: str, password: str, find: Finder) -> bytes | None:
    """Return the payload with another login; None unless that reads back as exactly this one."""
    found = find(data)
    if found is None:
        return None
    spots = [(spot, user) for spot in found.users]
    spots += [(spot, password) for spot in found.passwords]
    text = data.decode()
    for spot, value in sorted(spots, key=lambda pair: pair[0].start, reverse=True):
        text = text[: spot.start] + spot.spell(value) + text[spot.end :]
    again = find(text.encode())
    wanted = (found.shape, user, Password(password), found.host, found.port, found.database)
    if again is None or again.facts != wanted or found.password.is_in(text):
        return None
    return text.encode()


def read_back(text: str, wanted: tuple[object, ...], find: Finder) -> bytes | None:
    """Return a new payload; None unless its facts are those that were wanted."""
    found = find(text.encode())
    return text.encode() if found and found.facts == wanted else None


def find_in_url(text: str) -> Found | None:
    """Return the login of a URL."""
    offset = len(text) - len(text.lstrip())
    body = text.strip()
    if body.startswith("jdbc:"):
        offset, body = offset + 5, body[5:]
    try:
        parts = urlsplit(body)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    login, at, _ = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    database = unquote(parts.path.removeprefix("/"))
    if at and colon and user and password:
        start = offset + body.index("//") + 2
        second = start + len(user) + 1
        users = (Spot(start, start + len(user), percent),)
        passwords = (Spot(second, second + len(password), percent),)
        names = (unquote(user), Password(unquote(password)))
        return Found("url", *names, host, port, database, users, passwords)
    return None if at else _in_query(body, offset, (host, port, database))


def _in_query(body: str, offset: int, place: tuple[str, int | None, str]) -> Found | None:
    found: dict[str, list[re.Match[str]]] = {"user": [], "password": []}
    for match in re.finditer(r"(?<=[?&])(user|password)=([^&#]*)", body):
        found[match[1]].append(match)
    if [len(values) for values in found.values()] != [1, 1]:
        return None
    users, passwords = (
        (Spot(offset + match.start(2), offset + match.end(2), percent),)
        for (match,) in found.values()
    )
    user, password = (unquote(match[2]) for (match,) in found.values())
    if not (user and password):
        return None
    return Found("url", user, Password(password), *place, users, passwords)


def find_in_lines(text: str, dialect: Dialect) -> Found | None:
    """Return the login in ``KEY=value`` lines."""
    lines = text.splitlines()
    values = list(_line_values(text))
    blank = [line for line in lines if not line.strip() or line.lstrip().startswith("#")]
    if not values or len(values) + len(blank) != len(lines):
        return None
    urls = [found for _, value in values if (found := _url_inside(value, dialect))]
    users = [value for key, value in values if dialect.user.fullmatch(key)]
    passwords = [value for key, value in values if dialect.password.fullmatch(key)]
    logins = {(url.user, url.password.reveal()) for url in urls}
    logins |= {(user.text, word.text) for user in users for word in passwords}
    if len(logins) != 1 or len(users) != len(passwords):
        return None
    user, password = logins.pop()
    host, port, database = (
        next((value.text for key, value in values if pattern.fullmatch(key)), "")
        for pattern in (dialect.host, dialect.port, dialect.database)
    )
    whole = urls[0] if urls else None
    return Found(
        "env",
        user,
        Password(password),
        host or (whole.host if whole else ""),
        int(port) if port.isdecimal() else whole.port if whole else None,
        database or (whole.database if whole else ""),
        tuple(value.spot for value in users) + tuple(s for url in urls for s in url.users),
        tuple(value.spot for value in passwords) + tuple(s for url in urls for s in url.passwords),
    )


def _line_values(text: str) -> Iterator[tuple[str, Value]]:
    for match in _LINE.finditer(text):
        raw = match["value"]
        start, end = match.span("value")
        if raw[:1] == raw[-1:] == '"' and len(raw) > 1:
            value = re.sub(r"\\(.)", r"\1", raw[1:-1])
            yield match["key"], Value(value, Spot(start, end, _double_quoted))
        elif raw[:1] == raw[-1:] == "'" and len(raw) > 1:
            yield match["key"], Value(raw[1:-1], Spot(start, end, bare_or_quoted))
        else:
            yield match["key"], Value(raw, Spot(start, end, bare_or_quoted))


def _url_inside(value: Value, dialect: Dialect) -> Found | None:
    if not dialect.url.fullmatch(value.text):
        return None
    found = find_in_url(value.text)
    if found is None:
        return None
    spelled = value.spot.end - value.spot.start
    shift = value.spot.start + (1 if spelled == len(value.text) + 2 else 0)
    moved = [
        tuple(Spot(spot.start + shift, spot.end + shift, spot.spell) for spot in spots)
        for spots in (found.users, found.passwords)
    ]
    return Found("env", found.user, found.password, found.host, found.port, found.database, *moved)


def percent(text: str) -> str:
    """Spell a part of a URL."""
    return quote(text, safe="", errors="replace")


def _double_quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\$`])', r"\\\1", text) + '"'


def bare_or_quoted(text: str) -> str:
    """Spell the value of a line."""
    if re.fullmatch(r"[A-Za-z0-9_.:/@%+,-]*", text):
        return text
    return f"'{text}'" if "'" not in text else _double_quoted(text)

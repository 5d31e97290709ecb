"""Payloads that are no JSON object: find the login in one, put the next login in its place.

Applications that never heard of rotation read a URL, ``KEY=value`` lines, a ``.pgpass`` line or a
libpq connection string.  What they read must stay what they can read.

Rules of this module:
  1. Only user and password change; every other byte stays as it is.
  2. Where a value stands decides how it is spelled: escaped for a URL, quoted for a line.
  3. A payload that can be taken for two shapes, or holds two logins, is not understood.
  4. Nothing here raises with a payload in sight; what is not understood is ``None``.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from rotation.model.adoption import ShapeName
from rotation.model.password import Password

USER_KEYS: Final = re.compile(r"(.*_)?(user|username|pguser|login)", re.IGNORECASE)
PASSWORD_KEYS: Final = re.compile(r"(.*_)?(pass|passwd|password|pgpassword)", re.IGNORECASE)
_HOST_KEYS: Final = re.compile(r"(.*_)?(host|hostname|pghost)", re.IGNORECASE)
_PORT_KEYS: Final = re.compile(r"(.*_)?(port|pgport)", re.IGNORECASE)
_DATABASE_KEYS: Final = re.compile(r"(.*_)?(dbname|database|db_name|pgdatabase|db)", re.IGNORECASE)
_URL: Final = re.compile(r"\s*(?:jdbc:)?postgres(?:ql)?(?:\+\w+)?://\S+\s*")
_LINE: Final = re.compile(
    r"""(?m)^[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*"""
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\n]*?)[ \t\r]*$"""
)
_PAIR: Final = re.compile(
    r"""(?:^|(?<=\s))(?P<key>[a-z_]+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)+)"""
)
_PGPASS: Final = re.compile(r"(?m)^(?!#)(?:\\.|[^:\\\n])*(?::(?:\\.|[^:\\\n])*){4}$")
_PART: Final = re.compile(r"(?:\\.|[^:\\\n])*")


@dataclass(frozen=True)
class Spot:
    """Where a value stands in a text, and how values are spelled there."""

    start: int
    end: int
    spell: Callable[[str], str]


@dataclass(frozen=True)
class Found:
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


@dataclass(frozen=True)
class _Value:
    text: str
    spot: Spot


def find(data: bytes) -> Found | None:
    """Return the login in a payload that is no JSON object; None when there is not exactly one."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if _URL.fullmatch(text):
        return _in_url(text)
    if _PAIR.match(text.strip()) and len(text.strip().splitlines()) == 1:
        found = _in_pairs(text)
        if found:
            return found
    return _in_lines(text) or _in_pgpass(text)


def replace_login(data: bytes, user: str, password: str) -> bytes | None:
    """Return the payload with another login; None unless that reads back as exactly this one."""
    found = find(data)
    if found is None:
        return None
    spots = [(spot, user) for spot in found.users]
    spots += [(spot, password) for spot in found.passwords]
    text = data.decode()
    for spot, value in sorted(spots, key=lambda each: each[0].start, reverse=True):
        text = text[: spot.start] + spot.spell(value) + text[spot.end :]
    again = find(text.encode())
    wanted = (found.shape, user, Password(password), found.host, found.port, found.database)
    if again is None or _facts(again) != wanted or found.password.is_in(text):
        return None
    return text.encode()


def build(
    shape: ShapeName, user: str, password: str, host: str, port: int, database: str
) -> bytes | None:
    """Return a new payload of one shape; None for JSON, or unless it reads back as asked."""
    place = f"[{host}]" if ":" in host else host
    texts = {
        "url": f"postgresql://{_percent(user)}:{_percent(password)}@{place}:{port}"
        f"/{_percent(database)}",
        "env": "\n".join(
            f"{key}={_bare_or_quoted(str(value))}"
            for key, value in (
                ("PGHOST", host),
                ("PGPORT", port),
                ("PGDATABASE", database),
                ("PGUSER", user),
                ("PGPASSWORD", password),
            )
        )
        + "\n",
        "pgpass": ":".join(_colons(str(each)) for each in (host, port, database, user, password)),
        "dsn": f"host={_pair(host)} port={port} dbname={_pair(database)}"
        f" user={_pair(user)} password={_pair(password)}",
    }
    text = texts.get(shape)
    found = find(text.encode()) if text else None
    wanted = (shape, user, Password(password), host, port, database)
    return text.encode() if text and found and _facts(found) == wanted else None


def _facts(found: Found) -> tuple[object, ...]:
    return (
        found.shape,
        found.user,
        found.password,
        found.host,
        found.port,
        found.database,
    )


def _in_url(text: str) -> Found | None:
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
        users = (Spot(start, start + len(user), _percent),)
        passwords = (Spot(second, second + len(password), _percent),)
        names = (unquote(user), Password(unquote(password)))
        return Found("url", *names, host, port, database, users, passwords)
    return None if at else _in_query(body, offset, (host, port, database))


def _in_query(body: str, offset: int, place: tuple[str, int | None, str]) -> Found | None:
    found: dict[str, list[re.Match[str]]] = {"user": [], "password": []}
    for match in re.finditer(r"(?<=[?&])(user|password)=([^&#]*)", body):
        found[match[1]].append(match)
    if [len(each) for each in found.values()] != [1, 1]:
        return None
    users, passwords = (
        (Spot(offset + match.start(2), offset + match.end(2), _percent),)
        for (match,) in found.values()
    )
    user, password = (unquote(match[2]) for (match,) in found.values())
    if not (user and password):
        return None
    return Found("url", user, Password(password), *place, users, passwords)


def _in_pairs(text: str) -> Found | None:
    values = [(match["key"], _pair_value(match)) for match in _PAIR.finditer(text)]
    if _PAIR.sub("", text).strip():
        return None
    named = dict(values)
    if len(named) < len(values) or not ({"user", "password"} <= named.keys()):
        return None
    port = named["port"].text if "port" in named else ""
    return Found(
        "dsn",
        named["user"].text,
        Password(named["password"].text),
        named["host"].text if "host" in named else "",
        int(port) if port.isdecimal() else None,
        named["dbname"].text if "dbname" in named else "",
        (named["user"].spot,),
        (named["password"].spot,),
    )


def _pair_value(match: re.Match[str]) -> _Value:
    raw = match["value"]
    inner = raw[1:-1] if raw.startswith("'") else raw
    return _Value(re.sub(r"\\(.)", r"\1", inner), Spot(*match.span("value"), _pair))


def _in_lines(text: str) -> Found | None:
    lines = text.splitlines()
    values = list(_line_values(text))
    blank = [line for line in lines if not line.strip() or line.lstrip().startswith("#")]
    if not values or len(values) + len(blank) != len(lines):
        return None
    urls = [found for _, value in values if (found := _url_inside(value))]
    users = [value for key, value in values if USER_KEYS.fullmatch(key)]
    passwords = [value for key, value in values if PASSWORD_KEYS.fullmatch(key)]
    logins = {(each.user, each.password.reveal()) for each in urls}
    logins |= {(user.text, word.text) for user in users for word in passwords}
    if len(logins) != 1 or len(users) != len(passwords):
        return None
    user, password = logins.pop()
    host, port, database = (
        next((value.text for key, value in values if pattern.fullmatch(key)), "")
        for pattern in (_HOST_KEYS, _PORT_KEYS, _DATABASE_KEYS)
    )
    whole = urls[0] if urls else None
    return Found(
        "env",
        user,
        Password(password),
        host or (whole.host if whole else ""),
        int(port) if port.isdecimal() else whole.port if whole else None,
        database or (whole.database if whole else ""),
        tuple(each.spot for each in users) + tuple(s for each in urls for s in each.users),
        tuple(each.spot for each in passwords) + tuple(s for each in urls for s in each.passwords),
    )


def _line_values(text: str) -> Iterator[tuple[str, _Value]]:
    for match in _LINE.finditer(text):
        raw = match["value"]
        start, end = match.span("value")
        if raw[:1] == raw[-1:] == '"' and len(raw) > 1:
            value = re.sub(r"\\(.)", r"\1", raw[1:-1])
            yield match["key"], _Value(value, Spot(start, end, _double_quoted))
        elif raw[:1] == raw[-1:] == "'" and len(raw) > 1:
            yield match["key"], _Value(raw[1:-1], Spot(start, end, _bare_or_quoted))
        else:
            yield match["key"], _Value(raw, Spot(start, end, _bare_or_quoted))


def _url_inside(value: _Value) -> Found | None:
    if not _URL.fullmatch(value.text):
        return None
    found = _in_url(value.text)
    if found is None:
        return None
    spelled = value.spot.end - value.spot.start
    shift = value.spot.start + (1 if spelled == len(value.text) + 2 else 0)
    moved = [
        tuple(Spot(spot.start + shift, spot.end + shift, spot.spell) for spot in spots)
        for spots in (found.users, found.passwords)
    ]
    return Found("env", found.user, found.password, found.host, found.port, found.database, *moved)


def _in_pgpass(text: str) -> Found | None:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    matches = list(_PGPASS.finditer(text))
    if len(lines) != 1 or len(matches) != 1:
        return None
    spans, position = [], matches[0].start()
    for _ in range(5):
        part = _PART.match(text, position)
        if part is None:
            return None
        spans.append(part.span())
        position = part.end() + 1
    host, port, database, user, password = (
        re.sub(r"\\(.)", r"\1", text[start:end]) for start, end in spans
    )
    if "*" in (user, "") or not (user and password):
        return None
    return Found(
        "pgpass",
        user,
        Password(password),
        "" if host == "*" else host,
        int(port) if port.isdecimal() else None,
        "" if database == "*" else database,
        (Spot(*spans[3], _colons),),
        (Spot(*spans[4], _colons),),
    )


def _percent(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _colons(text: str) -> str:
    return re.sub(r"([:\\])", r"\\\1", text)


def _pair(text: str) -> str:
    if re.fullmatch(r"[^\s'\\]+", text):
        return text
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def _double_quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\$`])', r"\\\1", text) + '"'


def _bare_or_quoted(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.:/@%+,-]*", text):
        return text
    return f"'{text}'" if "'" not in text else _double_quoted(text)

"""What PostgreSQL's clients read beside JSON: a URL, lines, a ``.pgpass`` line, a libpq string.

Which of them a payload is, and how a new one is spelled; what is common to all systems is in
`rotation.kit.credentials.shapes`, whose rules hold here, too.

Rules of this module:
  1. A payload that can be taken for two shapes is not understood.
"""

import re
from typing import Final

from rotation.kit.credentials.shapes import (
    Dialect,
    Found,
    Spot,
    Value,
    bare_or_quoted,
    find_in_lines,
    find_in_url,
    keys,
    percent,
    read_back,
)
from rotation.model.adoption import ShapeName
from rotation.model.password import Password

DIALECT: Final = Dialect(
    url=re.compile(r"\s*(?:jdbc:)?postgres(?:ql)?(?:\+\w+)?://\S+\s*"),
    user=keys("user", "username", "pguser", "login"),
    password=keys("pass", "passwd", "password", "pgpassword"),
    host=keys("host", "hostname", "pghost"),
    port=keys("port", "pgport"),
    database=keys("dbname", "database", "db_name", "pgdatabase", "db"),
)
_PAIR: Final = re.compile(
    r"""(?:^|(?<=\s))(?P<key>[a-z_]+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)+)"""
)
_PGPASS: Final = re.compile(r"(?m)^(?!#)(?:\\.|[^:\\\n])*(?::(?:\\.|[^:\\\n])*){4}$")
_PART: Final = re.compile(r"(?:\\.|[^:\\\n])*")


def find(data: bytes) -> Found | None:
    """Return the login in a payload that is not a JSON object; None unless there is exactly one."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if DIALECT.url.fullmatch(text):
        return find_in_url(text)
    if _PAIR.match(text.strip()) and len(text.strip().splitlines()) == 1:
        found = _in_pairs(text)
        if found:
            return found
    return find_in_lines(text, DIALECT) or _in_pgpass(text)


def build(
    shape: ShapeName, user: str, password: str, host: str, port: int, database: str
) -> bytes | None:
    """Return a new payload of one shape; None for JSON, or unless it reads back as asked."""
    place = f"[{host}]" if ":" in host else host
    texts = {
        "url": f"postgresql://{percent(user)}:{percent(password)}@{place}:{port}"
        f"/{percent(database)}",
        "env": "\n".join(
            f"{key}={bare_or_quoted(str(value))}"
            for key, value in (
                ("PGHOST", host),
                ("PGPORT", port),
                ("PGDATABASE", database),
                ("PGUSER", user),
                ("PGPASSWORD", password),
            )
        )
        + "\n",
        "pgpass": ":".join(_colons(str(part)) for part in (host, port, database, user, password)),
        "dsn": f"host={_pair(host)} port={port} dbname={_pair(database)}"
        f" user={_pair(user)} password={_pair(password)}",
    }
    text = texts.get(shape)
    wanted = (shape, user, Password(password), host, port, database)
    return read_back(text, wanted, find) if text else None


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


def _pair_value(match: re.Match[str]) -> Value:
    raw = match["value"]
    inner = raw[1:-1] if raw.startswith("'") else raw
    return Value(re.sub(r"\\(.)", r"\1", inner), Spot(*match.span("value"), _pair))


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


def _colons(text: str) -> str:
    return re.sub(r"([:\\])", r"\\\1", text)


def _pair(text: str) -> str:
    if re.fullmatch(r"[^\s'\\]+", text):
        return text
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"

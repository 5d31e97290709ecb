"""However a password is written, the search finds it, and names only whose and where."""

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from rotation.local.demo import leaks
from rotation.local.demo.leaks import Place

PASSWORD = "correct-horse-battery-staple"
#: Longer than what the search takes for the beginning of one, and the same up to there.
SIMILAR = "correct-horse-battery-stable"

WAYS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in a URL": lambda text: f"postgresql://a:{quote(text)}@db",
    "percent-encoded": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent-encoded, lower case": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "JSON": lambda text: json.dumps({"password": text}),
    "JSON, escaped": lambda text: "".join(f"\\u{ord(one):04x}" for one in text),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64, one further": lambda text: base64.b64encode(f"x{text}".encode()).decode(),
    "Base64, two further": lambda text: base64.b64encode(f"xy{text}".encode()).decode(),
    "Base64 of a login": lambda text: base64.b64encode(f"user:{text}\n".encode()).decode(),
    "Base64 for URLs": lambda text: base64.urlsafe_b64encode(f"?{text}?".encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("password", [PASSWORD, 'sp ace "quoted" kä\\se?>?>~~~~', "short"])
def test_a_password_is_found_in_every_spelling(way: str, password: str) -> None:
    text = f"before {WAYS[way](password)} after".encode()
    found = leaks.find([Place("a log", text, "")], {"somebody's": password, "nobody's": SIMILAR})
    assert found == ["somebody's password in a log"]


def test_a_password_is_found_inside_a_longer_run() -> None:
    text = f"{'x' * 100}{PASSWORD}{'y' * 100}".encode()
    assert leaks.find([Place("a log", text, "")], {"a": PASSWORD, "b": SIMILAR}) == [
        "a password in a log"
    ]


def test_columns_that_are_meant_to_hold_secrets_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE version (number INTEGER, payload BLOB)")
        database.execute("INSERT INTO version VALUES (17, ?)", [PASSWORD.encode()])
    assert PASSWORD.encode() in leaks.rows(path)
    shown = leaks.rows(path, "version.payload")
    assert b"17" in shown
    assert PASSWORD.encode() not in shown

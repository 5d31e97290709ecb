"""Payloads of a system that the kit has never heard of."""

import re

from rotation.kit.credentials.credential import (
    PayloadShape,
    compose_object,
    compose_text,
    login_in,
)
from rotation.kit.credentials.shapes import (
    Dialect,
    Found,
    find_in_lines,
    find_in_url,
    keys,
    percent,
    replace_login,
)
from rotation.model.payload import Payload

DIALECT = Dialect(
    url=re.compile(r"rediss?://\S+"),
    user=keys("user"),
    password=keys("pass"),
    host=keys("host"),
    port=keys("port"),
    database=keys("db"),
)
URL = b"rediss://app:old-password@cache:6380/0"
LINES = b"CACHE_HOST=cache\nCACHE_PORT=6380\nCACHE_USER=app\nCACHE_PASS=old-password\n"


def find(data: bytes) -> Found | None:
    text = data.decode()
    return find_in_url(text) if DIALECT.url.fullmatch(text) else find_in_lines(text, DIALECT)


def build(user: str, password: str) -> bytes | None:
    return f"rediss://{percent(user)}:{percent(password)}@cache:6380/0".encode()


def test_a_url_and_lines_of_any_system_are_read() -> None:
    for data in (URL, LINES):
        found = find(data)
        assert found is not None
        assert (found.user, found.password.reveal()) == ("app", "old-password")
        assert (found.host, found.port) == ("cache", 6380)


def test_only_the_login_is_replaced() -> None:
    assert replace_login(URL, "next", "new", find) == b"rediss://next:new@cache:6380/0"
    changed = replace_login(LINES, "next", "new", find)
    assert changed == LINES.replace(b"app", b"next").replace(b"old-password", b"new")


def test_a_password_that_stands_twice_is_not_replaced() -> None:
    assert replace_login(URL + b"?again=old-password", "next", "new", find) is None


def test_candidates_are_composed_in_both_shapes() -> None:
    url = PayloadShape(shape="url")
    for current in (None, Payload(URL), Payload(LINES)):
        payload = compose_text(url, "next", "r1", current, build, find)
        assert login_in(payload, url, find)[0] == "next"
        assert b"old-password" not in payload.reveal()
    place = {"engine": "redis", "host": "cache"}
    fields = compose_object(PayloadShape(), "next", "r1", None, place, find).fields()
    assert list(fields) == ["engine", "host", "username", "password", "rotation_id"]

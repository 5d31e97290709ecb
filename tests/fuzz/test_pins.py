"""Whatever the bytes of a file are, pins are found, moved, or refused with a `PinError`."""

import operator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rotation.model.names import SecretName
from rotation.pins import Pin, PinError, find, repin
from rotation.pins.adopting import Wish, adopt
from rotation.pins.errors import REASONS
from rotation.pins.survey import LocatedUse, survey
from tests.fuzz.profiles import examples
from tests.unit.pins.test_golden import CASES, before

ORDERS = SecretName("acme", "orders")
PATHS = (
    *("a.yaml", "a.json", "a.toml", "main.tf", ".env", "run.sh", "templates/a.yaml"),
    *("secrets.lock.json", "secrets.lock.toml", "secrets.lock.yaml", "a.sql", "no-suffix"),
)
POINTERS = ("a", "a.b", "[*]", "[kind=B].version", 'secrets."projects/acme/secrets/orders"', "a[0]")
PINS = st.one_of(
    st.just(Pin(ORDERS)),
    st.just(Pin(ORDERS, "resource")),
    st.builds(Pin, st.just(ORDERS), st.just("path"), st.sampled_from(POINTERS)),
)
#: Pieces that the parsers and locators look for.
PIECES = st.lists(
    st.sampled_from(
        [
            *(b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\n", b"\r\n", b": ", b"- ", b"=", b","),
            *(b"&a ", b"*a", b"<<: ", b"!!int ", b"|\n", b">-\n", b"---\n", b"...\n", b"? ", b"# "),
            *(
                b"<<EOT\n",
                b"EOT\n",
                b"${",
                b"%{",
                b"/*",
                b"*/",
                b"//",
                b'"""',
                b"'''",
                b"[[",
                b"]]",
            ),
            *(
                b"{{",
                b"}}",
                b"{{/*",
                b"<!--",
                b"-->",
                b"--set-secrets=",
                b"--secret=",
                b"\xef\xbb\xbf",
            ),
            *(b'{"$rotation": "acme/orders"}', b"rotation:secret=acme/orders", b"orders", b"acme"),
            *(
                b"projects/acme/secrets/orders",
                b"/versions/",
                b":3",
                b"3",
                b"latest",
                b"A=orders:3",
            ),
            *(b"secrets versions access 3", b"apiVersion: serving.knative.dev/v1\n", b"key", b"a"),
            *(
                b'data "google_secret_manager_secret_version" "x" {',
                b'secret = "orders"\n',
                b"\t",
                b" ",
            ),
        ]
    ),
    max_size=40,
).map(b"".join)


def harmless(content: bytes, path: str, pin: Pin) -> None:
    try:
        places = find(content, path, pin)
    except PinError as error:
        assert error.reason in REASONS
        assert "\n" not in str(error)
        return
    for place in places:
        assert content[place.start : place.end] == place.value.encode()
    try:
        after = repin(content, path, pin, 3, 4)
    except PinError as error:
        assert error.reason in REASONS
        assert str(error).isprintable()
        return
    assert repin(after, path, pin, 3, 4) == after
    assert outside(content, path, pin) == outside(after, path, pin)


def outside(content: bytes, path: str, pin: Pin) -> list[bytes]:
    """What stands between the places."""
    parts, at = [], 0
    for place in find(content, path, pin):
        parts.append(content[at : place.start])
        at = place.end
    return [*parts, content[at:]]


@examples(300)
@given(st.binary(max_size=200), st.sampled_from(PATHS), PINS)
def test_any_bytes(content: bytes, path: str, pin: Pin) -> None:
    harmless(content, path, pin)


@examples(300)
@given(st.text(max_size=200), st.sampled_from(PATHS), PINS)
def test_any_text(content: str, path: str, pin: Pin) -> None:
    harmless(content.encode("utf-8", "surrogatepass"), path, pin)


@examples(800)
@given(PIECES, st.sampled_from(PATHS), PINS)
def test_any_pieces(content: bytes, path: str, pin: Pin) -> None:
    harmless(content, path, pin)


@examples(600)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 2000), st.integers(0, 20), PIECES, PINS)
def test_any_damage(name: str, at: int, gone: int, piece: bytes, pin: Pin) -> None:
    content, path = before(name)
    at %= len(content) + 1
    harmless(content[:at] + piece + content[at + gone :], Path(path).name, pin)


def adoptable(content: bytes, path: str, *, marker: bool) -> None:
    """Adopt, or be refused; twice is once, and what is adopted can be moved."""
    wish = Wish(ORDERS, 7, operator.eq, replace=True, marker=marker)
    try:
        survey(content, path)
        adopted = adopt(content, path, wish)
    except PinError as error:
        assert error.reason in REASONS
        return
    assert adopt(adopted.content, path, wish).content == adopted.content
    ours = [located for located in survey(adopted.content, path) if named_ours(located)]
    assert {mark.use.value for mark in ours if mark.line in adopted.lines} == {"7"}


def named_ours(located: LocatedUse) -> bool:
    return located.use.named.is_for(ORDERS, operator.eq)


@examples(400)
@given(PIECES, st.sampled_from(PATHS), st.booleans())
def test_any_pieces_are_adopted(content: bytes, path: str, marker: bool) -> None:
    adoptable(content, path, marker=marker)


@examples(400)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 2000), st.integers(0, 20), PIECES)
def test_any_damage_is_adopted(name: str, at: int, gone: int, piece: bytes) -> None:
    content, path = before(name)
    at %= len(content) + 1
    adoptable(content[:at] + piece + content[at + gone :], Path(path).name, marker=True)


@examples(300)
@given(st.text(max_size=60))
def test_any_pointer(pointer: str) -> None:
    harmless(b"a: {b: 3}\n", "a.yaml", Pin(ORDERS, "path", pointer))

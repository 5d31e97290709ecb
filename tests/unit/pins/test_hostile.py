"""Files that are made to be slow, deep or endless are refused, or cost what their size costs."""

import subprocess
import sys

import pytest

from rotation.model.names import SecretName
from rotation.pins import Pin, PinError, find, parsing
from rotation.pins.markers import MAX_MARKERS
from rotation.pins.source import MAX_BYTES, Source
from rotation.pins.survey import survey
from rotation.pins.tree import leaves

ORDERS = SecretName("acme", "orders")
MARKER = '# {"$rotation": "acme/orders"}\n'


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.yaml", "[" * 200_000),
        ("a.yaml", "- " * 100_000),
        ("a.yaml", "".join(f"{' ' * depth}a:\n" for depth in range(150))),
        ("a.json", "[" * 200_000),
        ("a.json", '{"a":' * 100_000),
        ("a.toml", "a = " + "[" * 100_000),
        ("a.toml", "a." * 100_000 + "a = 1"),
        ("a.toml", "[" + "a." * 100_000 + "a]"),
        ("a.tf", "a = " + "[" * 100_000),
        ("a.tf", "a = " + "(" * 100_000),
        ("a.tf", 'a = "' + "${" * 100_000),
        ("a.tf", "a { " * 100_000),
        ("a.tf", "a " + '"b" ' * 100_000),
    ],
    ids=lambda value: value[:12],
)
def test_what_is_nested_without_end_is_refused(path: str, text: str) -> None:
    for locate in ("marker", "resource"):
        with pytest.raises(PinError) as caught:
            find(text.encode(), path, Pin(ORDERS, locate))
        assert caught.value.reason == "pin-unreadable"
    survey(text.encode(), path)  # looks at the lines


def test_aliases_are_not_multiplied() -> None:
    levels = [
        f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]" for level in range(1, 30)
    ]
    source = Source("a.yaml", "\n".join(["l0: &l0 [lol]", *levels, ""]))
    (document,) = parsing.documents(source) or ()
    assert sum(1 for _ in leaves(document)) == 1 + 9 * 29
    assert find(source.text.encode(), "a.yaml", Pin(ORDERS)) == ()


def test_a_long_value_is_not_read_again_at_each_alias() -> None:
    source = Source("a.yaml", f"a: &a {'x' * 1000}\n" + "".join(f"b{n}: *a\n" for n in range(50)))
    (document,) = parsing.documents(source) or ()
    assert sum(len(leaf.value) for _, leaf in leaves(document)) < 2000


def test_more_markers_than_anybody_needs_are_refused() -> None:
    assert len(find(f"3 {MARKER}".encode() * MAX_MARKERS, "a.sh", Pin(ORDERS))) == MAX_MARKERS
    with pytest.raises(PinError, match="more than 1000 markers"):
        find(f"3 {MARKER}".encode() * (MAX_MARKERS + 1), "a.sh", Pin(ORDERS))


def test_a_file_above_a_mebibyte_is_refused() -> None:
    padding = b"#" * (MAX_BYTES - len(MARKER) - 2)
    assert find(padding + b"\n3" + MARKER.encode(), "a.sh", Pin(ORDERS)) == ()
    with pytest.raises(PinError, match="at most 1048576 are read"):
        find(padding + b"\n3 " + MARKER.encode(), "a.sh", Pin(ORDERS))


def test_a_message_quotes_a_short_printable_line() -> None:
    line = "3 3 \x1b[31m" + "x" * 1000 + f" {MARKER}"
    with pytest.raises(PinError) as caught:
        find(line.encode(), "a.sh", Pin(ORDERS))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_no_parser_is_imported_before_a_file_needs_it() -> None:
    code = (
        "import sys, rotation.pins; "
        "bad = [m for m in sys.modules if m.split('.')[0] in ('yaml', 'ruamel', 'hcl2', 'lark')]; "
        "sys.exit(str(bad) if bad else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")

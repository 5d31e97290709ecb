"""The proof of an edit does not trust the place that was found."""

import pytest

from rotation.pins import PinError
from rotation.pins.finding import File
from rotation.pins.splicing import Edit, prove, spliced

YAML = 'version: "3"  # 3\n3: key\nother: 3\nlist: [3, &a 3, *a]\ntext: |\n  3\n'
TERRAFORM = 'version = "3" # 3\nblock "3" {\n  x = 3\n}\n'
JSON = '{"3": "3", "a": [3, "\\u0033"]} // 3\n'
TOML = 'version = "3" # 3\n"3" = 3\n'


def check(path: str, text: str, edits: list[Edit], after: str | None = None) -> None:
    file = File.read(text.encode(), path)
    prove(file, edits, spliced(text, edits) if after is None else after)


def at(text: str, context: str, new: str = "4") -> Edit:
    """An edit of the 3 that is marked by ``^`` in a part of the text."""
    start = text.index(context.replace("^", "")) + context.index("^")
    assert text[start] == "3"
    return Edit(start, start + 1, new)


@pytest.mark.parametrize(
    ("path", "text", "context"),
    [
        ("a.yaml", YAML, 'version: "^3"'),
        ("a.yaml", YAML, "other: ^3"),
        ("a.yaml", YAML, "[^3"),
        ("a.yaml", YAML, "  ^3"),
        ("a.tf", TERRAFORM, '= "^3"'),
        ("a.tf", TERRAFORM, "x = ^3"),
        ("a.json", JSON, ': "^3"'),
        ("a.toml", TOML, '= "^3"'),
        ("a.toml", TOML, "= ^3"),
    ],
)
def test_an_edit_of_a_value_is_proved(path: str, text: str, context: str) -> None:
    check(path, text, [at(text, context)])


@pytest.mark.parametrize(
    ("path", "text", "context"),
    [
        ("a.yaml", YAML, "# ^3"),
        ("a.yaml", YAML, "\n^3: key"),
        ("a.tf", TERRAFORM, "# ^3"),
        ("a.tf", TERRAFORM, 'block "^3'),
        ("a.json", JSON, '{"^3"'),
        ("a.json", JSON, "// ^3"),
        ("a.toml", TOML, "# ^3"),
        ("a.toml", TOML, '\n"^3'),
    ],
)
def test_an_edit_of_anything_else_is_refused(path: str, text: str, context: str) -> None:
    with pytest.raises(PinError) as caught:
        check(path, text, [at(text, context)])
    assert caught.value.reason == "pin-unverified"


@pytest.mark.parametrize(
    "new", ['4"\nmore: "', "4\\", '4"  # ', "4\n", "4\n\n5", "\u0085", '" x: "']
)
def test_a_text_that_is_more_than_a_value_is_refused(new: str) -> None:
    edit = at(YAML, 'version: "^3"', new)
    after = spliced(YAML, [edit])
    with pytest.raises(PinError) as caught:
        check("a.yaml", YAML, [edit], after)
    assert caught.value.reason == "pin-unverified"


@pytest.mark.parametrize(
    "after",
    [
        YAML,
        YAML.replace('"3"', "4"),
        YAML.replace('"3"', '"4"').replace("other: 3", "other: 4"),
        YAML.replace('"3"', '"4"').replace("other: 3\n", ""),
        YAML.replace('"3"', '"4"') + "more: 1\n",
        YAML.replace('"3"', '"4"').replace("3: key", "4: key"),
    ],
)
def test_a_file_that_differs_elsewhere_is_refused(after: str) -> None:
    with pytest.raises(PinError):
        check("a.yaml", YAML, [at(YAML, 'version: "^3"')], after)


def test_an_edit_that_takes_more_away_than_a_value_is_refused() -> None:
    start, end = YAML.index('"3"'), YAML.index("list")
    with pytest.raises(PinError):
        check("a.yaml", YAML, [Edit(start, end - 1, "4")])


def test_an_edit_that_misses_its_value_is_refused() -> None:
    with pytest.raises(PinError):
        check("a.yaml", YAML, [at(YAML, "# ^3"), at(YAML, "other: ^3")])

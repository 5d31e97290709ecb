"""What surrounds a pin never changes, whatever it is."""

import json
import re

from hypothesis import assume, given
from hypothesis import strategies as st

from rotation.model.names import SecretName
from rotation.pins import Pin, find, repin
from tests.fuzz.profiles import examples

ORDERS = SecretName("acme", "orders")
MARKER = '# {"$rotation": "acme/orders"}'

#: Any text without what the property itself puts into it.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80).filter(
    lambda text: "rotation" not in text and "orders" not in text
)
#: What the parser of YAML takes when it is escaped as JSON does.
BASIC = TEXT.filter(lambda text: all(character < "\ud800" for character in text))
NUMBERS = st.integers(1, 10**9)
LINE_ENDS = st.sampled_from(["\n", "\r\n"])


def moved(before: str, after: str, path: str, pin: Pin, versions: tuple[int, int]) -> None:
    """Check one move, its repeat, and the way back."""
    previous, following = versions
    content, expected = before.encode(), after.encode()
    result = repin(content, path, pin, previous, following)
    assert result == expected
    assert repin(result, path, pin, previous, following) is result
    assert repin(result, path, pin, following, previous) == content
    for place in find(content, path, pin):
        assert content[place.start : place.end] == str(previous).encode()


@examples(300)
@given(TEXT, TEXT, LINE_ENDS, NUMBERS, NUMBERS)
def test_lines_around_a_marked_line_never_change(
    above: str, below: str, line_end: str, previous: int, following: int
) -> None:
    def file(version: int) -> str:
        return f"{above}\nVERSION={version} {MARKER}{line_end}{below}"

    moved(file(previous), file(following), "settings.sh", Pin(ORDERS), (previous, following))


@examples(300)
@given(TEXT, TEXT, NUMBERS, NUMBERS)
def test_text_around_a_full_name_never_changes(
    above: str, below: str, previous: int, following: int
) -> None:
    assume(not re.match(r"[\w$%<{-]", below))
    above = "".join(character for character in above if character not in "#/\"'-;%<{*")

    def file(version: int) -> str:
        return f"{above}\n projects/acme/secrets/orders/versions/{version}{below}"

    pin = Pin(ORDERS, "resource")
    moved(file(previous), file(following), "notes", pin, (previous, following))


@examples(300)
@given(
    st.dictionaries(
        BASIC, st.one_of(BASIC, st.integers(), st.lists(BASIC, max_size=3)), max_size=5
    ),
    st.integers(0, 5),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
    NUMBERS,
    NUMBERS,
)
def test_values_around_a_pointed_value_never_change_in_json_and_yaml(
    others: dict[str, object],
    where: int,
    indent: int | str | None,
    is_text: bool,  # noqa: FBT001
    previous: int,
    following: int,
) -> None:
    def file(version: int) -> str:
        entries = list(others.items())
        pinned = ("orders", str(version) if is_text else version)
        entries.insert(where, pinned)
        return json.dumps(dict(entries), indent=indent)

    assume("orders" not in others)
    pin = Pin(ORDERS, "path", "orders")
    for path in ("pins.json", "pins.yaml"):
        if path.endswith("yaml") and indent == "\t":
            continue
        moved(file(previous), file(following), path, pin, (previous, following))


@examples(200)
@given(st.lists(st.tuples(st.sampled_from("ab"), NUMBERS), min_size=1, max_size=6), NUMBERS)
def test_a_neighbour_in_a_list_is_never_touched(
    items: list[tuple[str, int]], following: int
) -> None:
    previous = 17

    def file(version: int) -> str:
        listed = [f"{name}=api-{name}:{number}" for name, number in items]
        listed.insert(len(items) // 2, f"DB=orders:{version}")
        return f"gcloud run deploy --port {previous} --set-secrets={','.join(listed)} {previous}"

    pin = Pin(ORDERS, "resource")
    moved(file(previous), file(following), "deploy.sh", pin, (previous, following))

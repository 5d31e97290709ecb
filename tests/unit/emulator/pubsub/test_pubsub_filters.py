import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.emulator.pubsub.filters import compile_filter
from rotation.emulator.status import StatusError

ROTATE = {"eventType": "SECRET_ROTATE", "secretId": "projects/1/secrets/app"}


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        (" ", True),
        ("attributes:eventType", True),
        ("attributes:missing", False),
        ('attributes.eventType = "SECRET_ROTATE"', True),
        ('attributes.eventType="SECRET_UPDATE"', False),
        ('attributes.eventType != "SECRET_UPDATE"', True),
        ('attributes.missing != "x"', True),
        ('attributes."eventType" = "SECRET_ROTATE"', True),
        ('attributes.eventType = "SECRET\\x5fROTATE"', True),
        ('hasPrefix(attributes.eventType, "SECRET_")', True),
        ('hasPrefix(attributes.missing, "")', False),
        ("NOT attributes:missing", True),
        ("-attributes:missing", True),
        ("NOT NOT attributes:eventType", True),
        ("attributes:missing OR attributes:secretId", True),
        ("attributes:missing AND attributes:secretId", False),
        ("(attributes:missing OR attributes:secretId) AND attributes:eventType", True),
        ("attributes:eventType AND NOT (attributes:missing OR attributes:other)", True),
        ("attributes:missing OR attributes:other OR attributes:secretId", True),
    ],
)
def test_filter_decides_by_attributes(text: str, *, passes: bool) -> None:
    assert compile_filter(text)(ROTATE) is passes


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "attributes",
        "attributes.k",
        "attributes.k = v",
        "attributes.k = 'v'",
        'attributes.k = "v',
        'attributes.k = "\\q"',
        'attributes.a/b = "v"',
        "attributes:a attributes:b",
        "attributes:a and attributes:b",
        "attributes:a AND",
        "attributes:a AND attributes:b OR attributes:c",
        "(attributes:a",
        "attributes:a)",
        "NOT",
        'hasPrefix(attributes.k "v")',
        "hasPrefix(attributes.k, v)",
        'data = "x"',
        "attributes:" + "k" * 250,
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(StatusError) as refusal:
        compile_filter(text)
    assert refusal.value.status == "INVALID_ARGUMENT"


KEYS = st.sampled_from(["a", "b", "c-d", "e_f"])
VALUES = st.sampled_from(["", "x", "xy", 'quote"d', "back\\slash", "ü"])


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


CONDITIONS = st.one_of(
    st.tuples(st.just("has"), KEYS),
    st.tuples(st.just("is"), KEYS, VALUES),
    st.tuples(st.just("is not"), KEYS, VALUES),
    st.tuples(st.just("prefix"), KEYS, VALUES),
)
TREES = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner),
        st.tuples(st.sampled_from(["AND", "OR"]), inner, inner),
    ),
    max_leaves=4,
)


def written(tree: tuple) -> str:
    match tree:
        case "has", key:
            return f"attributes:{key}"
        case "is", key, value:
            return f"attributes.{key} = {quoted(value)}"
        case "is not", key, value:
            return f"attributes.{key} != {quoted(value)}"
        case "prefix", key, value:
            return f"hasPrefix(attributes.{key}, {quoted(value)})"
        case "NOT", inner:
            return f"NOT ({written(inner)})"
        case operator, left, right:
            return f"({written(left)}) {operator} ({written(right)})"
    raise AssertionError(tree)


def holds(tree: tuple, attributes: dict[str, str]) -> bool:
    match tree:
        case "has", key:
            return key in attributes
        case "is", key, value:
            return attributes.get(key) == value
        case "is not", key, value:
            return attributes.get(key) != value
        case "prefix", key, value:
            return key in attributes and attributes[key].startswith(value)
        case "NOT", inner:
            return not holds(inner, attributes)
        case "AND", left, right:
            return holds(left, attributes) and holds(right, attributes)
        case "OR", left, right:
            return holds(left, attributes) or holds(right, attributes)
    raise AssertionError(tree)


@given(
    tree=TREES.filter(lambda tree: len(written(tree).encode()) <= 256),
    attributes=st.dictionaries(KEYS, VALUES),
)
def test_any_filter_means_what_its_tree_means(tree: tuple, attributes: dict[str, str]) -> None:
    assert compile_filter(written(tree))(attributes) is holds(tree, attributes)


@given(st.text(alphabet='attributes.:="NOTANDOR()-, \\', max_size=40))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    statuses: list[str] = []
    try:
        compile_filter(text)({})
    except StatusError as refusal:
        statuses.append(refusal.status)
    assert statuses in ([], ["INVALID_ARGUMENT"])

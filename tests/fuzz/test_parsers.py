"""Every small parser reads any text or refuses it in its own way; what it reads it can write."""

import base64
import json
from typing import Any, Final

import grpc
import pytest
from google.protobuf import duration_pb2, json_format
from google.pubsub_v1 import types
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rotation.emulator.pubsub import names as topics
from rotation.emulator.pubsub.catalogue import page_of as page_of_topics
from rotation.emulator.pubsub.filters import LONGEST_FILTER, compile_filter
from rotation.emulator.pubsub.rules import completed, rules_of
from rotation.emulator.secretmanager import messages as m
from rotation.emulator.secretmanager.filters import parse_filter
from rotation.emulator.secretmanager.masks import apply_mask, normal_paths
from rotation.emulator.secretmanager.names import Projects
from rotation.emulator.secretmanager.paging import page_of
from rotation.emulator.secretmanager.rest_json import fill, fill_from_query, read_body
from rotation.emulator.status import StatusError
from rotation.issuers._slots import marker
from rotation.issuers._slots.marker import Marker, SlotState
from rotation.issuers.postgresql.credential import compose, login_of
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.model.errors import StateError
from rotation.model.password import Password
from rotation.model.payload import Payload, PayloadError

from .profiles import examples
from .states import NOW
from .texts import HOSTILE, any_text, dumped, json_values, sound_text

REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
PROJECTS = Projects({"demo-project": 123456789012})


def check_refusal(error: StatusError) -> None:
    assert error.code in REFUSALS
    assert error.message


# Filters

_PIECES = st.sampled_from(
    ["attributes", ".", ":", "=", "!=", '"v"', '"\\x41"', '"\\ud800"', '"\\q"', "hasPrefix", "(",
     ")", ",", "AND", "OR", "NOT", "-", "eventType", "k", " ", "labels.team", "name", "<=", "~",
     "*", "'"]
)  # fmt: skip
_filters = st.lists(_PIECES, max_size=30).map(" ".join) | sound_text


@st.composite
def pubsub_filters(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a filter that is one, and what it means in Python."""
    return draw(
        st.recursive(
            _conditions(),
            lambda inner: st.one_of(
                inner.map(lambda one: (f"NOT {one[0]}", lambda a: not one[1](a))),
                inner.map(lambda one: (f"-({one[0]})", lambda a: not one[1](a))),
                st.tuples(inner, inner).map(
                    lambda two: (
                        f"({two[0][0]} AND {two[1][0]})",
                        lambda a: two[0][1](a) and two[1][1](a),
                    )
                ),
                st.tuples(inner, inner).map(
                    lambda two: (
                        f"({two[0][0]} OR {two[1][0]})",
                        lambda a: two[0][1](a) or two[1][1](a),
                    )
                ),
            ),
            max_leaves=4,
        )
    )


def _conditions() -> st.SearchStrategy[tuple[str, Any]]:
    pairs = st.tuples(st.sampled_from(["a", "b", "c-d"]), st.sampled_from(["x", "xy", ""]))
    return st.one_of(
        pairs.map(lambda p: (f"attributes:{p[0]}", lambda a: p[0] in a)),
        pairs.map(lambda p: (f'attributes.{p[0]} = "{p[1]}"', lambda a: a.get(p[0]) == p[1])),
        pairs.map(lambda p: (f'attributes."{p[0]}"!="{p[1]}"', lambda a: a.get(p[0]) != p[1])),
        pairs.map(
            lambda p: (
                f'hasPrefix(attributes.{p[0]}, "{p[1]}")',
                lambda a: p[0] in a and a[p[0]].startswith(p[1]),
            )
        ),
    )


_attributes = st.dictionaries(
    st.sampled_from(["a", "b", "c-d"]), st.sampled_from(["", "x", "xy"]), max_size=3
)


@examples(120)
@given(_filters, st.dictionaries(any_text, any_text, max_size=2))
@example('attributes.k = "\\ud800"', {"k": "\ud800"})
@example("(" * 256, {})
@example('attributes.k = "\\q"', {})
@example("NOT " * 60 + "attributes:k", {})
def test_any_text_is_a_filter_of_messages_or_refused(text: str, attributes: dict[str, str]) -> None:
    try:
        passes = compile_filter(text)
    except StatusError as error:
        check_refusal(error)
    else:
        assert passes(attributes) in {True, False}


@examples(50)
@given(pubsub_filters(), _attributes)
def test_a_filter_of_messages_means_what_it_says(
    drawn: tuple[str, Any], attributes: dict[str, str]
) -> None:
    text, means = drawn
    assume(len(text) <= LONGEST_FILTER)
    assert compile_filter(text)(attributes) is bool(means(attributes))


SECRET = m.Secret(name="projects/1/secrets/app", labels={"team": "db"}, etag='"1"')
SECRET.create_time.FromDatetime(NOW)


@examples(120)
@given(_filters)
@example("(" * 3000)
@example("NOT " * 3000 + "name:a")
@example("-" * 3000 + "name:a")
@example("name:a AND " * 2000 + "name:a")
def test_any_text_is_a_filter_of_secrets_or_refused(text: str) -> None:
    try:
        passes = parse_filter(text)
        assert passes(SECRET) in {True, False}
    except StatusError as error:
        check_refusal(error)


# Names and pages


@examples(100)
@given(any_text | st.from_regex(r"projects/.*/(locations/.*/)?secrets/.*(/versions/.*)?"))
@example("projects/demo-project/secrets/a/versions/" + "9" * 5000)
@example("projects/\ud800/secrets/a")
def test_any_name_means_one_secret_or_is_refused(text: str) -> None:
    for read in (PROJECTS.parent, PROJECTS.secret, PROJECTS.version):
        try:
            assert read(text)
        except StatusError as error:
            check_refusal(error)
    for check in (topics.check_topic, topics.check_subscription, topics.check_project):
        try:
            assert check(text) == text
        except StatusError as error:
            check_refusal(error)


_NUMBERS = [3, 2, 1]


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@examples(100)
@given(
    st.integers(-(2**31), 2**31 - 1),
    any_text | json_values.map(dumped).map(_base64) | st.text("ABCabc=-_"),
)
@example(0, "WzEsIDJd")  # [1, 2]
@example(0, "W3RydWVd")  # [true]
@example(0, "\ud800")
@example(0, "\u00e9")
def test_any_page_token_is_a_place_or_refused(size: int, token: str) -> None:
    for position in (lambda n: [n], lambda n: [n, "name"]):
        try:
            page, _ = page_of(_NUMBERS, position, size, token)
        except StatusError as error:
            check_refusal(error)
        else:
            assert set(page) <= set(_NUMBERS)
    try:
        page_of_topics([types.Topic(name="projects/p/topics/abc")], size, token)
    except StatusError as error:
        check_refusal(error)


@examples(100)
@given(st.lists(st.integers(1, 50), unique=True), st.integers(1, 7))
def test_pages_joined_are_the_list(numbers: list[int], size: int) -> None:
    numbers.sort(reverse=True)
    read: list[int] = []
    token = ""
    while True:
        page, token = page_of(numbers, lambda n: [n], size, token)
        read += page
        if not token:
            break
    assert read == numbers


# Masks and JSON

_PATHS = st.sampled_from(
    ["labels", "annotations", "versionAliases", "topics", "rotation", "rotation.rotationPeriod",
     "rotation.nextRotationTime", "expireTime", "ttl", "etag", "name", "*", "labels.a",
     "replication", "replication.automatic", "secretType", "version_destroy_ttl",
     "customerManagedEncryption", ""]
)  # fmt: skip
_secret_json = st.dictionaries(
    st.sampled_from(
        ["labels", "annotations", "versionAliases", "version_aliases", "topics", "rotation", "ttl",
         "expireTime", "etag", "versionDestroyTtl", "replication", "x", "name"]
    ),
    st.one_of(
        json_values,
        st.sampled_from(
            ["60s", "-5s", "99999999999s", "2040-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
             {"a": "1"},
             {"automatic": {}}, {"rotationPeriod": "3600s"}, [{"name": "t"}],
             {"nextRotationTime": 5}]
        ),
    ),
    max_size=4,
)  # fmt: skip


@examples(150)
@given(_secret_json, st.lists(_PATHS | any_text, max_size=3))
@example({"labels": {"\ud800": "a"}}, ["labels"])
@example({"etag": "\ud800"}, ["labels"])
@example({"ttl": {"seconds": 5}}, ["ttl"])
@example({"topics": {"name": ["a"]}}, ["topics"])
@example({"expireTime": 5}, ["expireTime"])
@example({"expireTime": "2040-13-01T00:00:00Z"}, ["expireTime"])
@example({"versionAliases": {"a": 10**400}}, ["versionAliases"])
def test_any_update_is_applied_or_refused(fields: dict[str, Any], paths: list[str]) -> None:
    sent, target = m.Secret(), m.copy_of(SECRET)
    try:
        fill(sent, fields, "secret")
        apply_mask(target, sent, normal_paths(paths), NOW)
    except StatusError as error:
        check_refusal(error)
        return
    assert target.name == SECRET.name
    assert target.create_time == SECRET.create_time
    assert json_format.MessageToDict(target)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_bodies_are_refused(text: str) -> None:
    for message in (m.Secret, m.AddSecretVersionRequest, m.SetIamPolicyRequest):
        for body in (text, f'{{"labels": {text}}}', f'{{"payload": {text}, "policy": {text}}}'):
            try:
                fill(message(), read_body(body.encode(errors="surrogatepass")))
            except StatusError as error:
                check_refusal(error)


@examples(120)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["pageSize", "page_size", "filter", "pageToken", "parent", "updateMask", "secret",
                 "secret.name", "secret.labels", "secret.labels.a", "secret.ttl.seconds",
                 "secretId", "secret.topics.name", "secret.name.x"]
            )
            | sound_text,
            st.sampled_from(["1", "-1", "x", "true", "null", "9" * 20, "9" * 5000]) | sound_text,
        ),
        max_size=4,
    )
)  # fmt: skip
@example([("secret", "a"), ("secret.name", "b")])
@example([("secret.name", "b"), ("secret", "a")])
@example([("secret.labels", "a"), ("secret.labels.key", "b")])
@example([("update_mask.paths", "labels")])
def test_any_query_is_read_or_refused(parameters: list[tuple[str, str]]) -> None:
    for message in (m.ListSecretsRequest, m.UpdateSecretRequest, m.CreateSecretRequest):
        try:
            fill_from_query(message(), parameters)
        except StatusError as error:
            check_refusal(error)


def _seconds(seconds: int) -> Any:
    return duration_pb2.Duration(seconds=seconds)


_durations = st.builds(
    _seconds,
    st.sampled_from([-1, 0, 0, 1, 10, 600, 600, 601, 2_678_400, 2_678_401, 315_576_000_000]),
)
_retentions = st.just(_seconds(600)) | _durations


@examples(100)
@given(
    st.integers(10, 600) | st.integers(-5, 700),
    _retentions,
    _durations,
    _durations,
    st.integers(5, 100) | st.integers(-1, 101),
    st.just("") | st.just("attributes:k") | _filters,
    st.sampled_from(["", "http://127.0.0.1:1/", "ftp://x", "http://[", "https://", "http://a:b/"])
    | sound_text,
)
@example(10, _seconds(600), _seconds(0), _seconds(0), 5, "", "")
@example(10, _seconds(600), _seconds(10), _seconds(1), 5, "", "")
@example(10, _seconds(600), _seconds(0), _seconds(0), 5, "", "http://[")
def test_any_subscription_is_completed_or_refused(
    deadline: int, retention: Any, low: Any, high: Any, attempts: int, text: str, endpoint: str
) -> None:
    asked = types.Subscription.pb(types.Subscription())
    asked.name, asked.topic = "projects/p1p/subscriptions/abc", "projects/p1p/topics/abc"
    asked.ack_deadline_seconds = deadline
    asked.message_retention_duration.CopyFrom(retention)
    asked.retry_policy.minimum_backoff.CopyFrom(low)
    asked.retry_policy.maximum_backoff.CopyFrom(high)
    asked.dead_letter_policy.max_delivery_attempts = attempts
    asked.filter, asked.push_config.push_endpoint = text, endpoint
    try:
        rules = rules_of(completed(types.Subscription.wrap(asked)))
    except StatusError as error:
        check_refusal(error)
        return
    assert 10 <= rules.ack_deadline <= 600
    assert 5 <= rules.max_attempts <= 100
    waits = [rules.backoff(attempt) for attempt in (1, 2, 3, 50, 5000)]
    assert waits == sorted(waits)
    assert all(0 < wait <= 600 for wait in waits)


# What the database and Secret Manager hand back

_counts = st.integers(0, 10**18 - 1)


@examples(120)
@given(any_text, _counts, _counts, st.sampled_from(SlotState))
def test_a_marker_is_read_back_and_foreign_text_is_kept(
    comment: str, token: int, version: int, state: SlotState
) -> None:
    written = Marker(token, version, state)
    once = marker.write(comment, written)
    assert marker.read(once) == written
    assert marker.foreign_text(once) == marker.foreign_text(comment)
    assert marker.write(once, written) == once


@examples(120)
@given(
    st.one_of(
        any_text,
        st.builds(
            "a [rotation token={} version={} state={}] b".format,
            st.sampled_from(["1", "-1", "\u0663", "9" * 5000, ""]) | any_text,
            st.sampled_from(["1", "9" * 5000]),
            st.sampled_from(["minted", "revoked", "gone", "MINTED"]),
        ),
    )
)
@example("[rotation token=" + "9" * 5000 + " version=1 state=minted]")
@example("[rotation token=\u0663 version=1 state=minted]")
def test_any_comment_is_read_or_refused(comment: str) -> None:
    try:
        found = marker.read(comment)
    except StateError as error:
        assert error.remedy
        assert len(str(error)) < 500
    else:
        assert found is None or str(found) in comment


@examples(100)
@given(
    st.binary(max_size=200)
    | st.sampled_from(HOSTILE).map(lambda text: text.encode(errors="surrogatepass"))
    | json_values.map(lambda value: dumped(value).encode())
)
@example(b'{"a":' * 10_000)
@example(b"9" * 5000)
def test_any_payload_has_fields_or_is_refused_unquoted(data: bytes) -> None:
    payload = Payload(data)
    try:
        fields = payload.fields()
    except PayloadError as error:
        assert payload.rotation_id() is None
        assert len(data) < 8 or data.decode(errors="replace") not in str(error)
    else:
        assert isinstance(fields, dict)
    assert data.decode(errors="replace") not in repr(payload) or len(data) < 30
    assert len(payload.digest()) == 64


OLD = "old-password-of-slot-a"
SETTINGS = PostgreSQLSettings(
    host="10.0.0.5", database="orders", slots=("a", "b"), owner="o", admin="projects/p/secrets/r"
)
_holders = st.sampled_from(
    [
        OLD,
        f"postgresql://a:{OLD}@db/orders",
        f"postgresql://a:{OLD}@db/orders?password={OLD}",
        f"postgresql://[a:{OLD}@db",
        f"postgresql://a:{OLD}@\u2100/",
        f"//a:{OLD}@db",
        {"deep": [OLD]},
        {OLD: 1},
    ]
)


@examples(80)
@given(
    st.dictionaries(
        any_text | st.sampled_from(["url", "host", "port", "note"]),
        json_values | _holders,
        max_size=4,
    ),
    st.sampled_from([OLD, "p@ss/w:rd%", "\ud800", "a\0b", ""]) | any_text,
)
@example({"url": f"postgresql://[a:{OLD}@db"}, OLD)
@example({"url": f"postgresql://a:{OLD}@\u2100/"}, OLD)
@example({"note": "\ud800"}, OLD)
@example({}, "\ud800")
def test_any_payload_has_a_successor_without_the_password_or_is_refused(
    fields: dict[str, Any], password: str
) -> None:
    current = Payload(dumped({**fields, "username": "a", "password": password}).encode())
    try:
        assert login_of(current, SETTINGS) == ("a", Password(password))
        successor = compose(SETTINGS, "b", "r1", current).fields()
    except PayloadError as error:
        assert error.remedy
        assert len(password) < 12 or password not in str(error)
        return
    for key in fields.keys() - {"username", "password", "rotation_id", "host", "port"}:
        assert key in successor
        if len(password) > 20:
            assert password not in json.dumps(successor[key]).replace(dumped({password: 1}), "")
    assert (successor["username"], successor["rotation_id"]) == ("b", "r1")
    assert successor["password"] != password


def test_a_payload_nested_beyond_any_stack_has_a_successor_or_is_refused() -> None:
    for depth in (100, 480, 700, 900, 960, 980, 5000):
        nested = "[" * depth + "]" * depth
        text = f'{{"username": "a", "password": "{OLD}", "x": {nested}}}'
        try:
            assert compose(SETTINGS, "b", "r1", Payload(text.encode())).fields()
        except PayloadError as error:
            assert error.remedy

"""Real deliveries and what is one step beside them: raw push, binary and structured CloudEvents.

The shapes are those Pub/Sub and Eventarc send; attributes are drawn from what this product reads.
"""

import json
from typing import Any

from hypothesis import strategies as st

from rotation.model.wakeup import Ask, WakeUpKind

from .texts import any_text, json_values, mutated

SECRET = "projects/123456789012/secrets/app"
NOT_OURS = (
    "SECRET_CREATE",
    "SECRET_UPDATE",
    "SECRET_DELETE",
    "SECRET_VERSION_ADD",
    "SECRET_VERSION_DISABLE",
    "SECRET_VERSION_DESTROY",
    "TOPIC_CONFIGURED",
)
PUSH = "application/json"
STRUCTURED = "application/cloudevents+json; charset=utf-8"

_KEYS = ("eventType", "secretId", "mode", "reason", "requested_by", "request_id", "dataFormat")
_TIMES = st.sampled_from(
    [
        "2026-11-22T11:59:59.5Z",
        "2026-10-02T06:11:21.055625-07:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999-23:59",
        "9999-12-31T23:59:59Z",
        "2026-11-22",
        "2026-W01",
        "soon",
    ]
)
_VALUES: dict[str, st.SearchStrategy[str]] = {
    "eventType": st.sampled_from([kind.value for kind in WakeUpKind] + list(NOT_OURS)),
    "secretId": st.just(SECRET) | st.from_regex(r"projects/[a-z0-9]+/secrets/\w+"),
    "mode": st.sampled_from([ask.value for ask in Ask]),
}
_long_text = st.builds(lambda text, count: text * count, any_text, st.integers(1, 400))


def _attribute(key: str) -> st.SearchStrategy[Any]:
    likely = _VALUES.get(key, any_text)
    # Mostly what belongs there: what is wrong twice is refused for the first fault.
    return st.one_of(likely, likely, likely, likely, any_text, _long_text, json_values)


attributes = st.fixed_dictionaries(
    {"eventType": _attribute("eventType")},
    optional={key: _attribute(key) for key in _KEYS[1:]},
)

_messages = st.fixed_dictionaries(
    {"attributes": attributes},
    optional={
        "messageId": st.just("19023049712364") | json_values | _long_text,
        "message_id": json_values,
        "publishTime": _TIMES | json_values,
        "publish_time": _TIMES,
        "data": st.just("e30=") | json_values,
        "orderingKey": any_text,
    },
)


def _spelled(value: Any) -> bytes:
    return json.dumps(value).encode()


pushes = _messages.map(lambda message: _spelled({"message": message, "subscription": "s"}))
structured = _messages.map(
    lambda message: _spelled(
        {
            "specversion": "1.0",
            "type": "google.cloud.pubsub.topic.v1.messagePublished",
            "source": "//pubsub.googleapis.com/projects/acme/topics/rotation",
            "id": "7",
            "data": {"message": message, "subscription": "s"},
        }
    )
)
content_types = st.sampled_from(
    ["", PUSH, STRUCTURED, "application/cloudevents-batch+json", "text/plain", "a" * 300]
)
#: Content type and body of a request: real, near, or anything.
deliveries = st.one_of(
    st.tuples(st.just(PUSH), pushes),
    st.tuples(st.just(STRUCTURED), structured),
    st.tuples(content_types, mutated(pushes | structured)),
    st.tuples(content_types, json_values.map(_spelled)),
    st.tuples(content_types, st.binary(max_size=200)),
)


def push_of(message: Any) -> bytes:
    """Spell one message as a raw push."""
    return _spelled({"message": message})

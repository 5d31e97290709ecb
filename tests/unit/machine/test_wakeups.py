from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.machine.envelopes import open_envelope
from rotation.machine.wakeups import decode_wake_up, encode_wake_up
from rotation.model.errors import BadWakeUpError
from rotation.model.names import SecretName
from rotation.model.wakeup import Ask, WakeUpKind

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECRET = "projects/123456789012/secrets/app"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"eventType": "SECRET_UPDATE", "secretId": SECRET},
        {"eventType": "SECRET_VERSION_ADD", "secretId": SECRET},
        {"eventType": "TOPIC_CONFIGURED"},
        {"eventType": "SOMETHING_NEW"},
        {"secretId": SECRET},
    ],
    ids=lambda attributes: attributes.get("eventType", "none"),
)
def test_what_is_not_for_us_is_none(attributes: dict[str, str]) -> None:
    assert decode_wake_up(attributes, "m1", NOW) is None


def test_firing_of_a_schedule_asks_for_nothing_by_itself() -> None:
    wake_up = decode_wake_up(
        {"eventType": "SECRET_ROTATE", "secretId": SECRET, "dataFormat": "JSON_API_V1"}, "m1", NOW
    )
    assert wake_up
    assert wake_up.kind is WakeUpKind.ROTATE
    assert wake_up.secret == SecretName("123456789012", "app")
    assert wake_up.request is None


def test_rotate_message_with_a_mode_is_a_request() -> None:
    wake_up = decode_wake_up(
        {"eventType": "SECRET_ROTATE", "secretId": SECRET, "mode": "emergency"}, "m1", NOW
    )
    assert wake_up
    assert wake_up.request
    assert wake_up.request.mode is Ask.EMERGENCY
    assert wake_up.request.id == "m1"


def test_request_carries_who_and_why() -> None:
    attributes = {
        "eventType": "ROTATION_REQUEST",
        "secretId": SECRET,
        "reason": "leak",
        "requested_by": "ann",
        "request_id": "r1",
    }
    wake_up = decode_wake_up(attributes, "m1", NOW)
    assert wake_up
    assert wake_up.request
    request = wake_up.request
    assert (request.mode, request.reason) == (Ask.ROUTINE, "leak")
    assert (request.requested_by, request.id) == ("ann", "r1")


def test_sweep_names_no_secret() -> None:
    wake_up = decode_wake_up({"eventType": "ROTATION_SWEEP"}, "m1", NOW)
    assert wake_up
    assert wake_up.secret is None


def test_wake_up_survives_its_own_encoding() -> None:
    secret = SecretName("p", "s", "europe-west1")
    wake_up = decode_wake_up(encode_wake_up(secret, "overdue"), "m1", NOW)
    assert wake_up
    assert (wake_up.secret, wake_up.reason) == (secret, "overdue")


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"eventType": "SECRET_ROTATE"}, "secretId"),
        ({"eventType": "SECRET_ROTATE", "secretId": "app"}, "projects/PROJECT/secrets/SECRET"),
        ({"eventType": "ROTATION_REQUEST", "secretId": SECRET, "mode": "fast"}, "emergency"),
    ],
    ids=["no secret", "short secret", "unknown mode"],
)
def test_what_can_never_be_understood_names_the_attribute(
    attributes: dict[str, str], named: str
) -> None:
    with pytest.raises(BadWakeUpError, match=named):
        decode_wake_up(attributes, "m1", NOW)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"message": {"attributes": {"a": "b"}, "messageId": "7"}}'),
        (
            "application/cloudevents+json; charset=utf-8",
            b'{"data": {"message": {"attributes": {"a": "b"}, "message_id": "7"}}}',
        ),
    ],
    ids=["push", "structured"],
)
def test_every_shape_of_delivery_is_opened(content_type: str, body: bytes) -> None:
    envelope = open_envelope(content_type, body, NOW)
    assert envelope.message_id == "7"
    assert envelope.attributes == {"a": "b"}
    assert envelope.published_at == NOW


def test_publish_time_keeps_its_instant() -> None:
    body = b'{"message": {"messageId": "7", "publishTime": "2026-10-02T06:11:21.055625-07:00"}}'
    envelope = open_envelope("", body, NOW)
    assert envelope.published_at == datetime(2026, 10, 2, 13, 11, 21, 55625, tzinfo=UTC)


@given(st.binary(max_size=200) | st.recursive(st.none(), st.lists).map(lambda x: str(x).encode()))
def test_any_body_is_opened_or_refused(body: bytes) -> None:
    try:
        open_envelope("application/json", body, NOW)
    except BadWakeUpError as error:
        assert error.remedy  # noqa: PT017


@given(
    st.dictionaries(
        st.sampled_from(["eventType", "secretId", "mode", "reason", "request_id", "other"]),
        st.sampled_from(
            ["SECRET_ROTATE", "ROTATION_REQUEST", "ROTATION_SWEEP", SECRET, "emergency"]
        )
        | st.text(max_size=300),
    )
)
def test_any_attributes_are_decoded_or_refused(attributes: dict[str, str]) -> None:
    try:
        decode_wake_up(attributes, "m1", NOW)
    except BadWakeUpError as error:
        assert error.remedy  # noqa: PT017

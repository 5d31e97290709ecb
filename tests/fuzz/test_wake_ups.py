"""Any delivery is not for us, a wake-up within its limits, or refused with a remedy."""

from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from rotation.machine.envelopes import open_envelope
from rotation.machine.wakeups import MAX_TEXT, decode_wake_up, encode_wake_up
from rotation.model.errors import BadWakeUpError
from rotation.model.names import SecretName
from rotation.model.wakeup import WakeUp, WakeUpKind

from .messages import PUSH, SECRET, STRUCTURED, deliveries, push_of
from .profiles import examples
from .texts import HOSTILE, any_text, sound_text

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def decoded(content_type: str, body: bytes) -> WakeUp | None:
    """Decode as the application does."""
    envelope = open_envelope(content_type, body, NOW)
    return decode_wake_up(envelope.attributes, envelope.message_id, envelope.published_at)


def check(wake_up: WakeUp) -> None:
    """Hold a wake-up to what its fields may be."""
    request = wake_up.request
    texts = [wake_up.message_id, wake_up.reason]
    if request:
        texts += [request.id, request.reason, request.requested_by]
        assert request.at == wake_up.at
    for text in texts:
        assert type(text) is str
        assert len(text) <= MAX_TEXT
        assert text.encode().decode() == text
    assert wake_up.at.tzinfo is UTC
    assert wake_up.at <= NOW
    assert (wake_up.secret is None) == (wake_up.kind is WakeUpKind.SWEEP)
    if wake_up.secret:
        assert SecretName.parse(str(wake_up.secret)) == wake_up.secret


def check_refusal(error: BadWakeUpError) -> None:
    """Hold a refusal to what a person needs: a place, a remedy, and no flood of text."""
    assert error.remedy
    assert any(place in str(error) for place in ("body", "data", "message", "secretId", "mode"))
    assert len(str(error)) < 10 * MAX_TEXT
    assert str(error).encode()


@examples(600)
@given(deliveries)
@example((PUSH, push_of({"publishTime": "0001-01-01T00:00:00+23:59"})))
@example((PUSH, push_of({"publishTime": "9999-12-31T23:59:59-23:59"})))
@example(
    (PUSH, push_of({"attributes": {"eventType": "SECRET_ROTATE", "secretId": SECRET,
                                   "mode": "emergency", "reason": "\ud800"}}))
)  # fmt: skip
@example(
    (PUSH, push_of({"attributes": {"eventType": "ROTATION_SWEEP"}, "messageId": "7" * 10_000}))
)
@example(
    (PUSH, push_of({"attributes": {"eventType": "ROTATION_SWEEP"},
                    "publishTime": "9999-12-31T23:59:59Z"}))
)  # fmt: skip
@example((PUSH, push_of({"attributes": {"eventType": {"ROTATION_SWEEP": []}}})))
def test_any_delivery_is_a_wake_up_or_refused(delivery: tuple[str, bytes]) -> None:
    try:
        wake_up = decoded(*delivery)
    except BadWakeUpError as error:
        check_refusal(error)
    else:
        if wake_up:
            check(wake_up)


def test_any_hostile_text_is_refused_whatever_it_claims_to_be() -> None:
    for text in HOSTILE:
        for content_type in (PUSH, STRUCTURED):
            for body in (
                text.encode(errors="surrogatepass"),
                b'{"message": {"attributes": {"eventType": %s}}}' % text.encode(),
                b'{"data": %s, "message": %s}' % (text.encode(), text.encode()),
            ):
                try:
                    decoded(content_type, body)
                except BadWakeUpError as error:
                    check_refusal(error)


@examples(150)
@given(st.integers(1, 30_000))
@example(987)
def test_nesting_of_any_depth_is_refused(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for body in (nested, b'{"message": {"attributes": {"eventType": %s}}}' % nested):
        try:
            assert decoded(PUSH, body) is None
        except BadWakeUpError as error:
            check_refusal(error)


@examples(200)
@given(
    st.sampled_from(["routine", "emergency", "revert", "unblock"]),
    sound_text,
    sound_text,
    st.sampled_from([PUSH, STRUCTURED]),
)
def test_a_sound_request_says_the_same_in_every_shape(
    mode: str, reason: str, who: str, content_type: str
) -> None:
    attributes = {
        "eventType": "ROTATION_REQUEST",
        "secretId": SECRET,
        "mode": mode,
        "reason": reason,
        "requested_by": who,
    }
    body = push_of({"attributes": attributes, "messageId": "7", "publishTime": "2026-11-22"})
    if content_type == STRUCTURED:
        body = b'{"data": %s}' % body
    wake_up = decoded(content_type, body)
    assert wake_up
    assert wake_up.request
    assert wake_up.request.mode.value == mode
    assert (wake_up.request.reason, wake_up.request.requested_by) == (reason, who)
    assert wake_up.request.id == wake_up.message_id == "7"


@examples(200)
@given(st.from_regex(r"[a-z0-9][a-z0-9.-]{0,30}", fullmatch=True), any_text, st.booleans())
def test_a_wake_up_of_our_own_is_read_back(project: str, reason: str, regional: bool) -> None:
    secret = SecretName(project, "app", "europe-west1" if regional else None)
    wake_up = decoded(PUSH, push_of({"attributes": dict(encode_wake_up(secret, reason))}))
    assert wake_up
    assert wake_up.secret == secret
    check(wake_up)


@examples(300)
@given(any_text | st.from_regex(r"projects/[^/]*(/locations/[^/]*)?/secrets/.*"))
@example("projects/p/secrets/a\n")
@example("projects/p/secrets/\u0663")
def test_any_name_is_read_back_or_refused(text: str) -> None:
    attributes = {"eventType": "ROTATION_WAKE", "secretId": text}
    try:
        wake_up = decode_wake_up(attributes, "7", NOW)
    except BadWakeUpError as error:
        check_refusal(error)
    else:
        assert wake_up
        assert str(wake_up.secret) == text

from datetime import UTC, datetime, timedelta

import pytest

from rotation.machine.requests import OLDEST, PRIVILEGED, refusal
from rotation.machine.wakeups import decode_wake_up
from rotation.model.wakeup import Ask, WakeUp

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROUTINE = "projects/acme/subscriptions/rotation-function"
TRUSTED = "projects/acme/subscriptions/rotation-emergency-function"
SECRET = "projects/acme/secrets/app"


def asked(mode: Ask, at: datetime = NOW, **more: str) -> WakeUp:
    attributes = {"eventType": "ROTATION_REQUEST", "secretId": SECRET, "mode": mode.value, **more}
    wake_up = decode_wake_up(attributes, "m1", at)
    assert wake_up is not None
    return wake_up


def reason(wake_up: WakeUp, subscription: str, trusted: str = TRUSTED) -> str:
    refused = refusal(wake_up, subscription, trusted, NOW)
    return refused.reason if refused else ""


def test_what_is_privileged_is_what_takes_away_goes_back_or_overrules() -> None:
    assert {Ask.EMERGENCY, Ask.REVERT, Ask.RETIRE, Ask.UNBLOCK} == PRIVILEGED


@pytest.mark.parametrize("mode", sorted(PRIVILEGED, key=str))
def test_a_privileged_request_is_believed_by_its_subscription_alone(mode: Ask) -> None:
    assert not reason(asked(mode), TRUSTED)
    for other in (ROUTINE, "", f"{TRUSTED}-2", TRUSTED.replace("acme", "evil")):
        assert reason(asked(mode), other) == "request-not-privileged"


@pytest.mark.parametrize("subscription", ["", TRUSTED])
def test_where_no_subscription_is_known_nothing_is_privileged(subscription: str) -> None:
    assert reason(asked(Ask.EMERGENCY), subscription, "") == "request-not-privileged"


@pytest.mark.parametrize("mode", [Ask.ROUTINE, Ask.PAUSE, Ask.RESUME])
def test_a_routine_request_may_come_by_either_and_at_any_age(mode: Ask) -> None:
    for subscription in (ROUTINE, TRUSTED, ""):
        assert not reason(asked(mode, NOW - timedelta(days=7)), subscription)


def test_a_message_of_google_with_a_mode_is_a_request_like_any_other() -> None:
    attributes = {"eventType": "SECRET_ROTATE", "secretId": SECRET, "mode": "emergency"}
    wake_up = decode_wake_up(attributes, "m1", NOW)
    assert wake_up is not None
    assert reason(wake_up, ROUTINE) == "request-not-privileged"


def test_an_old_privileged_request_is_refused() -> None:
    assert not reason(asked(Ask.EMERGENCY, NOW - OLDEST), TRUSTED)
    old = asked(Ask.EMERGENCY, NOW - OLDEST - timedelta(seconds=1))
    assert reason(old, TRUSTED) == "request-too-old"


@pytest.mark.parametrize("event", ["ROTATION_REQUEST", "ROTATION_WAKE", "ROTATION_SWEEP"])
def test_a_signature_of_an_unknown_scheme_is_never_ignored(event: str) -> None:
    attributes = {"eventType": event, "secretId": SECRET, "signature": "ed25519-v1:abc"}
    wake_up = decode_wake_up(attributes, "m1", NOW)
    assert wake_up is not None
    assert reason(wake_up, TRUSTED) == "signature-unknown"

"""Number of calls and resulting error, for each status of each method."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import google_crc32c
import grpc
import pytest
from google.cloud.secretmanager_v1 import types
from google.protobuf.message import Message

from rotation.google import quota
from rotation.google.secret_manager import SecretManager
from rotation.model.errors import (
    AccessDeniedError,
    EtagMismatchError,
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnknownOutcomeError,
    VersionUnavailableError,
)
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.secret import Schedule, Secret, VersionState
from tests.unit.google.scripted_service import ScriptedService

ETAG = '"165cdb44bc6989"'
NAME = SecretName.parse("projects/123/secrets/app")
BORN = datetime(2026, 10, 2, 13, 5, 21, tzinfo=UTC)
STALE = (
    "The etag provided in the request does not match the resource's current etag. "
    "Please retry the whole read-modify-write with exponential backoff."
)
CODE = grpc.StatusCode
PASSING = [CODE.UNAVAILABLE, CODE.RESOURCE_EXHAUSTED, CODE.DEADLINE_EXCEEDED, CODE.INTERNAL]
SECRET_TEXT = "hunter2-do-not-show"


def secret_message(
    etag: str = '"1"',
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    aliases: dict[str, int] | None = None,
) -> Message:
    return types.Secret.pb(
        types.Secret(
            name=str(NAME),
            etag=etag,
            create_time=BORN,
            labels=labels or {},
            annotations=annotations or {},
            version_aliases=aliases or {},
        )
    )


def version_message(number: int = 1, state: str = "ENABLED") -> Any:
    return types.SecretVersion.pb(
        types.SecretVersion(
            name=NAME.version(number), state=types.SecretVersion.State[state], etag='"v"'
        )
    )


def access_message(checksum: int | None = None, number: int = 3) -> Message:
    data = SECRET_TEXT.encode()
    crc = google_crc32c.value(data) if checksum is None else checksum
    return types.AccessSecretVersionResponse.pb(
        types.AccessSecretVersionResponse(
            name=NAME.version(number), payload={"data": data, "data_crc32c": crc}
        )
    )


READS = {
    "GetSecret": (lambda store: store.get(NAME), secret_message()),
    "AccessSecretVersion": (lambda store: store.access(NAME, 3), access_message()),
    "GetSecretVersion": (lambda store: store.version(NAME, 1), version_message()),
    "ListSecrets": (
        lambda store: list(store.list()),
        types.ListSecretsResponse.pb(types.ListSecretsResponse()),
    ),
}
CHANGES = {
    "EnableSecretVersion": lambda store: store.enable(NAME, 1, ETAG),
    "DisableSecretVersion": lambda store: store.disable(NAME, 1, ETAG),
    "DestroySecretVersion": lambda store: store.destroy(NAME, 1, ETAG),
}


def update(store: SecretManager, etag: str = '"1"') -> Secret:
    secret = Secret(NAME, etag, BORN)
    return store.update(secret, labels={"a": "b"}, annotations={}, aliases={"current": 2})


def wanted_message(etag: str = '"2"') -> Message:
    return secret_message(etag=etag, labels={"a": "b"}, aliases={"current": 2})


# Reads


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize("code", PASSING)
def test_a_read_is_sent_again_after_a_passing_failure(
    service: ScriptedService, store: SecretManager, method: str, code: grpc.StatusCode
) -> None:
    read, answer = READS[method]
    service.script(method, (code, "later"), (code, "later"), answer)
    read(store)
    assert service.calls == {method: 3}


@pytest.mark.parametrize("method", READS)
def test_a_read_that_never_succeeds_is_temporary_and_bounded(
    service: ScriptedService, impatient: SecretManager, method: str
) -> None:
    service.script(method, (CODE.UNAVAILABLE, "later"))
    with pytest.raises(TemporaryError, match=f"{method}.*UNAVAILABLE: later") as caught:
        READS[method][0](impatient)
    assert not isinstance(caught.value, UnknownOutcomeError)
    # Waits of at least 0.05, 0.1, 0.2 and 0.4 seconds, within 0.8.
    assert 1 <= service.calls[method] <= 6


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (CODE.NOT_FOUND, NotFoundError),
        (CODE.PERMISSION_DENIED, AccessDeniedError),
        (CODE.INVALID_ARGUMENT, PermanentError),
        (CODE.FAILED_PRECONDITION, PermanentError),
        (CODE.UNIMPLEMENTED, PermanentError),
    ],
)
def test_a_read_that_is_refused_is_sent_once(
    service: ScriptedService,
    store: SecretManager,
    method: str,
    code: grpc.StatusCode,
    error: type[Exception],
) -> None:
    service.script(method, (code, "no"))
    with pytest.raises(error):
        READS[method][0](store)
    assert service.calls == {method: 1}


def test_a_read_without_an_answer_ends_by_its_own_deadline_and_is_sent_again(
    service: ScriptedService,
) -> None:
    store = SecretManager("demo", endpoint=service.endpoint, timeout=2.0)
    service.script("GetSecret", service.hold, secret_message())
    assert store.get(NAME).etag == '"1"'
    assert service.calls["GetSecret"] == 2
    store.close()


def test_an_unreachable_service_is_temporary() -> None:
    store = SecretManager("demo", endpoint="127.0.0.1:1", timeout=0.3)
    with pytest.raises(TemporaryError):
        store.get(NAME)
    store.close()


def test_a_damaged_payload_is_read_again(service: ScriptedService, store: SecretManager) -> None:
    service.script("AccessSecretVersion", access_message(checksum=1), access_message())
    assert store.access(NAME, 3).payload == Payload(SECRET_TEXT.encode())
    assert service.calls["AccessSecretVersion"] == 2


def test_a_payload_that_stays_damaged_is_never_returned(
    service: ScriptedService, impatient: SecretManager
) -> None:
    service.script("AccessSecretVersion", access_message(checksum=1))
    with pytest.raises(TemporaryError, match="checksum") as caught:
        impatient.access(NAME, 3)
    assert SECRET_TEXT not in str(caught.value)


def test_access_returns_the_number_behind_an_alias(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("AccessSecretVersion", access_message(number=17))
    assert store.access(NAME, "current").number == 17
    assert service.requests["AccessSecretVersion"][0].name == f"{NAME}/versions/current"


@pytest.mark.parametrize("state", ["DISABLED", "DESTROYED"])
def test_access_to_a_version_not_enabled_is_told_apart(
    service: ScriptedService, store: SecretManager, state: str
) -> None:
    message = f"Secret Version [{NAME}/versions/3] is in {state} state."
    service.script("AccessSecretVersion", (CODE.FAILED_PRECONDITION, message))
    with pytest.raises(VersionUnavailableError, match=state) as raised:
        store.access(NAME, 3)
    assert ("enable the version" in raised.value.remedy) is (state == "DISABLED")


# Guarded updates


def test_an_update_sends_exactly_three_maps_under_the_etag(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("UpdateSecret", wanted_message())
    written = update(store)
    request = service.requests["UpdateSecret"][0]
    assert sorted(request.update_mask.paths) == ["annotations", "labels", "version_aliases"]
    assert request.secret.etag == '"1"'
    assert dict(request.secret.labels) == {"a": "b"}
    assert dict(request.secret.version_aliases) == {"current": 2}
    assert written.etag == '"2"'


def test_an_update_names_the_secret_in_the_routing_header(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("UpdateSecret", wanted_message())
    update(store)
    header = service.metadata["UpdateSecret"][0]["x-goog-request-params"]
    assert header == "secret.name=projects/123/secrets/app"


def test_an_update_without_an_etag_is_not_sent(
    service: ScriptedService, store: SecretManager
) -> None:
    with pytest.raises(PermanentError, match="ETag"):
        update(store, etag="")
    assert not service.calls


@pytest.mark.parametrize("code", [CODE.FAILED_PRECONDITION, CODE.ABORTED])
def test_a_lost_race_is_an_etag_mismatch_without_a_second_call(
    service: ScriptedService, store: SecretManager, code: grpc.StatusCode
) -> None:
    service.script("UpdateSecret", (code, STALE))
    with pytest.raises(EtagMismatchError):
        update(store)
    assert service.calls == {"UpdateSecret": 1}


def test_another_failed_precondition_is_no_etag_mismatch(
    service: ScriptedService, store: SecretManager
) -> None:
    message = "Next rotation time must be set while the rotation period is set."
    service.script("UpdateSecret", (CODE.FAILED_PRECONDITION, message))
    with pytest.raises(PermanentError, match="rotation period"):
        update(store)


LOST = [CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED, CODE.UNKNOWN, CODE.INTERNAL, CODE.CANCELLED]


@pytest.mark.parametrize("code", LOST)
def test_a_lost_answer_is_ours_when_the_stored_maps_are_ours(
    service: ScriptedService, store: SecretManager, code: grpc.StatusCode
) -> None:
    service.script("UpdateSecret", (code, "lost"))
    service.script("GetSecret", wanted_message(etag='"9"'))
    assert update(store).etag == '"9"'
    assert service.calls == {"UpdateSecret": 1, "GetSecret": 1}


@pytest.mark.parametrize("code", LOST)
def test_a_lost_request_is_sent_again_when_the_etag_is_unchanged(
    service: ScriptedService, store: SecretManager, code: grpc.StatusCode
) -> None:
    service.script("UpdateSecret", (code, "lost"), wanted_message())
    service.script("GetSecret", secret_message())
    assert update(store).etag == '"2"'
    assert service.calls == {"UpdateSecret": 2, "GetSecret": 1}


@pytest.mark.parametrize(
    "maps",
    [
        {"labels": {"a": "other"}, "aliases": {"current": 2}},
        {"labels": {"a": "b"}, "aliases": {"current": 3}},
        {"labels": {"a": "b"}, "aliases": {"current": 2}, "annotations": {"x": "y"}},
    ],
)
@pytest.mark.parametrize("code", LOST)
def test_after_a_lost_answer_other_maps_mean_somebody_else_wrote(
    service: ScriptedService, store: SecretManager, code: grpc.StatusCode, maps: dict[str, Any]
) -> None:
    service.script("UpdateSecret", (code, "lost"))
    service.script("GetSecret", secret_message(etag='"7"', **maps))
    with pytest.raises(EtagMismatchError):
        update(store)
    assert service.calls == {"UpdateSecret": 1, "GetSecret": 1}


def test_after_a_lost_answer_the_same_maps_under_the_same_etag_prove_nothing(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("UpdateSecret", (CODE.UNAVAILABLE, "lost"), wanted_message())
    service.script("GetSecret", wanted_message(etag='"1"'))
    assert update(store).etag == '"2"'
    assert service.calls["UpdateSecret"] == 2


def test_a_stale_read_after_a_lost_answer_does_not_turn_our_write_into_a_lost_race(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("UpdateSecret", (CODE.UNAVAILABLE, "lost"), (CODE.FAILED_PRECONDITION, STALE))
    service.script("GetSecret", secret_message(), wanted_message(etag='"9"'))
    assert update(store).etag == '"9"'
    assert service.calls == {"UpdateSecret": 2, "GetSecret": 2}


def test_an_update_that_stays_unsettled_has_an_unknown_outcome(
    service: ScriptedService, impatient: SecretManager
) -> None:
    service.script("UpdateSecret", (CODE.UNAVAILABLE, "lost"))
    service.script("GetSecret", (CODE.UNAVAILABLE, "down"))
    with pytest.raises(UnknownOutcomeError):
        update(impatient)


def test_an_update_over_quota_waits_and_is_sent_again(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("UpdateSecret", (CODE.RESOURCE_EXHAUSTED, "quota"), wanted_message())
    assert update(store).etag == '"2"'
    assert service.calls == {"UpdateSecret": 2}


def test_an_update_that_stays_over_quota_is_temporary_and_known_not_done(
    service: ScriptedService, impatient: SecretManager
) -> None:
    service.script("UpdateSecret", (CODE.RESOURCE_EXHAUSTED, "quota"))
    with pytest.raises(TemporaryError, match="RESOURCE_EXHAUSTED") as caught:
        update(impatient)
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert 1 <= service.calls["UpdateSecret"] <= 6
    assert service.calls["GetSecret"] == 0


# Adding a version


def test_adding_sends_payload_and_checksum_and_returns_the_number(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("AddSecretVersion", version_message(12))
    assert store.add_version(NAME, Payload(b"x")) == 12
    sent = service.requests["AddSecretVersion"][0].payload
    assert (sent.data, sent.data_crc32c) == (b"x", google_crc32c.value(b"x"))


@pytest.mark.parametrize("code", LOST)
def test_adding_without_an_answer_is_unknown_and_never_repeated(
    service: ScriptedService, store: SecretManager, code: grpc.StatusCode
) -> None:
    service.script("AddSecretVersion", (code, "lost"))
    with pytest.raises(UnknownOutcomeError):
        store.add_version(NAME, Payload(b"x"))
    assert service.calls == {"AddSecretVersion": 1}


def test_adding_to_a_silent_service_is_unknown_and_never_repeated(
    service: ScriptedService, impatient: SecretManager
) -> None:
    service.script("AddSecretVersion", service.hold)
    with pytest.raises(UnknownOutcomeError, match="DEADLINE_EXCEEDED"):
        impatient.add_version(NAME, Payload(b"x"))
    assert service.calls == {"AddSecretVersion": 1}


def test_adding_over_quota_waits_and_is_sent_again(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("AddSecretVersion", (CODE.RESOURCE_EXHAUSTED, "quota"), version_message(12))
    assert store.add_version(NAME, Payload(b"x")) == 12
    assert service.calls == {"AddSecretVersion": 2}


def test_adding_that_stays_over_quota_is_temporary_and_known_not_done(
    service: ScriptedService, impatient: SecretManager
) -> None:
    service.script("AddSecretVersion", (CODE.RESOURCE_EXHAUSTED, "quota"))
    with pytest.raises(TemporaryError, match="RESOURCE_EXHAUSTED") as caught:
        impatient.add_version(NAME, Payload(b"x"))
    assert not isinstance(caught.value, UnknownOutcomeError)


def test_waiting_for_a_quota_does_not_use_up_the_time_of_a_call(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota, "FIRST_WAIT", 0.5)
    store = SecretManager("demo", endpoint=service.endpoint, timeout=0.4)
    exhausted = (CODE.RESOURCE_EXHAUSTED, "quota")
    service.script("UpdateSecret", exhausted, (CODE.UNAVAILABLE, "lost"), wanted_message())
    service.script("GetSecret", secret_message())
    assert update(store).etag == '"2"'
    store.close()


@pytest.mark.parametrize("size", [0, 64 * 1024 + 1])
def test_a_payload_of_impossible_size_is_not_sent(
    service: ScriptedService, store: SecretManager, size: int
) -> None:
    with pytest.raises(PermanentError, match="64 KiB"):
        store.add_version(NAME, Payload(b"x" * size))
    assert not service.calls


@pytest.mark.parametrize("code", [code for code in CODE if code is not CODE.OK])
def test_no_error_of_adding_repeats_what_the_service_says(
    service: ScriptedService, impatient: SecretManager, code: grpc.StatusCode
) -> None:
    service.script("AddSecretVersion", (code, f"cannot store {SECRET_TEXT}"))
    with pytest.raises(Exception, match="AddSecretVersion") as caught:
        impatient.add_version(NAME, Payload(SECRET_TEXT.encode()))
    assert SECRET_TEXT not in repr(caught.value) + str(caught.value)
    # The frames of the client hold the payload.
    assert caught.value.__cause__ is caught.value.__context__ is None


# Enable, disable, destroy


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("code", PASSING)
def test_a_change_of_state_is_sent_again_after_a_passing_failure(
    service: ScriptedService, store: SecretManager, method: str, code: grpc.StatusCode
) -> None:
    service.script(method, (code, "later"), version_message())
    CHANGES[method](store)
    assert service.calls == {method: 2}


@pytest.mark.parametrize(
    "message",
    [
        "SecretVersion.state is already DESTROYED",
        "SecretVersion is already scheduled for DESTRUCTION.",
    ],
)
@pytest.mark.parametrize("method", ["DisableSecretVersion", "DestroySecretVersion"])
def test_what_is_gone_already_needs_no_second_look(
    service: ScriptedService, store: SecretManager, method: str, message: str
) -> None:
    service.script(method, (CODE.FAILED_PRECONDITION, message))
    CHANGES[method](store)
    assert service.calls == {method: 1}


def test_enabling_a_destroyed_version_says_so(
    service: ScriptedService, store: SecretManager
) -> None:
    message = "SecretVersion.state is already DESTROYED"
    service.script("EnableSecretVersion", (CODE.FAILED_PRECONDITION, message))
    service.script("GetSecretVersion", version_message(state="DESTROYED"))
    with pytest.raises(VersionUnavailableError, match="destroyed"):
        store.enable(NAME, 1, ETAG)


@pytest.mark.parametrize(
    ("method", "state"),
    [
        ("EnableSecretVersion", "ENABLED"),
        ("DisableSecretVersion", "DISABLED"),
        ("DisableSecretVersion", "DESTROYED"),
        ("DestroySecretVersion", "DESTROYED"),
    ],
)
def test_a_refusal_in_unknown_words_is_settled_by_reading(
    service: ScriptedService, store: SecretManager, method: str, state: str
) -> None:
    service.script(method, (CODE.FAILED_PRECONDITION, "new words"))
    service.script("GetSecretVersion", version_message(state=state))
    CHANGES[method](store)
    assert service.calls == {method: 1, "GetSecretVersion": 1}


@pytest.mark.parametrize(
    ("method", "state"),
    [
        ("EnableSecretVersion", "DISABLED"),
        ("DisableSecretVersion", "ENABLED"),
        ("DestroySecretVersion", "DISABLED"),
    ],
)
def test_a_refusal_that_left_the_state_as_it_was_is_permanent(
    service: ScriptedService, store: SecretManager, method: str, state: str
) -> None:
    service.script(method, (CODE.FAILED_PRECONDITION, "new words"))
    service.script("GetSecretVersion", version_message(state=state))
    with pytest.raises(PermanentError, match="new words"):
        CHANGES[method](store)


@pytest.mark.parametrize("method", CHANGES)
def test_a_change_of_state_is_guarded_by_the_etag_of_the_version(
    service: ScriptedService, store: SecretManager, method: str
) -> None:
    service.script(method, version_message())
    CHANGES[method](store)
    assert [request.etag for request in service.requests[method]] == ['"165cdb44bc6989"']


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [
        ("EnableSecretVersion", "DISABLED", "ENABLED"),
        ("DisableSecretVersion", "ENABLED", "DISABLED"),
        ("DestroySecretVersion", "DISABLED", "DESTROYED"),
    ],
)
def test_a_moved_etag_is_a_lost_race_unless_the_state_is_the_wanted_one(
    service: ScriptedService, store: SecretManager, method: str, before: str, after: str
) -> None:
    service.script(method, (CODE.FAILED_PRECONDITION, STALE))
    service.script("GetSecretVersion", version_message(state=before), version_message(state=after))
    with pytest.raises(EtagMismatchError):
        CHANGES[method](store)
    CHANGES[method](store)
    assert service.calls[method] == 2


@pytest.mark.parametrize("method", CHANGES)
def test_a_lost_answer_to_a_change_of_state_is_no_lost_race(
    service: ScriptedService, store: SecretManager, method: str
) -> None:
    state = {"Enable": "ENABLED", "Disable": "DISABLED", "Destroy": "DESTROYED"}
    service.script(method, (CODE.UNAVAILABLE, "lost"), (CODE.FAILED_PRECONDITION, STALE))
    wanted = version_message(state=state[method.removesuffix("SecretVersion")])
    service.script("GetSecretVersion", wanted)
    CHANGES[method](store)
    assert service.calls[method] == 2


def test_a_lost_answer_to_a_scheduled_destruction_is_no_lost_race(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script(
        "DestroySecretVersion", (CODE.UNAVAILABLE, "lost"), (CODE.FAILED_PRECONDITION, STALE)
    )
    scheduled = version_message(state="DISABLED")
    scheduled.scheduled_destroy_time.FromDatetime(BORN)
    service.script("GetSecretVersion", scheduled)
    store.destroy(NAME, 1, '"v"')


@pytest.mark.parametrize("method", CHANGES)
def test_a_missing_version_is_not_found(
    service: ScriptedService, store: SecretManager, method: str
) -> None:
    service.script(method, (CODE.NOT_FOUND, "Secret Version [x] not found."))
    with pytest.raises(NotFoundError):
        CHANGES[method](store)


# Permissions


@pytest.mark.parametrize(
    ("permission", "role"),
    [
        ("secretmanager.versions.access", "roles/secretmanager.secretAccessor"),
        ("secretmanager.secrets.update", "a custom role with secretmanager.secrets.update"),
    ],
)
def test_a_denied_call_names_the_permission_and_the_command(
    service: ScriptedService, store: SecretManager, permission: str, role: str
) -> None:
    message = f"Permission '{permission}' denied for resource '{NAME}' (or it may not exist)."
    service.script("GetSecret", (CODE.PERMISSION_DENIED, message))
    with pytest.raises(AccessDeniedError) as caught:
        store.get(NAME)
    text = str(caught.value)
    assert permission in text
    assert "gcloud secrets add-iam-policy-binding app --project=123" in text
    assert role in text


def test_a_denied_list_is_granted_on_the_project(
    service: ScriptedService, store: SecretManager
) -> None:
    message = "Permission 'secretmanager.secrets.list' denied for resource 'projects/demo'."
    service.script("ListSecrets", (CODE.PERMISSION_DENIED, message))
    with pytest.raises(AccessDeniedError, match="gcloud projects add-iam-policy-binding demo"):
        list(store.list())


# Records


def test_every_field_of_a_secret_is_translated(
    service: ScriptedService, store: SecretManager
) -> None:
    message = types.Secret(
        name="projects/123/locations/europe-west3/secrets/app",
        etag='"e"',
        create_time=BORN,
        labels={"l": "1"},
        annotations={"a": "2"},
        version_aliases={"current": 3},
        topics=[{"name": "projects/demo/topics/t"}],
        rotation={"next_rotation_time": BORN, "rotation_period": timedelta(hours=1)},
        version_destroy_ttl=timedelta(days=1),
    )
    message.rotation.managed_rotation_status = {"state": 1}
    service.script("GetSecret", types.Secret.pb(message))
    name = SecretName.parse("projects/123/locations/europe-west3/secrets/app")
    assert store.get(name) == Secret(
        name=name,
        etag='"e"',
        create_time=BORN,
        labels={"l": "1"},
        annotations={"a": "2"},
        aliases={"current": 3},
        topics=("projects/demo/topics/t",),
        schedule=Schedule(BORN, timedelta(hours=1)),
        version_destroy_ttl=timedelta(days=1),
        managed_rotation=True,
    )


def test_absent_fields_read_as_absent(service: ScriptedService, store: SecretManager) -> None:
    service.script("GetSecret", secret_message())
    assert store.get(NAME) == Secret(NAME, '"1"', BORN)


def test_a_schedule_without_a_period_has_none(
    service: ScriptedService, store: SecretManager
) -> None:
    message = types.Secret(
        name=str(NAME), etag='"1"', create_time=BORN, rotation={"next_rotation_time": BORN}
    )
    service.script("GetSecret", types.Secret.pb(message))
    assert store.get(NAME).schedule == Schedule(BORN, None)


def test_inactive_managed_rotation_does_not_keep_us_out(
    service: ScriptedService, store: SecretManager
) -> None:
    message = types.Secret(name=str(NAME), etag='"1"', create_time=BORN)
    message.rotation.managed_rotation_status = {"state": 2}
    service.script("GetSecret", types.Secret.pb(message))
    assert store.get(NAME).managed_rotation is False


@pytest.mark.parametrize("state", list(VersionState))
def test_every_version_state_is_translated(
    service: ScriptedService, store: SecretManager, state: VersionState
) -> None:
    service.script("GetSecretVersion", version_message(state=state.name))
    assert store.version(NAME, 1).state is state


def test_a_version_state_of_the_future_is_refused(
    service: ScriptedService, store: SecretManager
) -> None:
    unknown = types.SecretVersion.pb(types.SecretVersion(name=NAME.version(1), state=0))
    service.script("GetSecretVersion", unknown)
    with pytest.raises(PermanentError, match="does not know"):
        store.version(NAME, 1)


# Lists


def page(ids: Iterable[int], token: str = "") -> Message:
    secrets = [
        {"name": f"projects/123/secrets/s{number}", "etag": '"1"', "create_time": BORN}
        for number in ids
    ]
    return types.ListSecretsResponse.pb(
        types.ListSecretsResponse(secrets=secrets, next_page_token=token)
    )


def test_a_list_walks_every_page_a_thousand_at_a_time(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("ListSecrets", page(range(3), "more"), page(range(3, 5)))
    assert [secret.name.secret_id for secret in store.list()] == ["s0", "s1", "s2", "s3", "s4"]
    requests = service.requests["ListSecrets"]
    assert [(r.parent, r.page_size, r.page_token) for r in requests] == [
        ("projects/demo", 1000, ""),
        ("projects/demo", 1000, "more"),
    ]


def test_a_list_fetches_the_next_page_only_when_asked(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("ListSecrets", page(range(2), "more"), page([2]))
    walk = store.list()
    next(walk), next(walk)
    assert service.calls["ListSecrets"] == 1


def test_a_page_that_fails_is_fetched_again_and_nothing_is_repeated(
    service: ScriptedService, store: SecretManager
) -> None:
    service.script("ListSecrets", page([0], "more"), (CODE.UNAVAILABLE, "later"), page([1]))
    assert [secret.name.secret_id for secret in store.list()] == ["s0", "s1"]


def test_a_list_walks_the_named_regions_too(service: ScriptedService) -> None:
    store = SecretManager("demo", endpoint=service.endpoint, locations=["europe-west3"])
    service.script("ListSecrets", page([0]), page([1]))
    assert len(list(store.list())) == 2
    assert service.requests["ListSecrets"][1].parent == "projects/demo/locations/europe-west3"
    store.close()


def test_a_page_larger_than_four_mebibytes_is_read(
    service: ScriptedService, store: SecretManager
) -> None:
    message = page(range(400))
    for secret in message.secrets:
        secret.annotations["rotation.receipt"] = "x" * 16_000
    service.script("ListSecrets", message)
    assert len(list(store.list())) == 400


# Leaks


def test_no_payload_is_logged_even_at_debug_level(
    service: ScriptedService, store: SecretManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "google")
    logging.getLogger("google").addHandler(caplog.handler)
    service.script("AccessSecretVersion", access_message())
    service.script("AddSecretVersion", version_message())
    try:
        store.access(NAME, 3)
        store.add_version(NAME, Payload(SECRET_TEXT.encode()))
    finally:
        logging.getLogger("google").removeHandler(caplog.handler)
    everything = " ".join(str(record.__dict__) for record in caplog.records)
    assert SECRET_TEXT not in everything
    assert "aHVudGVyMi1kby1ub3Qtc2hvdw" not in everything

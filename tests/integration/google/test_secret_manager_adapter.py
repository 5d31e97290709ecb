"""The adapter against the embedded service: its ETags, states and failures."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from rotation.emulator.secretmanager.quotas import REAL, Limits
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
from rotation.model.secret import Secret, VersionState
from tests.support.secret_manager import NUMBER, Embedded, embedded_secret_manager

FIRST = Payload(b'{"username": "a"}')
SECOND = Payload(b'{"username": "b"}')


@pytest.fixture
def embedded() -> Iterator[Embedded]:
    with embedded_secret_manager() as embedded:
        yield embedded


def write(embedded: Embedded, secret: Secret, **labels: str) -> Secret:
    return embedded.store.update(
        secret, labels={**secret.labels, **labels}, annotations={}, aliases={}
    )


def state(embedded: Embedded, name: SecretName, number: int) -> VersionState:
    return embedded.store.version(name, number).state


def etag(embedded: Embedded, name: SecretName, number: int) -> str:
    return embedded.store.version(name, number).etag


def test_names_in_answers_carry_the_project_number(embedded: Embedded) -> None:
    assert embedded.store.get(embedded.create()).name == SecretName(NUMBER, "app")


def test_three_maps_are_written_at_once_and_everything_else_stays(embedded: Embedded) -> None:
    name = embedded.create_rotating("app", timedelta(days=30))
    embedded.store.add_version(name, FIRST)
    before = embedded.store.get(name)
    written = embedded.store.update(
        before, labels={"a": "1"}, annotations={"x.y": "{}"}, aliases={"current": 1}
    )
    assert (written.labels, written.annotations, written.aliases) == (
        {"a": "1"},
        {"x.y": "{}"},
        {"current": 1},
    )
    assert (written.topics, written.schedule) == (before.topics, before.schedule)
    assert written.etag != before.etag
    assert embedded.store.get(name) == written


def test_empty_maps_erase(embedded: Embedded) -> None:
    name = embedded.create(labels={"a": "1"}, annotations={"x": "y"})
    written = embedded.store.update(embedded.store.get(name), labels={}, annotations={}, aliases={})
    assert (written.labels, written.annotations) == ({}, {})


def test_of_eight_racing_writers_one_wins(embedded: Embedded) -> None:
    secret = embedded.store.get(embedded.create())
    start = threading.Barrier(8)

    def race(number: int) -> bool:
        start.wait()
        try:
            write(embedded, secret, winner=str(number))
        except EtagMismatchError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(race, range(8)))
    assert won.count(True) == 1
    assert embedded.store.get(secret.name).labels == {"winner": str(won.index(True))}


@pytest.mark.parametrize("mode", ["unavailable", "committed-unavailable", "black-hole"])
def test_a_write_survives_a_lost_request_and_a_lost_answer(embedded: Embedded, mode: str) -> None:
    secret = embedded.store.get(embedded.create())
    embedded.controls.set_failure(mode, "UpdateSecret", count=1)
    written = write(embedded, secret, a="1")
    assert written.labels == {"a": "1"}
    assert embedded.store.get(secret.name) == written


def test_a_lost_answer_behind_a_stale_read_is_settled(embedded: Embedded) -> None:
    secret = embedded.store.get(embedded.create())
    embedded.controls.set_failure("committed-unavailable", "UpdateSecret", count=1)
    embedded.controls.set_failure("stale", "GetSecret", count=1, writes=1)
    assert write(embedded, secret, a="1").labels == {"a": "1"}
    assert embedded.controls.calls()["UpdateSecret"] == 2


def test_a_lost_answer_and_a_foreign_write_are_a_lost_race(embedded: Embedded) -> None:
    secret = embedded.store.get(embedded.create())
    write(embedded, secret, other="1")
    embedded.controls.set_failure("unavailable", "UpdateSecret", count=1)
    with pytest.raises(EtagMismatchError):
        write(embedded, secret, a="1")


def test_a_write_over_quota_waits_for_its_turn(embedded: Embedded) -> None:
    secret = embedded.store.get(embedded.create())
    embedded.controls.set_failure("exhausted", "UpdateSecret", count=2)
    assert write(embedded, secret, a="1").labels == {"a": "1"}


def test_a_quota_that_stays_exhausted_is_temporary(embedded: Embedded) -> None:
    secret = embedded.store.get(embedded.create())
    embedded.controls.set_quotas(Limits(writes_per_minute=0))
    with pytest.raises(TemporaryError, match="RESOURCE_EXHAUSTED"):
        write(embedded, secret, a="1")


def test_writes_faster_than_the_real_quota_succeed_a_little_later(embedded: Embedded) -> None:
    secret = embedded.store.get(embedded.create())
    embedded.controls.set_quotas(REAL)
    for number in range(3):
        secret = write(embedded, secret, step=str(number))
    assert secret.labels == {"step": "2"}


def test_a_version_is_added_once_and_read_by_number_latest_and_alias(embedded: Embedded) -> None:
    name = embedded.create()
    assert embedded.store.add_version(name, FIRST) == 1
    assert embedded.store.add_version(name, SECOND) == 2
    secret = embedded.store.get(name)
    embedded.store.update(secret, labels={}, annotations={}, aliases={"current": 1})
    assert embedded.store.access(name, 1).payload == FIRST
    assert embedded.store.access(name, "latest").number == 2
    assert embedded.store.access(name, "current").number == 1
    request = {"name": name.version(1)}
    assert embedded.client.get_secret_version(request=request).client_specified_payload_checksum


@pytest.mark.parametrize(
    ("mode", "versions"),
    [("unavailable", 0), ("committed-unavailable", 1), ("committed-black-hole", 1)],
)
def test_adding_with_a_lost_answer_is_unknown_and_never_adds_twice(
    embedded: Embedded, mode: str, versions: int
) -> None:
    name = embedded.create()
    embedded.controls.set_failure(mode, "AddSecretVersion", count=1)
    with pytest.raises(UnknownOutcomeError):
        embedded.store.add_version(name, FIRST)
    listed = embedded.client.list_secret_versions(parent=str(name))
    assert len(list(listed)) == versions
    assert embedded.controls.calls()["AddSecretVersion"] == 1


def test_states_follow_and_repeats_succeed(embedded: Embedded) -> None:
    name = embedded.create()
    embedded.store.add_version(name, FIRST)
    store = embedded.store
    store.disable(name, 1, etag(embedded, name, 1))
    store.disable(name, 1, etag(embedded, name, 1))
    assert state(embedded, name, 1) is VersionState.DISABLED
    with pytest.raises(VersionUnavailableError, match="DISABLED"):
        store.access(name, 1)
    store.enable(name, 1, etag(embedded, name, 1))
    assert store.access(name, 1).payload == FIRST
    store.destroy(name, 1, etag(embedded, name, 1))
    store.destroy(name, 1, etag(embedded, name, 1))
    store.disable(name, 1, etag(embedded, name, 1))
    assert state(embedded, name, 1) is VersionState.DESTROYED
    with pytest.raises(VersionUnavailableError, match="DESTROYED"):
        store.access(name, 1)
    with pytest.raises(VersionUnavailableError, match="destroyed"):
        store.enable(name, 1, etag(embedded, name, 1))


def test_a_version_changed_by_somebody_else_is_a_lost_race(embedded: Embedded) -> None:
    name = embedded.create()
    embedded.store.add_version(name, FIRST)
    old = etag(embedded, name, 1)
    embedded.store.enable(name, 1, old)
    with pytest.raises(EtagMismatchError):
        embedded.store.disable(name, 1, old)
    assert state(embedded, name, 1) is VersionState.ENABLED


@pytest.mark.parametrize("verb", ["disable", "destroy"])
@pytest.mark.parametrize("mode", ["unavailable", "committed-unavailable"])
def test_a_change_of_state_survives_a_lost_answer(embedded: Embedded, verb: str, mode: str) -> None:
    name = embedded.create()
    embedded.store.add_version(name, FIRST)
    embedded.controls.set_failure(mode, f"{verb.capitalize()}SecretVersion", count=1)
    getattr(embedded.store, verb)(name, 1, etag(embedded, name, 1))
    assert state(embedded, name, 1) is not VersionState.ENABLED


@pytest.mark.parametrize("mode", ["unavailable", "committed-unavailable"])
def test_a_delayed_destruction_survives_a_lost_answer(embedded: Embedded, mode: str) -> None:
    name = embedded.create(version_destroy_ttl=timedelta(days=1))
    embedded.store.add_version(name, FIRST)
    embedded.controls.set_failure(mode, "DestroySecretVersion", count=1)
    embedded.store.destroy(name, 1, etag(embedded, name, 1))
    embedded.store.destroy(name, 1, etag(embedded, name, 1))
    assert state(embedded, name, 1) is VersionState.DISABLED
    scheduled = embedded.client.get_secret_version(name=name.version(1)).scheduled_destroy_time
    assert scheduled is not None


def test_what_does_not_exist_is_not_found(embedded: Embedded) -> None:
    missing = SecretName("demo-project", "missing")
    with pytest.raises(NotFoundError, match="not found"):
        embedded.store.get(missing)
    name = embedded.create()
    with pytest.raises(NotFoundError):
        embedded.store.access(name, 1)
    with pytest.raises(NotFoundError):
        embedded.store.version(name, 1)
    embedded.store.add_version(name, FIRST)
    with pytest.raises(NotFoundError, match="alias"):
        embedded.store.access(name, "current")


def test_a_missing_permission_is_named_with_its_remedy(embedded: Embedded) -> None:
    name = embedded.create()
    embedded.store.add_version(name, FIRST)
    embedded.controls.set_failure("denied", permission="secretmanager.versions.access")
    with pytest.raises(AccessDeniedError) as caught:
        embedded.store.access(name, 1)
    assert "secretmanager.versions.access" in str(caught.value)
    assert "--role=roles/secretmanager.secretAccessor" in str(caught.value)
    assert embedded.store.get(name).name.secret_id == "app"


def test_a_label_the_service_refuses_is_permanent(embedded: Embedded) -> None:
    secret = embedded.store.get(embedded.create())
    with pytest.raises(PermanentError, match="does not conform"):
        write(embedded, secret, Upper="x")


def test_reads_pass_over_a_short_outage(embedded: Embedded) -> None:
    name = embedded.create()
    embedded.store.add_version(name, FIRST)
    embedded.controls.set_failure("unavailable", count=3)
    assert embedded.store.access(name, 1).payload == FIRST


def test_a_list_walks_several_pages(embedded: Embedded) -> None:
    for number in range(1100):
        embedded.create(f"s{number}")
    embedded.controls.reset_calls()
    listed = [secret.name.secret_id for secret in embedded.store.list()]
    assert sorted(listed) == sorted(f"s{number}" for number in range(1100))
    # A page that takes long is asked for again.
    assert embedded.controls.calls()["ListSecrets"] >= 2


def test_regional_secrets_are_served_too(embedded: Embedded) -> None:
    name = embedded.create(location="europe-west3")
    embedded.store.add_version(name, FIRST)
    secret = embedded.store.get(name)
    assert secret.name == SecretName(NUMBER, "app", "europe-west3")
    assert write(embedded, secret, a="1").labels == {"a": "1"}
    assert embedded.store.access(name, 1).payload == FIRST


def test_a_schedule_is_read(embedded: Embedded) -> None:
    name = embedded.create_rotating("app", timedelta(days=30))
    schedule = embedded.store.get(name).schedule
    assert schedule is not None
    assert schedule.period == timedelta(days=30)
    assert schedule.next_time.tzinfo is not None

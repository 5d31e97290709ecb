from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from rotation.emulator.clock import MovableClock
from rotation.emulator.secretmanager import messages as m
from rotation.emulator.secretmanager.agenda import Agenda
from rotation.emulator.secretmanager.etags import etag_at, moment_of_etag
from rotation.emulator.secretmanager.events import Event, pacific
from rotation.emulator.secretmanager.filters import parse_filter
from rotation.emulator.secretmanager.history import FRESH
from rotation.emulator.secretmanager.names import Parent, SecretKey
from rotation.emulator.secretmanager.outbox import Outbox
from rotation.emulator.secretmanager.records import VersionRecord
from rotation.emulator.secretmanager.schedule import Schedule
from rotation.emulator.secretmanager.secrets import create_secret, update_secret
from rotation.emulator.secretmanager.store import Store
from rotation.emulator.status import StatusError

APP = SecretKey(Parent(123456789012), "app")
NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)


class FrozenClock(MovableClock):
    def __init__(self) -> None:
        super().__init__()
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def store() -> Store:
    return Store(clock=FrozenClock())


def created(store: Store, name: str = "app", **secret: object) -> m.Message:
    request = m.CreateSecretRequest(
        parent="projects/demo-project",
        secret_id=name,
        secret={"replication": {"automatic": {}}, **secret},
    )
    return create_secret(store, request, FRESH)


def test_etag_has_the_recorded_form() -> None:
    moment = datetime(2026, 10, 2, 13, 11, 21, 55625, tzinfo=UTC)
    assert etag_at(moment) == '"165cdb44bc6989"'
    assert moment_of_etag('"165cdb44bc6989"') == moment


def test_etags_move_strictly_while_the_clock_stands(store: Store) -> None:
    etags = [created(store).etag]
    for _ in range(3):
        request = m.UpdateSecretRequest(secret={"name": str(APP)}, update_mask={})
        etags.append(update_secret(store, request, FRESH).etag)
    assert etags == sorted(set(etags))


@pytest.mark.parametrize(
    ("moment", "spelled"),
    [
        ("2026-10-02T13:11:21.055625+00:00", "2026-10-02T06:11:21.055625-07:00"),
        ("2026-10-02T13:03:33.658250+00:00", "2026-10-02T06:03:33.65825-07:00"),
        ("2026-12-02T13:03:33+00:00", "2026-12-02T05:03:33-08:00"),
    ],
)
def test_timestamps_are_pacific_without_trailing_zeros(moment: str, spelled: str) -> None:
    assert pacific(datetime.fromisoformat(moment)) == spelled


def test_nothing_is_due_in_an_empty_store(store: Store) -> None:
    schedule = Schedule(store)
    assert schedule.next_due() is None
    assert schedule.fire_due(NOON) == schedule.expire_due(NOON) == []


def test_next_due_is_the_earliest_of_expiry_and_rotation(store: Store) -> None:
    created(store, "one", ttl={"seconds": 7200})
    topics = [{"name": "projects/p/topics/rotation"}]
    rotation = {"next_rotation_time": NOON + timedelta(hours=1)}
    created(store, "two", topics=topics, rotation=rotation)
    schedule = Schedule(store)
    assert schedule.next_due() == NOON + timedelta(hours=1)
    assert schedule.fire_due(NOON + timedelta(hours=1)) == ["projects/123456789012/secrets/two"]
    assert schedule.next_due() == NOON + timedelta(hours=2)


def test_moved_moment_is_due_only_at_its_new_time() -> None:
    moments = {APP: NOON}
    agenda = Agenda(moments.get)
    agenda.plan(APP)
    moments[APP] = NOON + timedelta(hours=1)
    agenda.plan(APP)
    assert agenda.due(NOON) == []
    assert agenda.earliest() == NOON + timedelta(hours=1)
    assert agenda.due(NOON + timedelta(hours=1)) == [APP]


def test_watchers_hear_of_every_write(store: Store) -> None:
    calls: list[int] = []
    store.watch(lambda: calls.append(1))
    created(store)
    assert len(calls) == 1


def test_events_are_given_up_after_seven_days() -> None:
    def refuse(*_message: object) -> None:
        raise StatusError(grpc.StatusCode.UNAVAILABLE, "down")

    outbox = Outbox(refuse)
    outbox.send(Event("SECRET_UPDATE", APP, NOON, m.Secret(name=str(APP))), ["topic"])
    assert not outbox.retry(NOON + timedelta(days=6))
    assert len(outbox.kept) == 1
    assert outbox.retry(NOON + timedelta(days=7))
    assert outbox.kept == ()
    assert outbox.retry_at is None


def test_records_never_show_a_payload() -> None:
    assert "hunter2" not in repr(VersionRecord(m.SecretVersion(), b"hunter2"))


def secrets() -> Iterator[m.Message]:
    yield m.Secret(name="p/s/alpha", labels={"team": "db", "tier": "one"})
    yield m.Secret(name="p/s/beta", labels={"team": "web"}, topics=[{"name": "t/rotation"}])


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("", ["alpha", "beta"]),
        ("labels.team=db", ["alpha"]),
        ("labels.tier:*", ["alpha"]),
        ("labels:tier", ["alpha"]),
        ("labels.team!=db", ["beta"]),
        ("name:ALPH", ["alpha"]),
        ("topics:rotation", ["beta"]),
        ('name="beta"', ["beta"]),
        ("-labels.team=db", ["beta"]),
        ("labels.team=db labels.tier=two", []),
        ("labels.tier=one AND labels.team=web OR labels.team=db", ["alpha"]),
        ("(labels.team=web OR name:alpha) AND NOT name:beta", ["alpha"]),
        ("labels.tier<p", ["alpha"]),
    ],
)
def test_filters_pass_what_they_say(text: str, passing: list[str]) -> None:
    passes = parse_filter(text)
    assert [s.name[4:] for s in secrets() if passes(s)] == passing


@pytest.mark.parametrize(
    "text", ["name~a", "name", "name:", "(name:a", "name:a)", ":a", "a=b AND", "a=-"]
)
def test_filters_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(StatusError, match="invalid argument"):
        parse_filter(text)

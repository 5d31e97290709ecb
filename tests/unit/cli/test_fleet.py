"""A fleet of any size is watched with 30 lists a minute, and what moves is seen in seconds."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from rotation.cli.views.fleet import PAGE, Fleet
from rotation.engine import codec
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import BadFilterError
from rotation.model.names import SecretName
from rotation.model.secret import Secret

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
EVERY = 2.0


class Project:
    """Secrets behind lists of a thousand, which know the filter for a label that is there."""

    def __init__(self, count: int, *, picks: bool = True) -> None:
        policy = {codec.POLICY: ""}
        names = [SecretName("p", f"s-{number:05}") for number in range(count)]
        self.secrets = {name: Secret(name, "0", NOW, annotations=policy) for name in names}
        self.lists = 0
        self.decoded = 0
        self.gets = 0
        self.time = 0.0
        self._picks = picks

    def list(self, matching: str = "") -> Iterator[Secret]:
        if matching and not self._picks:
            raise BadFilterError("no such operator")
        wanted = f"labels.{codec.PHASE}:*"
        assert matching in {"", wanted}
        found = [
            secret
            for secret in self.secrets.values()
            if codec.PHASE in secret.labels or not matching
        ]
        self.lists += max(-(-len(found) // PAGE), 1)
        yield from found

    def get(self, name: SecretName) -> Secret:
        self.gets += 1
        return self.secrets[name]

    def snapshot(self, secret: Secret) -> Snapshot:
        self.decoded += 1
        return Snapshot(secret, NOW)

    def turn(self, number: int, *, moves: bool) -> None:
        name = SecretName("p", f"s-{number:05}")
        labels = {codec.PHASE: "soaking"} if moves else {}
        known = self.secrets[name]
        self.secrets[name] = replace(known, etag=known.etag + "1", labels=labels)

    def watched(self, matching: str = "") -> Fleet:
        clock = SimpleNamespace(now=lambda: NOW)
        context: Any = SimpleNamespace(project="p", store=self, clock=clock, snapshot=self.snapshot)
        return Fleet(context, matching, lambda: self.time)

    def pass_time(self, fleet: Fleet, seconds: float) -> Sequence[int]:
        """Look for so long; return how many moved in the sight of each look."""
        ends, moving = self.time + seconds, []
        while self.time < ends:
            snapshots = fleet.look()
            moving.append(sum(codec.PHASE in snapshot.secret.labels for snapshot in snapshots))
            assert len(snapshots) == len(self.secrets)
            self.time += max(EVERY, fleet.pause)
        return moving


@pytest.mark.parametrize("picks", [True, False])
@pytest.mark.parametrize("count", [10, PAGE + 1, 5 * PAGE])
def test_a_minute_of_watching_takes_thirty_lists_however_many_there_are(
    count: int, *, picks: bool
) -> None:
    project = Project(count, picks=picks)
    project.pass_time(project.watched(), 120)
    assert project.lists <= 2 * 30 + count / PAGE


def test_a_rotation_among_thousands_is_seen_in_seconds_and_so_is_its_end() -> None:
    project = Project(5 * PAGE)
    fleet = project.watched()
    assert set(project.pass_time(fleet, 10)) == {0}
    project.turn(4711, moves=True)
    assert set(project.pass_time(fleet, 6)) == {1}
    project.turn(4711, moves=False)
    assert set(project.pass_time(fleet, 6)) == {0}
    assert project.gets == 1


def test_many_that_come_to_rest_at_once_are_listed_and_not_read_one_by_one() -> None:
    project = Project(3 * PAGE)
    fleet = project.watched()
    for number in range(100):
        project.turn(number, moves=True)
    assert set(project.pass_time(fleet, 6)) == {100}
    for number in range(100):
        project.turn(number, moves=False)
    assert set(project.pass_time(fleet, 6)) == {0}
    assert project.gets == 0


def test_what_has_not_changed_is_decoded_once() -> None:
    project = Project(10)
    fleet = project.watched()
    fleet.look()
    project.turn(3, moves=True)
    fleet.look()
    assert project.decoded == 10 + 1

import json
from typing import ClassVar

import pytest
from msgspec import structs

from rotation.engine.use import look_at_use
from rotation.model.errors import TemporaryError
from rotation.model.payload import Payload
from rotation.model.plugin import Fence, IssuerSpec
from rotation.model.wakeup import Ask
from rotation.ports.issuer import IssuerEnvironment

from .world import MemoryKeys, MemorySettings, MemorySuspending, World


def test_where_use_cannot_be_observed_a_rotation_ends_by_age_and_its_evidence_says_so() -> None:
    world = World(kind=MemoryKeys)
    world.worker().tick(world.scheduled())
    assert world.logs_in(1)
    world.settle()
    assert world.receipt["outcome"] == "rotated"
    assert world.states() == {1: "destroyed", 2: "enabled"}
    assert world.issuer.roles["app_a"].password is None
    assert "cannot show who uses a credential; retired by age" in world.receipt["evidence"][0]


def test_without_suspend_an_abandoned_credential_is_revoked() -> None:
    world = World(kind=MemoryKeys)
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=1)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "reverted"
    assert world.logs_in(1)
    assert world.issuer.roles["app_b"].password is None


def test_suspended_without_sight_a_credential_is_watched_by_age_and_then_revoked() -> None:
    world = World(kind=MemorySuspending)
    world.worker().tick(world.scheduled())
    world.clock.advance(hours=1, minutes=1)
    world.worker().tick(world.woken())
    old = world.issuer.roles["app_a"]
    assert (old.login, bool(old.password)) == (False, True)
    assert world.states() == {1: "disabled", 2: "enabled"}
    world.settle()
    assert world.receipt["outcome"] == "rotated"
    assert old.password is None
    lines = [each for each in world.receipt["evidence"] if "retired by age" in each]
    assert len(lines) == 1, "it is said once, not at every look"


def test_suspended_without_sight_a_credential_is_given_back_by_a_revert() -> None:
    world = World(kind=MemorySuspending)
    world.worker().tick(world.scheduled())
    world.clock.advance(hours=1, minutes=1)
    world.worker().tick(world.woken())
    assert not world.logs_in(1)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "reverted"
    assert world.logs_in(1)
    next_one = world.issuer.roles["app_b"]
    assert (next_one.login, bool(next_one.password)) == (False, True)


def test_use_that_cannot_be_shown_proves_nothing() -> None:
    issuer = MemoryKeys(MemorySettings(), IssuerEnvironment(lambda _: Payload(b"{}"), str))
    observed = look_at_use(issuer, "app_a", Payload(b"{}"))
    assert (observed.sessions, observed.is_conclusive) == ((), False)
    assert "memory cannot show" in observed.unobservable_reason


class MemoryValues(MemoryKeys):
    """Credentials that are their versions and nothing else: nobody outside knows them."""

    spec: ClassVar[IssuerSpec] = structs.replace(
        MemoryKeys.spec,
        capabilities=structs.replace(MemoryKeys.spec.capabilities, fence=Fence.SECRET),
    )


def test_a_credential_that_is_its_version_is_not_recorded_as_dead_while_that_is_enabled() -> None:
    world = World(kind=MemoryValues)

    def refuse(call: str) -> None:
        if call == "disable":
            raise TemporaryError("DisableSecretVersion: UNAVAILABLE")

    world.store.trouble = refuse
    with pytest.raises(TemporaryError):
        world.worker().tick(world.asked(Ask.EMERGENCY))
    record = json.loads(world.store.secret.annotations["rotation.record"])["record"]
    assert "revoked_at" not in record
    world.store.trouble = lambda _: None
    world.worker().tick(world.woken())
    assert world.states() == {1: "disabled", 2: "enabled"}


def test_a_mass_emergency_disables_the_versions_that_are_their_credentials() -> None:
    world = World(kind=MemoryValues)
    world.store.busy = True
    world.worker().tick(world.asked(Ask.EMERGENCY))
    assert world.states() == {1: "disabled", 2: "enabled"}

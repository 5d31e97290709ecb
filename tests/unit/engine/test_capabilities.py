from rotation.engine.use import look_at_use
from rotation.model.payload import Payload
from rotation.model.wakeup import Ask
from rotation.ports.issuer import IssuerEnvironment

from .world import MemoryKeys, MemorySettings, World


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


def test_use_that_cannot_be_shown_proves_nothing() -> None:
    issuer = MemoryKeys(MemorySettings(), IssuerEnvironment(lambda _: Payload(b"{}"), str))
    observed = look_at_use(issuer, "app_a", Payload(b"{}"))
    assert (observed.sessions, observed.is_conclusive) == ((), False)
    assert "memory cannot show" in observed.unobservable_reason

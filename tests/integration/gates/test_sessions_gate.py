"""The gate ``sessions`` through the PostgreSQL issuer, on a real server."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from rotation.gates.sessions import SessionsGate, SessionsSettings
from rotation.local.postgres import PostgresServer
from rotation.model.payload import Payload
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import environment, watch
from tests.support.postgresql.kit import Site, make_site


@dataclass
class Rollout:
    """Both slots minted: the first is the previous credential's, the second the next one's."""

    site: Site
    previous: Payload
    next: Payload

    def check(self, **settings: int) -> Verdict:
        issuer = self.site.issuer()
        first, second = self.site.slots
        uses = {
            "previous_use": partial(issuer.observe, first, self.next),
            "next_use": partial(issuer.observe, second, self.previous),
        }
        gate = SessionsGate(SessionsSettings(**settings), environment())
        verdict = gate.check(watch(**uses))
        assert not [word for word in self.site.passwords if word in verdict.evidence]
        return verdict


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def rollout(server: PostgresServer) -> Iterator[Rollout]:
    site = make_site(server)
    first, second = site.slots
    yield Rollout(site, site.mint(first, 1), site.mint(second, 2))
    site.close()


def test_nobody_has_arrived(rollout: Rollout) -> None:
    with rollout.site.session(rollout.previous):
        verdict = rollout.check()
    assert verdict.look is Look.WAIT
    assert verdict.evidence == "0 sessions on version 7, 1 needed"


def test_a_canary_has_arrived_beside_the_others(rollout: Rollout) -> None:
    site = rollout.site
    with site.session(rollout.previous), site.session(rollout.next, application_name="orders-web"):
        verdict = rollout.check()
        waiting = rollout.check(arrived=2)
    assert verdict.look is Look.PASS
    assert verdict.evidence == "1 session (127.0.0.1 orders-web) on version 7"
    assert waiting.look is Look.WAIT


def test_everybody_has_left(rollout: Rollout) -> None:
    site = rollout.site
    with site.session(rollout.next):
        with site.session(rollout.previous, application_name="straggler"):
            before = rollout.check(left=True)
        after = rollout.check(left=True)
    assert before.look is Look.WAIT
    assert "1 session (127.0.0.1 straggler) still on version 6" in before.evidence
    assert after.look is Look.PASS


def test_a_blind_rotator_never_passes(rollout: Rollout) -> None:
    site = rollout.site
    site.run("REVOKE pg_read_all_stats FROM {}", site.rotator)
    try:
        with site.session(rollout.next):
            verdict = rollout.check()
    finally:
        site.run("GRANT pg_read_all_stats TO {}", site.rotator)
    assert verdict.look is Look.WAIT
    assert "cannot be seen" in verdict.evidence


def test_a_dead_witness_never_passes(rollout: Rollout) -> None:
    site = rollout.site
    with site.session(rollout.next):
        site.issuer().suspend(site.slots[0], 3)
        verdict = rollout.check()
    assert verdict.look is Look.WAIT
    assert "witness" in verdict.evidence


def test_a_server_that_is_gone_waits(rollout: Rollout) -> None:
    issuer = rollout.site.issuer(port=1)
    look = partial(issuer.observe, rollout.site.slots[1], rollout.previous)
    gate = SessionsGate(SessionsSettings(), environment())
    verdict = gate.check(watch(next_use=look, previous_use=look))
    assert verdict.look is Look.WAIT
    assert "cannot be reached" in verdict.evidence

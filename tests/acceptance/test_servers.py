"""The same rotation on every PostgreSQL there is, over TLS where it has it, and with a standby."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from rotation.local.postgres import PostgresBinaries, find_bindirs
from tests.acceptance.conftest import MakeTarget
from tests.acceptance.prober import probing
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import Scene, opened, options, wait_until

pytestmark = pytest.mark.slow

SERVERS = find_bindirs()


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.version)
def server(request: pytest.FixtureRequest) -> PostgresBinaries:
    found: PostgresBinaries = request.param
    return found


@pytest.fixture(scope="module")
def served(server: PostgresBinaries, evidence: Evidence) -> Iterator[Scene]:
    with opened(
        options(bindir=server.bindir, tls=server.tls, sweep_every=timedelta(minutes=5)), evidence
    ) as running:
        yield running


def test_scheduled_rotation_and_emergency_work_on_this_server(
    served: Scene, make_target: MakeTarget
) -> None:
    moment = served.stack.services.clock.now() + timedelta(hours=1)
    target = make_target(
        served,
        secret={
            "topics": [{"name": served.stack.topic}],
            "rotation": {"next_rotation_time": moment, "rotation_period": timedelta(days=1)},
        },
    ).start()
    first = target.payload(1)
    with probing(target) as prober:
        served.advance(hours=1, seconds=1)
        wait_until(lambda: target.current == 2, "the schedule has fired")
        target.settle(prober.beat)
    target.assert_settled(current=2, previous=1)
    assert target.refused(first)
    leaked = target.payload(2)
    target.ask("emergency", reason="leak")
    target.await_phase("destroying", 3)
    served.await_idle()
    assert target.refused(leaked)
    target.settle()
    target.assert_settled(current=3, previous=2)


def test_sessions_of_the_rotator_and_of_consumers_are_encrypted(
    served: Scene, make_target: MakeTarget
) -> None:
    if not served.stack.postgres.tls:
        pytest.skip(f"PostgreSQL {served.stack.postgres.binaries.version} is built without TLS")
    target = make_target(served).start()
    log = served.stack.postgres.log_path
    before = len(log.read_text(errors="replace"))
    target.rotate()
    lines = log.read_text(errors="replace")[before:].splitlines()
    logins = [line for line in lines if f"authorized: user={target.id}" in line]
    assert logins
    assert all("SSL enabled" in line for line in logins)


def test_certificate_that_is_not_trusted_blocks(served: Scene, make_target: MakeTarget) -> None:
    if not served.stack.postgres.tls:
        pytest.skip(f"PostgreSQL {served.stack.postgres.binaries.version} is built without TLS")
    target = make_target(served).start()
    target.set_policy(issuer=target.issuer(tls_root_cert=""))
    target.fire()
    target.assert_blocked("tls", "certificate")
    target.set_policy(issuer=target.issuer())
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_policy_that_points_to_a_standby_blocks_and_a_standby_is_rotated_along(
    served: Scene, make_target: MakeTarget
) -> None:
    postgres = served.stack.postgres
    if not postgres.binaries.can_copy:
        pytest.skip(f"{postgres.binaries.bindir} has no pg_basebackup")
    target = make_target(served).start()
    with postgres.replica() as standby:
        target.set_policy(issuer=target.issuer(port=standby.port))
        target.fire()
        target.assert_blocked("not-primary", "replicas")
        node = f"{standby.host}:{standby.port}"
        target.set_policy(issuer=target.issuer(replicas=[node]))
        target.unblock()
        target.assert_settled(current=2, previous=1)
        assert target.works({**target.payload(2), "port": standby.port})
        assert target.refused({**target.payload(2), "port": standby.port, "password": "wrong"})

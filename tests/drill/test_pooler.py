"""What PgBouncer makes of a credential that is rotated: the reasons for what operators are advised.

With ``auth_query`` it asks the database at every login, but it never looks at a client again that
it has let in, and it goes on serving that client under the role it logged in as.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from rotation.local.postgres import PostgresServer
from rotation.model.payload import Payload
from tests.drill import pooler
from tests.drill.pooler import Pooler
from tests.support.postgresql.kit import Site, make_site

pytestmark = pytest.mark.skipif(pooler.PROGRAM is None, reason=pooler.MISSING)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def site(server: PostgresServer) -> Iterator[Site]:
    made = make_site(server)
    yield made
    made.close()
    made.run("DROP OWNED BY {}; DROP ROLE {}", pooler.LOOKUP_ROLE, pooler.LOOKUP_ROLE)


@pytest.fixture
def running(site: Site) -> Iterator[Pooler]:
    folder = Path(tempfile.mkdtemp(prefix="rotation-test-"))
    folder.chmod(0o755)  # PgBouncer does not run as root, and must reach what is in it
    with ExitStack() as parts:
        parts.callback(shutil.rmtree, folder)
        yield parts.enter_context(Pooler(site.server, site.database, folder / "pgbouncer"))


def log_in(site: Site, through: Pooler, payload: Payload) -> psycopg.Connection:
    fields = payload.fields()
    return psycopg.connect(
        host="127.0.0.1",
        port=through.port,
        dbname=site.database,
        user=fields["username"],
        password=fields["password"],
        autocommit=True,
        connect_timeout=10,
        prepare_threshold=None,
    )


def owner_of(session: psycopg.Connection) -> str:
    row = session.execute("SELECT current_user::text").fetchone()
    return str(row[0]) if row else ""


def retire(site: Site, slot: str, token: int) -> None:
    issuer = site.issuer()
    issuer.suspend(slot, token)
    issuer.revoke(slot, token)


def test_a_pooled_session_is_the_owner_under_each_credential_of_a_slot(
    site: Site, running: Pooler
) -> None:
    slot = site.slots[0]
    for generation in (1, 3, 5):
        payload = site.mint(slot, token=generation)
        with closing(log_in(site, running, payload)) as session:
            assert owner_of(session) == site.owner
        retire(site, slot, generation + 1)


def test_a_suspended_or_revoked_credential_is_refused_to_new_clients(
    site: Site, running: Pooler
) -> None:
    slot = site.slots[0]
    payload = site.mint(slot, token=1)
    log_in(site, running, payload).close()
    site.issuer().suspend(slot, 2)
    with pytest.raises(psycopg.OperationalError, match="no such user"):
        log_in(site, running, payload)
    site.issuer().revoke(slot, 3)
    site.mint(slot, token=4)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        log_in(site, running, payload)


def test_a_client_let_in_with_a_dead_credential_comes_back_with_the_slot(
    site: Site, running: Pooler
) -> None:
    slot = site.slots[0]
    leaked = site.mint(slot, token=1)
    with closing(log_in(site, running, leaked)) as intruder:
        assert owner_of(intruder) == site.owner
        retire(site, slot, 2)
        fresh = site.mint(slot, token=3)
        with closing(log_in(site, running, fresh)) as session:
            assert owner_of(session) == site.owner
        # It never learned the new password; PgBouncer did, from somebody else.
        assert owner_of(intruder) == site.owner


def test_replacing_the_pooler_ends_such_a_client_and_refuses_nobody_else(
    site: Site, running: Pooler
) -> None:
    slot = site.slots[0]
    leaked = site.mint(slot, token=1)
    with closing(log_in(site, running, leaked)) as intruder:
        assert owner_of(intruder) == site.owner
        retire(site, slot, 2)
        running.replace()
        fresh = site.mint(slot, token=3)
        with closing(log_in(site, running, fresh)) as session:
            assert owner_of(session) == site.owner
        with pytest.raises(psycopg.OperationalError):
            owner_of(intruder)


def test_after_a_failed_login_the_slots_next_users_are_turned_away_first(
    site: Site, running: Pooler
) -> None:
    slot = site.slots[0]
    leaked = site.mint(slot, token=1)
    with closing(log_in(site, running, leaked)) as intruder:
        assert owner_of(intruder) == site.owner
        retire(site, slot, 2)
        with pytest.raises(psycopg.Error, match="query_wait_timeout"):
            owner_of(intruder)
    fresh = site.mint(slot, token=3)
    with closing(log_in(site, running, fresh)) as session, pytest.raises(psycopg.Error):
        owner_of(session)
    running.replace()
    with closing(log_in(site, running, fresh)) as session:
        assert owner_of(session) == site.owner

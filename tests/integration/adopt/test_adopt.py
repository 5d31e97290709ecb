"""A database with one login is brought under rotation while its application runs."""

import re
import time
from contextlib import closing, suppress

import psycopg
import pytest

from rotation.adopt import files
from rotation.issuers.postgresql import ISSUER
from rotation.issuers.postgresql.adopting import adopter as adopt_module
from rotation.local.postgres import PostgresServer
from rotation.model.errors import RotationError
from rotation.model.payload import Payload
from rotation.model.plugin import Severity
from tests.support.legacy import PASSWORD, Legacy, Load, owed
from tests.support.minting import minting


class KilledError(Exception):
    pass


@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "no-superuser"])
@pytest.mark.parametrize("login", ["app", 'Odd "App" '])
def test_after_an_adoption_preflight_is_content_and_a_credential_can_be_minted(
    server: PostgresServer, *, superuser: bool, login: str
) -> None:
    legacy = Legacy(server, login, superuser)
    plan = legacy.adopt()
    assert owed(plan.steps) == []
    with closing(legacy.issuer(plan)) as issuer:
        found = issuer.preflight(legacy.payload)
        assert [finding for finding in found if finding.severity is Severity.ERROR] == []
        second = f"{legacy.login}_b"
        candidate = issuer.propose(second, "20261125t150000-abc-1", legacy.payload)
        issuer.mint(minting(second, candidate, 1, 2))
        assert issuer.verify(candidate).identity == f"{legacy.login}_owner"
        assert candidate.rotation_id() == "20261125t150000-abc-1"
    again = {"tls": "disable", "slots": plan.settings["slots"]}
    with closing(legacy.adopter(payload=candidate, settings=again)) as adopter:
        rotated = adopter.plan()
    assert owed(rotated.steps) == []
    assert rotated.settings == plan.settings


@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "no-superuser"])
def test_no_statement_of_a_running_application_fails(
    server: PostgresServer, *, superuser: bool
) -> None:
    legacy = Legacy(server, "app", superuser)
    with Load(legacy, renews=False) as kept, Load(legacy, renews=True) as renewed:
        while min(kept.done, renewed.done) < 30:
            time.sleep(0.01)
        plan = legacy.adopt()
        before = (kept.done, renewed.done)
        while kept.done < before[0] + 30 or renewed.done < before[1] + 30:
            time.sleep(0.01)
    assert (kept.failures, renewed.failures) == ([], [])
    assert owed(plan.steps) == ["leftovers"]
    assert owed(legacy.adopt().steps) == []


def test_what_old_sessions_create_after_the_change_is_handed_over_by_the_next_run(
    server: PostgresServer,
) -> None:
    legacy = Legacy(server, "app")
    with closing(legacy.log_in()) as old:
        plan = legacy.adopt()
        assert [step.name for step in plan.steps if step.waits] == ["leftovers"]
        old.execute("CREATE TABLE public.late (id int)")
        with closing(legacy.log_in()) as new:
            new.execute("INSERT INTO public.late VALUES (1)")
        legacy.adopt()
        with closing(legacy.log_in()) as new:
            new.execute("ALTER TABLE public.late ADD COLUMN n int")
    assert owed(legacy.adopt().steps) == []


@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "no-superuser"])
def test_killed_before_each_statement_it_goes_on_and_ends_the_same(
    server: PostgresServer, *, superuser: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy = Legacy(server, "app", superuser)
    real = adopt_module._run
    seen: set[str] = set()

    def dying(connection: psycopg.Connection, statements: tuple[str, ...], doing: str) -> None:
        for number, statement in enumerate(statements):
            # Some hold the time of day, or a verifier that is never the same twice.
            known = re.sub(r"SCRAM-SHA-256[^']*|\d+", "0", statement)
            if known not in seen:
                seen.add(known)
                with suppress(psycopg.Error):
                    connection.execute("BEGIN")
                    for earlier in statements[:number]:
                        connection.execute(earlier.encode())
                connection.close()  # the server sees what it sees of a killed process
                raise KilledError
        real(connection, statements, doing)
        if doing not in seen:  # and once right after the commit
            seen.add(doing)
            connection.close()
            raise KilledError

    monkeypatch.setattr(adopt_module, "_run", dying)
    kills = 0
    while True:
        try:
            plan = legacy.adopt()
            break
        except (KilledError, RotationError):
            kills += 1
            legacy.log_in().close()
            assert kills < 300
    assert kills > 30
    assert owed(plan.steps) == []
    with closing(legacy.issuer(plan)) as issuer:
        found = issuer.preflight(legacy.payload)
        assert [finding for finding in found if finding.severity is Severity.ERROR] == []


def test_a_table_somebody_holds_is_waited_for_and_the_application_is_not_cancelled(
    server: PostgresServer,
) -> None:
    legacy = Legacy(server, "app")
    with closing(legacy.log_in(autocommit=False)) as holder:
        holder.execute("SELECT nextval('\"Odd table_id_seq\"')")
        with closing(legacy.adopter()) as adopter:
            for step in adopter.plan().steps[:6]:
                adopter.apply(step)
            holder.execute("INSERT INTO \"Odd table\" (t) VALUES ('held')")
            holder.commit()
    assert owed(legacy.adopt().steps) == []


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        ("ALTER ROLE {} REPLICATION", "login"),
        ("ALTER ROLE {} CREATEROLE", "login"),
        ("ALTER ROLE {} BYPASSRLS", "login"),
        ("GRANT pg_read_server_files TO {}", "login"),
        ("COMMENT ON ROLE {} IS 'managed by vault'", "other-manager"),
        ("ALTER ROLE {} SET role = 'pg_monitor'", "set-role"),
        ("CREATE POLICY who ON public.guarded USING (current_user = 'x')", "row-policies"),
    ],
)
def test_what_stands_in_the_way_is_told_before_anything_changes(
    server: PostgresServer, spoil: str, check: str
) -> None:
    legacy = Legacy(server, "app")
    legacy.run(legacy.database, [spoil.replace("{}", "{login}")], {"login": legacy.login})
    with closing(legacy.adopter()) as adopter:
        assert check in [blocker.check for blocker in adopter.plan().blockers]


def test_a_login_used_in_two_databases_is_refused(server: PostgresServer) -> None:
    legacy = Legacy(server, "app")
    other = f"{legacy.database}_other"
    names = {"login": legacy.login, "other": other}
    legacy.run("postgres", ["CREATE DATABASE {other} OWNER {login}"], names)
    with closing(legacy.adopter()) as adopter:
        (blocker,) = adopter.plan().blockers
    assert blocker.check == "other-databases"
    assert other in blocker.message


def test_a_password_that_does_not_work_is_refused_without_being_shown(
    server: PostgresServer,
) -> None:
    legacy = Legacy(server, "app")
    wrong = Payload(legacy.payload.reveal().replace(PASSWORD.encode(), b"wrong-wrong"))
    refusal = pytest.raises(RotationError, match="refuses the login")
    with closing(legacy.adopter(payload=wrong)) as adopter, refusal as refused:
        adopter.plan()
    assert "wrong-wrong" not in str(refused.value)


def test_the_rendered_files_hold_the_same_statements(server: PostgresServer) -> None:
    legacy = Legacy(server, "app")
    with closing(legacy.adopter()) as adopter:
        steps = adopter.plan().steps
    rendered = "\n".join(files.render(steps, ISSUER.adoption).values())
    for step in steps:
        for transaction in step.transactions:
            for statement in transaction:
                assert f"{statement};" in rendered


def test_a_view_moves_after_what_it_reads(server: PostgresServer) -> None:
    legacy = Legacy(server, "app")
    with closing(legacy.adopter()) as adopter:
        steps = {step.name: step for step in adopter.plan().steps}
    moves = [transaction[0] for transaction in steps["tables"].transactions]
    behind, early = (
        moves.index(f'ALTER VIEW IF EXISTS public.{name} OWNER TO "{legacy.login}_owner"')
        for name in ("behind", "early")
    )
    assert behind < early

"""What a policy's probes may not do to a database, to a worker, or to who reads messages."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from rotation.issuers.postgresql import PostgreSQL, probes
from rotation.model.errors import PermanentError, PolicyError, RotationError, TemporaryError
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.support.postgresql.kit import Site

DATA = "the-salary-of-somebody"
#: As `FORGED` probes are: none passes the reading of the text.
REFUSED_BY_TEXT = [
    "SELECT 1; SELECT 2",
    "SELECT 1; COMMIT; INSERT INTO t VALUES ('x')",
    "COMMIT",
    "COMMIT AND CHAIN",
    "ROLLBACK",
    "SAVEPOINT s",
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/x'",
    "COPY t TO '/tmp/x'",
    "SET default_transaction_read_only = off",
    "RESET ROLE",
    "DO $$ BEGIN END $$",
    "CALL anything()",
    "EXPLAIN ANALYZE INSERT INTO t VALUES ('x')",
    "INSERT INTO t VALUES ('x')",
    "WITH w AS (INSERT INTO t VALUES ('x') RETURNING 1) SELECT * FROM w",
    "SELECT * INTO u FROM t",
    "SELECT * FROM t FOR UPDATE",
    "PREPARE p AS SELECT 1",
    "LISTEN news",
    "VACUUM",
    "ALTER ROLE CURRENT_USER PASSWORD 'x'",
]
#: What the grammar of a query lets through, but no text of a policy may say.
ACTING = [
    "SELECT set_config('role', 'none', false)",
    "SELECT pg_catalog.\"set_config\"('statement_timeout', '0', false)",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT nextval('s')",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT * FROM dblink('', 'SELECT 1') AS t (x int)",
    "SELECT lo_export(1, '/tmp/x')",
]
FORGED = [*REFUSED_BY_TEXT, *ACTING]


@pytest.fixture
def payload(site: Site) -> Payload:
    payload = site.mint(site.slots[0], token=1)
    site.run("CREATE TABLE public.t (secret text)")
    site.run("ALTER TABLE public.t OWNER TO {}", site.owner)
    site.run("INSERT INTO public.t VALUES (%s)", values=[DATA])
    return payload


@contextmanager
def unread(site: Site, *texts: str, **changes: Any) -> Iterator[PostgreSQL]:
    """An issuer whose probes nobody has read: the server alone stands in the way."""
    settings = site.settings(**changes)
    object.__setattr__(settings, "probes", texts)
    issuer = PostgreSQL(settings, IssuerEnvironment(site.read, lambda: ""))
    yield issuer
    issuer.close()


def failure(site: Site, payload: Payload, *texts: str, **changes: Any) -> RotationError:
    with unread(site, *texts, **changes) as issuer, pytest.raises(RotationError) as caught:
        issuer.verify(payload)
    return caught.value


def rows(site: Site) -> list[Any]:
    return site.run("SELECT secret FROM public.t")


@pytest.mark.parametrize("probe", FORGED)
def test_a_policy_with_another_statement_is_refused_by_its_text(site: Site, probe: str) -> None:
    with pytest.raises(PolicyError, match=r"probes\[1\]"):
        site.settings(probes=("SELECT 1", probe))


@pytest.mark.parametrize("probe", REFUSED_BY_TEXT)
def test_the_server_refuses_it_whatever_the_text_looked_like(
    site: Site, payload: Payload, probe: str
) -> None:
    error = failure(site, payload, "SELECT 1", probe)
    assert isinstance(error, PermanentError)
    assert "probe 2" in str(error)
    assert rows(site) == [(DATA,)]


@pytest.mark.parametrize("way", ["INSERT INTO public.t VALUES ('x')", "CREATE TABLE public.u ()"])
def test_a_function_that_writes_is_refused(site: Site, payload: Payload, way: str) -> None:
    site.run(
        "CREATE FUNCTION public.health() RETURNS int LANGUAGE plpgsql SECURITY DEFINER"
        f" AS $$ BEGIN {way}; RETURN 1; END $$"
    )
    error = failure(site, payload, "SELECT public.health()")
    assert error.reason == "probe-writes"
    assert rows(site) == [(DATA,)]
    assert site.run("SELECT to_regclass('public.u')") == [(None,)]


def test_a_function_that_lifts_the_read_only_mode_writes_nothing(
    site: Site, payload: Payload
) -> None:
    site.run(
        "CREATE FUNCTION public.lift() RETURNS text LANGUAGE sql VOLATILE AS"
        " $$ SELECT set_config('transaction_read_only', 'off', false) $$"
    )
    site.run(
        "CREATE FUNCTION public.fill() RETURNS int LANGUAGE plpgsql VOLATILE AS"
        " $$ BEGIN INSERT INTO public.t VALUES ('x'); RETURN 1; END $$"
    )
    failure(site, payload, "SELECT public.lift()", "SELECT public.fill()")
    assert rows(site) == [(DATA,)]


@pytest.mark.parametrize(
    "setting", ["'role', 'none'", "'default_transaction_read_only', 'off'", "'search_path', 'x'"]
)
def test_what_a_function_sets_ends_with_the_probe(
    site: Site, payload: Payload, setting: str
) -> None:
    site.run(
        "CREATE FUNCTION public.pretend() RETURNS text LANGUAGE sql VOLATILE AS"
        f" $$ SELECT set_config({setting}, false) $$"
    )
    with unread(site, "SELECT public.pretend()") as issuer:
        if "role" in setting:
            with pytest.raises(PermanentError, match="changed its session"):
                issuer.verify(payload)
        else:
            issuer.verify(payload)
    assert rows(site) == [(DATA,)]


def test_a_time_limit_that_a_probe_has_lifted_holds_for_the_next_one(
    site: Site, payload: Payload
) -> None:
    lift = "SELECT set_config('statement_timeout', '0', false)"
    slow = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    error = failure(site, payload, lift, slow, statement_timeout=1)
    assert isinstance(error, TemporaryError)
    assert "probe 2" in str(error)
    assert "57014" in str(error)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("SELECT secret::int FROM public.t", " on the data"),
        ("SELECT * FROM public.not_there", ": 42P01 at character 15"),
        ("SELECT xmlparse(document secret) FROM public.t", " on the data"),
        (f"SELECT '{DATA}'::date", " on the data"),
        (
            "SELECT CASE ascii(secret) % 2 WHEN 0 THEN 1/0 ELSE 2147483647 + 1 END FROM public.t",
            " on the data",
        ),
    ],
)
def test_a_failing_probe_says_its_state_and_place_and_no_data(
    site: Site,
    payload: Payload,
    probe: str,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    error = failure(site, payload, "SELECT 1", probe)
    if "xml" in probe and "0A000" in str(error):
        pytest.skip("this server is built without XML")
    assert f"failed{words}" in str(error)
    shown = "".join(traceback.format_exception(error)) + repr(error) + error.remedy + caplog.text
    assert DATA not in shown
    assert error.__context__ is None
    assert error.__cause__ is None


def test_rows_of_a_probe_are_not_sent(site: Site, payload: Payload) -> None:
    endless = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT * FROM n"
    with unread(site, endless, statement_timeout=5) as issuer:
        assert issuer.verify(payload).probes == 1


def test_a_probe_of_another_alphabet_is_run(site: Site, payload: Payload) -> None:
    assert site.issuer(probes=("SELECT 'ß 表' ;",)).verify(payload).probes == 1


def test_settings_are_frozen_with_what_was_read(site: Site) -> None:
    settings = site.settings(probes=("SELECT 1",))
    with pytest.raises(PolicyError):
        replace(settings, probes=("SELECT 1; COMMIT",))
    assert probes.fault(settings.probes[0]) == ""

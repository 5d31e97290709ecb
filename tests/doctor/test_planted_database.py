"""Each misconfiguration of the database is planted for real, found, and mended by its remedy."""

import pytest

from tests.doctor.patient import Patient

#: What is planted, what is found, and what undoes it where the remedy is not a statement alone.
PLANTED: dict[str, tuple[str, set[str], str]] = {
    "a slot left the owner": (
        "REVOKE orders_owner FROM orders_a",
        {"owner-membership", "set-role", "slot-parity"},
        "GRANT orders_owner TO orders_a",
    ),
    "the rotator may not change roles": (
        "ALTER ROLE rotator NOCREATEROLE",
        {"change-right"},
        "ALTER ROLE rotator CREATEROLE",
    ),
    "a right that one slot has": (
        "GRANT pg_read_all_data TO orders_a",
        {"slot-parity"},
        "REVOKE pg_read_all_data FROM orders_a",
    ),
    "a limit that one slot has": (
        "ALTER ROLE orders_a CONNECTION LIMIT 50",
        {"slot-parity"},
        "ALTER ROLE orders_a CONNECTION LIMIT -1",
    ),
    "slots without room": (
        "ALTER ROLE orders_a CONNECTION LIMIT 0; ALTER ROLE orders_b CONNECTION LIMIT 0",
        {"connection-limit", "set-role", "scram", "observer"},
        "ALTER ROLE orders_a CONNECTION LIMIT -1; ALTER ROLE orders_b CONNECTION LIMIT -1",
    ),
    "a setting that one slot has": (
        "ALTER ROLE orders_a SET work_mem = '7MB'",
        {"slot-parity"},
        "ALTER ROLE orders_a RESET work_mem",
    ),
    "a row-level policy that names a slot": (
        (
            "CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER TO orders_owner;"
            " CREATE POLICY mine ON public.t TO orders_a USING (true)"
        ),
        {"slot-parity"},
        "DROP TABLE public.t",
    ),
    "a password that ends": (
        "ALTER ROLE orders_b VALID UNTIL '2099-01-01'",
        {"password-expiry"},
        "ALTER ROLE orders_b VALID UNTIL 'infinity'",
    ),
    "another manager in the comment": (
        "COMMENT ON ROLE orders_b IS 'managed by Terraform'",
        {"other-manager"},
        "COMMENT ON ROLE orders_b IS NULL",
    ),
    "CloudNativePG": (
        "CREATE ROLE streaming_replica",
        {"other-manager"},
        "DROP ROLE streaming_replica",
    ),
    "an owner that can log in": (
        "ALTER ROLE orders_owner LOGIN",
        {"owner"},
        "ALTER ROLE orders_owner NOLOGIN",
    ),
    "sessions cannot be ended": (
        "REVOKE pg_signal_backend FROM rotator",
        {"end-sessions"},
        "GRANT pg_signal_backend TO rotator",
    ),
    "sessions cannot be seen": (
        "REVOKE pg_read_all_stats FROM rotator",
        {"observer"},
        "GRANT pg_read_all_stats TO rotator",
    ),
    "objects of a slot": (
        "CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER TO orders_a",
        {"object-owner"},
        "DROP TABLE public.t",
    ),
    "default privileges of a slot": (
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_a GRANT SELECT ON TABLES TO PUBLIC",
        {"default-privileges"},
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_a REVOKE SELECT ON TABLES FROM PUBLIC",
    ),
    "a token ahead of the secret": (
        "COMMENT ON ROLE orders_b IS '[rotation token=999 version=9 state=minted]'",
        {"fence-marker"},
        "COMMENT ON ROLE orders_b IS NULL",
    ),
    "a tight limit of the database": (
        "ALTER DATABASE orders CONNECTION LIMIT 3",
        {"connection-limit", "observer"},
        "ALTER DATABASE orders CONNECTION LIMIT -1",
    ),
}
#: Whose remedy is one or more statements that mend all of it.
STATEMENTS = (
    "a slot left the owner", "slots without room", "a password that ends",
    "an owner that can log in", "sessions cannot be ended", "sessions cannot be seen",
    "a tight limit of the database",
)  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_it_is_found(patient: Patient, case: str) -> None:
    plant, expected, undo = PLANTED[case]
    patient.sql(*plant.split(";"))
    try:
        found = patient.look()
    finally:
        patient.sql(*undo.split(";"))
    checks = {finding["check"].removeprefix("issuer-") for finding in found}
    assert checks & expected == checks
    assert checks
    assert all(finding["remedy"] and finding["why"] for finding in found)


@pytest.mark.parametrize("case", STATEMENTS)
def test_its_remedy_mends_it(patient: Patient, case: str) -> None:
    plant, _, undo = PLANTED[case]
    patient.sql(*plant.split(";"))
    try:
        for finding in patient.look():
            if finding["remedy"].startswith("rotation "):
                continue  # a consequence of the others
            patient.sql(*finding["remedy"].split("; "))
        assert patient.look() == []
    finally:
        patient.sql(*undo.split(";"))

import psycopg
import pytest

from rotation.issuers.postgresql.errors import translate, translate_change, translate_login
from rotation.model.errors import (
    CandidateRejectedError,
    CredentialRefusedError,
    PermanentError,
    RotationError,
    TemporaryError,
)


@pytest.mark.parametrize(
    ("state", "kind", "reason"),
    [
        ("40001", TemporaryError, "server-busy"),
        ("40P01", TemporaryError, "server-busy"),
        ("53300", TemporaryError, "server-busy"),
        ("57P01", TemporaryError, "server-busy"),
        ("57P03", TemporaryError, "server-busy"),
        ("57014", TemporaryError, "server-busy"),
        ("08006", TemporaryError, "server-busy"),
        ("55P03", TemporaryError, "lock-not-available"),
        ("42501", PermanentError, "missing-right"),
        ("42704", PermanentError, "role-missing"),
        ("25006", PermanentError, "not-primary"),
        ("XX000", PermanentError, "database-error"),
        ("42601", PermanentError, "database-error"),
    ],
)
def test_the_state_decides_what_happens_next(
    state: str, kind: type[RotationError], reason: str
) -> None:
    error = translate(psycopg.errors.lookup(state)("text"), "change role a", remedy="GRANT x")
    assert isinstance(error, kind)
    assert error.reason == reason
    if state == "42501":
        assert error.remedy == "GRANT x"


def test_a_lost_connection_is_temporary() -> None:
    error = translate(psycopg.OperationalError("gone"), "change role a")
    assert (type(error), error.reason) == (TemporaryError, "connection-lost")


@pytest.mark.parametrize("state", ["22023", "28000", "0A000"])
def test_a_password_refused_by_rule_asks_for_another(state: str) -> None:
    error = translate_change(
        psycopg.errors.lookup(state)("text"), "change role a", remedy="", hidden=()
    )
    assert isinstance(error, CandidateRejectedError)


@pytest.mark.parametrize(
    ("words", "kind", "reason"),
    [
        ('FATAL:  password authentication failed for user "a"', CredentialRefusedError, ""),
        ('FATAL:  role "a" is not permitted to log in', CredentialRefusedError, ""),
        ("fe_sendauth: no password supplied", CredentialRefusedError, ""),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4"', PermanentError, "no-hba-entry"),
        ('FATAL:  database "x" does not exist', PermanentError, "no-database"),
        ('FATAL:  permission denied for database "x"', PermanentError, "no-connect-right"),
        ("SSL error: certificate verify failed", PermanentError, "tls"),
        ('root certificate file "/x" does not exist', PermanentError, "tls"),
        ('server certificate for "a" does not match host name "b"', PermanentError, "tls"),
        ("server does not support SSL, but SSL was required", PermanentError, "tls"),
        ("SSL error: unexpected eof while reading", TemporaryError, "unreachable"),
        ("connection refused", TemporaryError, "unreachable"),
        ("timeout expired", TemporaryError, "unreachable"),
        ("FATAL:  the database system is starting up", TemporaryError, "unreachable"),
        ("FATAL:  sorry, too many clients already", TemporaryError, "server-busy"),
        ('FATAL:  too many connections for role "a"', TemporaryError, "server-busy"),
        ("FATAL:  remaining connection slots are reserved", TemporaryError, "server-busy"),
    ],
)
def test_silence_is_told_apart_from_an_answer(
    words: str, kind: type[RotationError], reason: str
) -> None:
    error = translate_login(psycopg.OperationalError(words), "a", "db:5432")
    assert type(error) is kind
    assert not reason or error.reason == reason
    assert words not in str(error)


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("server does not support SSL, but SSL was required", "the server speaks no TLS"),
        ("SSL error: certificate verify failed", "TLS cannot be set up as the policy asks"),
        ('FATAL:  database "x" does not exist', "there is no such role or database"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4"', "pg_hba.conf does not let"),
    ],
)
def test_a_failed_login_says_what_it_means_and_not_its_slug(words: str, meaning: str) -> None:
    error = translate_login(psycopg.OperationalError(words), "a", "db:5432")
    assert f"a cannot log in to db:5432: {meaning}" in str(error)

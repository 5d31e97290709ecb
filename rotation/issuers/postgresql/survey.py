"""What the preflight checks share: a connection, the policy, and a way to say what they saw.

Rules of this module:
  1. A check changes nothing that lasts: what it tries, it tries in a transaction it rolls back.
  2. A check that cannot be made is a finding, not a failure of the others.
"""

from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import sql

from rotation.issuers.postgresql.admin import Admin
from rotation.issuers.postgresql.login import Connection
from rotation.issuers.postgresql.sessions import Observer
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.model.errors import RotationError
from rotation.model.password import Password
from rotation.model.plugin import Finding, Severity


class Survey(Struct, frozen=True):
    """One preflight run."""

    settings: PostgreSQLSettings
    admin: Admin
    observer: Observer
    connection: Connection
    #: User and password in force; None: nothing that needs a login is tested.
    login: tuple[str, Password] | None
    #: Newest token of the secret; None: not known.
    token: int | None

    @property
    def rotator(self) -> str:
        """Name of the rotator."""
        return self.connection.info.user

    @property
    def version(self) -> int:
        """Version of the server as a number: 170010 is 17.10."""
        return self.connection.info.server_version

    def rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """Answer one reading statement."""
        return self.connection.execute(question, values).fetchall()

    def scalar(self, question: str, *values: object) -> Any:  # noqa: ANN401
        """Answer a statement that yields one value."""
        rows = self.rows(question, *values)
        return rows[0][0] if rows else None

    def refusal(self, statements: Iterable[sql.Composed]) -> str:
        """Try statements and roll them back; return the SQLSTATE of a refusal, else nothing."""
        try:
            self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            self.connection.execute("SELECT set_config('lock_timeout', '2s', true)")
            for statement in statements:
                self.connection.execute(statement)
        except psycopg.Error as error:
            return error.sqlstate or "connection lost"
        finally:
            self.connection.rollback()
        return ""


#: A check yields one finding or more.
Check = Callable[[Survey], Iterable[Finding]]


def fine(check: str, message: str) -> Finding:
    """Say that all is well."""
    return Finding(check, Severity.OK, message)


def warn(check: str, message: str, remedy: str = "") -> Finding:
    """Say what a person should look at."""
    return Finding(check, Severity.WARNING, message, remedy)


def untested(check: str) -> Finding:
    """Say that it takes a credential in force to tell."""
    return Finding(check, Severity.UNTESTED, "not tested: no credential is in force yet")


def bad(check: str, message: str, remedy: str = "") -> Finding:
    """Say what keeps a rotation from working."""
    return Finding(check, Severity.ERROR, message, remedy)


def failed(check: str, error: RotationError) -> Finding:
    """Say that a check met an error of its own."""
    return bad(check, error.args[0], error.remedy)

"""Bring a database with one login role under rotation, while its application runs.

Rules of this module:
  1. The login in the payload is proved first; nothing is planned for one that does not work.
  2. A transaction gives way: it waits half a second for a lock at most, less than the server waits
     before it looks for deadlocks, so that the application is never the one that is cancelled.
  3. Progress is in the database: a plan is made anew from facts after every step.
  4. No password is ever part of a statement; connection strings never appear in a message.
  5. Passwords are proved by SCRAM and never sent, here as in a rotation; the administrator's
     connection string may say otherwise (``require_auth``, ``channel_binding``), in its words.
"""

import random
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import psycopg
from psycopg import conninfo

from rotation.issuers._slots.adopting import (
    Clients,
    payload_settings,
    read_login,
    shape_findings,
)
from rotation.issuers.postgresql import shapes
from rotation.issuers.postgresql.adopting import checks, steps
from rotation.issuers.postgresql.adopting.facts import Names
from rotation.issuers.postgresql.adopting.reading import read_facts
from rotation.issuers.postgresql.errors import (
    LOGIN_REMEDIES,
    login_failure,
    login_meaning,
    translate,
)
from rotation.issuers.postgresql.login import ADMIN, VERIFY, Connection
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.issuers.postgresql.transport import Bounded, connect
from rotation.kit.credentials.credential import PASSWORD, USER, PayloadShape, login_in
from rotation.kit.credentials.verifier import new_password, scram_verifier
from rotation.model.adoption import AdoptionRequest, IssuerPlan, Step
from rotation.model.errors import PermanentError, RotationError, TemporaryError
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Severity
from rotation.policies.typed import Fault, read_record

#: Milliseconds to wait for a lock; for one statement, which may hold several; and for one that
#: proves to take longer without waiting for anybody.
LOCK_WAIT, PATIENCE, LAST_PATIENCE = 500, 900, 30_000
#: Times a transaction is tried, seconds between two tries.
ATTEMPTS: Final = 60
PAUSES: Final = (0.1, 0.6)
_CLIENTS: Final = Clients(
    shapes.DIALECT, shapes.find, "URL, KEY=value lines, .pgpass line or connection string"
)
#: Seconds for a login, and for one statement: `LAST_PATIENCE` and what comes around it.
_CONNECT: Final = 10
_STATEMENT: Final = 60.0
_TLS: Final = frozenset({"require", "verify-ca", "verify-full"})
_PLACE: Final = ("host", "hostaddr", "port", "sslmode", "sslrootcert", "sslcert", "sslkey")
_RETRIED: Final = frozenset({"lock-not-available", "concurrent-change", "server-busy"})
#: A deadlock; a relation that was dropped while REASSIGN OWNED was on its way to it.
_PASSING: Final = frozenset({"40P01", "XX000"})
#: The application has dropped it meanwhile: the next look leaves it out.
_GONE: Final = frozenset({"42P01", "3F000", "42883", "42704", "42703"})


class PostgreSQLAdopter:
    """One adoption; see `rotation.ports.adoption.Adopter` for the contract."""

    def __init__(self, request: AdoptionRequest) -> None:
        self._request = request
        self._kept: Connection | None = None
        self._found = read_login(request, _CLIENTS)
        self._names: Names | None = None
        self._verifier = ""

    def plan(self) -> IssuerPlan:
        """Prove the login, look, and plan."""
        connection = self._connection()
        path, role = self._prove(connection)
        names = self._names = self._name(role)
        try:
            facts = read_facts(connection, names, path)
        except psycopg.Error as error:
            raise translate(error, "read the catalogues") from None
        settings = self._settings(facts.database, names)
        findings = checks.findings(facts, self._request.accepted)
        return IssuerPlan(
            (*findings, *shape_findings(self._found, settings), *_faults(settings)),
            steps.steps(facts, self._rotator_verifier()),
            settings,
            {"roles": settings["slots"], "owners": [settings["owner"]]},
        )

    def apply(self, step: Step) -> None:
        """Run the transactions of one step; each gives way and is tried again."""
        connection = self._connection()
        for transaction in step.transactions:
            _run(connection, transaction, step.title)

    def propose_rotator(self) -> Payload:
        """Return a login for a new rotator."""
        place = conninfo.conninfo_to_dict(self._connection().info.dsn)
        return Payload.of(
            {
                "engine": "postgres",
                "host": str(place.get("host") or self._found.host),
                "port": int(place.get("port") or 5432),
                "dbname": self._connection().info.dbname,
                USER: self._request.rotator_user,
                PASSWORD: new_password(),
            }
        )

    def close(self) -> None:
        """Close the administrator's connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _connection(self) -> Connection:
        if self._kept is None or self._kept.closed:
            self._kept = _open(self._request, self._found.database)
        return self._kept

    def _prove(self, connection: Connection) -> tuple[str, str]:
        """Log in as the application does; return its search path and whom it becomes."""
        failure: RotationError
        known = conninfo.conninfo_to_dict(connection.info.dsn)
        place: dict[str, Any] = {key: known[key] for key in _PLACE if known.get(key)}
        user = self._found.user
        try:
            session = _connect(
                {**place, "dbname": connection.info.dbname, "user": user},
                VERIFY,
                self._found.password,
            )
        except psycopg.Error as error:
            failure = _login_error(error, user)
        except UnicodeError:
            failure = PermanentError(
                "the payload's password holds half a character: nobody can log in with it",
                remedy="add a version with the password that the server knows",
            )
        else:
            with closing(session):
                row = session.execute(
                    "SELECT current_setting('search_path'), current_user"
                ).fetchone()
            return (str(row[0]), str(row[1])) if row else ("", user)
        # Here, so that it has no context: the frames of psycopg hold the password.
        raise failure

    def _name(self, becomes: str) -> Names:
        chosen, login = self._request.settings, self._found.user
        rotator = self._request.rotator_user
        if self._request.rotator is not None:
            rotator = login_in(self._request.rotator, PayloadShape(), shapes.find)[0]
        owner = str(chosen.get("owner") or (becomes if becomes != login else f"{login}_owner"))
        slots = chosen.get("slots")
        if not slots:
            return Names(login, owner, str(chosen.get("second") or f"{login}_b"), rotator)
        if login not in slots:
            raise PermanentError(
                f"the payload's login {login} is none of the slots {', '.join(slots)}",
                remedy="correct slots in the policy",
            )
        # Whichever slot is in force by now: the first one is what was adopted.
        return Names(str(slots[0]), owner, str(slots[1]), rotator)

    def _rotator_verifier(self) -> str:
        if self._request.rotator is None:
            return "SCRAM-SHA-256$..."
        if not self._verifier:
            _, password = login_in(self._request.rotator, PayloadShape(), shapes.find)
            self._verifier = scram_verifier(password)
        return self._verifier

    def _settings(self, database: str, names: Names) -> Mapping[str, Any]:
        chosen = self._request.settings
        found, info = self._found, conninfo.conninfo_to_dict(self._connection().info.dsn)
        settings: dict[str, Any] = {
            "host": chosen.get("host") or found.host or str(info.get("host") or ""),
            "port": int(chosen.get("port") or found.port or info.get("port") or 5432),
            "database": database,
            "slots": [names.login, names.second],
            "owner": names.owner,
            "admin": self._request.admin,
        }
        settings |= {
            key: chosen[key] for key in ("tls", "tls_root_cert", "replicas") if chosen.get(key)
        }
        shape = str(chosen.get("shape") or "")
        payload = payload_settings(found, self._request, shape, _CLIENTS)
        return settings | ({"payload": payload} if payload else {})


def _faults(settings: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return what the reader of policies would say of these settings."""
    faults: list[Fault] = []
    read_record(PostgreSQLSettings, dict(settings), "issuer", faults)
    return tuple(Finding("policy", Severity.ERROR, str(fault)) for fault in faults)


def _open(request: AdoptionRequest, database: str) -> Connection:
    try:
        connection = _connect(*_taken_apart(request.connection, database))
    except (psycopg.ProgrammingError, UnicodeError):
        failure: RotationError = PermanentError(
            "the administrator's connection string is not understood",
            remedy="write postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        )
    except psycopg.Error as error:
        failure = _login_error(error, "the administrator")
    else:
        return connection
    # Here, so that it has no context: the frames of psycopg hold the password.
    raise failure


def _taken_apart(text: Password, database: str) -> tuple[dict[str, Any], str, Password | None]:
    """Return where to connect and how, our name there, and the password, if there is one."""
    options: dict[str, Any] = dict(conninfo.conninfo_to_dict(text.reveal()))
    password = options.pop("password", None)
    if database:
        options["dbname"] = database
    return options, ADMIN, None if password is None else Password(str(password))


def _connect(options: dict[str, Any], name: str, password: Password | None) -> Connection:
    """Log in; without a password of ours, libpq may know one, or the server want none."""
    demands: dict[str, Any] = {
        "require_auth": "scram-sha-256" if password else "scram-sha-256,none",
        "channel_binding": "require" if options.get("sslmode") in _TLS and password else "prefer",
        "gssencmode": "disable",
    }
    ours: dict[str, Any] = {"application_name": name, "connect_timeout": _CONNECT}
    address = f"{options.get('host', '')}:{options.get('port', '')}"

    def login() -> Bounded:
        return Bounded.connect(
            **demands | options | ours,
            password=password.reveal() if password else None,
            autocommit=True,
            prepare_threshold=None,
        )

    return connect(address, _CONNECT, _STATEMENT, login)


def _login_error(error: psycopg.Error, who: str) -> RotationError:
    slug = login_failure(error)
    if slug == "refused":
        return PermanentError(
            f"the server refuses the login of {who}",
            remedy="correct its user and password",
            reason="credential-refused",
        )
    message = f"{who} cannot log in: {login_meaning(error)}"
    if slug in ("unreachable", "busy"):
        return TemporaryError(message, remedy="is the address right?")
    return PermanentError(message, remedy=LOGIN_REMEDIES.get(slug, ""), reason=slug)


def _run(connection: Connection, statements: tuple[str, ...], doing: str) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}ms'")
                patience = PATIENCE if attempt <= ATTEMPTS // 2 else LAST_PATIENCE
                connection.execute(f"SET LOCAL statement_timeout = '{patience}ms'")
                for statement in statements:
                    connection.execute(statement.encode())
        except psycopg.Error as error:
            if error.sqlstate in _GONE and not connection.closed:
                return
            failure = translate(error, doing, remedy="grant that right to the administrator")
            again = failure.reason in _RETRIED or error.sqlstate in _PASSING
            if not again or connection.closed or attempt == ATTEMPTS:
                raise failure from None
            # Between two tries the application gets through what queued behind ours.
            time.sleep(random.uniform(*PAUSES))  # noqa: S311 - no secret
        else:
            return

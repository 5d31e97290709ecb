"""A real PgBouncer in front of the drill's PostgreSQL: transaction pooling, SCRAM pass-through.

Rules of this module:
  1. PgBouncer knows no slot: it asks the database for the verifier at every login (`auth_query`),
     through a function that shows it for roles that may log in and for nobody else.
  2. It logs in to the server with the keys it saw its client prove; no password is in its files
     but that of its own look-up role.
  3. It never runs as root, and is ended by its pid.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from rotation.local.postgres.server import HOST, PostgresServer, free_port

PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin:/usr/local/sbin")
#: Says what to do where the program is missing.
MISSING: Final = "no PgBouncer on this machine: apt-get install pgbouncer"

LOOKUP_ROLE: Final = "pgbouncer_lookup"
_STARTS_WITHIN: Final = 20.0
_STOPS_WITHIN: Final = 10.0
_POOLED: Final[Mapping[str, object]] = {
    "pool_mode": "transaction",
    "auth_type": "scram-sha-256",
    "auth_user": LOOKUP_ROLE,
    "auth_query": "SELECT * FROM pooler.verifier_of($1)",
    "max_client_conn": 500,
    "default_pool_size": 10,
    "max_prepared_statements": None,
    "ignore_startup_parameters": "extra_float_digits",
    # An unused session of a slot counts as use: it has to go before the slot can be retired.
    "server_idle_timeout": 1,
    # A client whose credential was revoked waits for a session this long, not two minutes.
    "query_wait_timeout": 2,
    "server_login_retry": 1,
}
_LOOKUP: Final = """
CREATE SCHEMA pooler;
CREATE FUNCTION pooler.verifier_of(INOUT username text, OUT verifier text)
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
  $$ SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin $$;
REVOKE ALL ON FUNCTION pooler.verifier_of FROM PUBLIC;
GRANT USAGE ON SCHEMA pooler TO {role};
GRANT EXECUTE ON FUNCTION pooler.verifier_of TO {role};
"""


class Pooler:
    """One PgBouncer process; a context manager.

    Args:
        server: Where it leads.
        database: The database whose consumers it serves.
        folder: Of its own; made when it is missing.
        settings: Settings other than those of the drill; None leaves one out.
    """

    def __init__(
        self, server: PostgresServer, database: str, folder: Path, **settings: object
    ) -> None:
        self._server = server
        self._database = database
        self._folder = folder
        self._settings = {**_POOLED, **settings}
        self._admin_password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.log = folder / "pgbouncer.log"

    def __enter__(self) -> Self:
        if PROGRAM is None:
            raise LookupError(MISSING)
        self._folder.mkdir(exist_ok=True)
        self._write_files(self._create_lookup())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, *_account_options(), str(self._folder / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath},
                cwd="/",
            )
        try:
            self._await_ready(self._process)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """``host:port`` for its clients."""
        return f"{HOST}:{self.port}"

    def close(self) -> None:
        """End it at once; its clients lose their connections."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def command(self, text: str) -> list[dict[str, Any]]:
        """Run one command of the administration console; return its rows."""
        with psycopg.connect(
            host=HOST,
            port=self.port,
            dbname="pgbouncer",
            user="console",
            password=self._admin_password,
            autocommit=True,
            connect_timeout=5,
        ) as console:
            # The console speaks the simple protocol only.
            answer = console.pgconn.exec_(text.encode())
            names = [(answer.fname(n) or b"").decode() for n in range(answer.nfields)]
            return [
                {name: (answer.get_value(row, n) or b"").decode() for n, name in enumerate(names)}
                for row in range(answer.ntuples)
            ]

    def _create_lookup(self) -> str:
        password = secrets.token_urlsafe(24)
        role = sql.Identifier(LOOKUP_ROLE)
        with self._server.connect(self._database) as connection:
            verifier = connection.pgconn.encrypt_password(
                password.encode(), LOOKUP_ROLE.encode(), b"scram-sha-256"
            )
            creating = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(creating.format(role, sql.Literal(verifier.decode())))
            connection.execute(sql.SQL(_LOOKUP).format(role=role))
        return password

    def _write_files(self, lookup_password: str) -> None:
        users = self._folder / "userlist.txt"
        logins = {LOOKUP_ROLE: lookup_password, "console": self._admin_password}
        _write_private(users, "".join(f'"{u}" "{p}"\n' for u, p in logins.items()))
        settings = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_file": users,
            "admin_users": "console",
            **self._settings,
        }
        lines = [f"{name} = {value}" for name, value in settings.items() if value is not None]
        leads_to = f"host={HOST} port={self._server.port} dbname={self._database}"
        text = f"[databases]\n{self._database} = {leads_to}\n\n[pgbouncer]\n" + "\n".join(lines)
        _write_private(self._folder / "pgbouncer.ini", text + "\n")

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _STARTS_WITHIN
        while process.poll() is None and time.monotonic() < end:
            try:
                self.command("SHOW VERSION")
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise LookupError(f"PgBouncer did not start: {self.log.read_text()[-500:]}")


def _account_options() -> list[str]:
    return ["-u", "nobody"] if os.geteuid() == 0 else []


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")
    if os.geteuid() == 0:
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)

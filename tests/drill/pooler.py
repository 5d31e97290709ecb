"""A real PgBouncer in front of the drill's PostgreSQL: transaction pooling, SCRAM pass-through.

Rules of this module:
  1. PgBouncer knows no slot: it asks the database for the verifier at every login (`auth_query`),
     through a function that shows it for roles that may log in and for nobody else.
  2. It logs in to the server with the keys it saw its client prove; no password is in its files
     but that of its own look-up role.
  3. It never runs as root, and is ended by its pid.
  4. After an emergency it is replaced, not sent ``KILL``: a client that has logged in once is
     served for as long as it stays, whatever became of its credential, and KILL makes PgBouncer
     crash when somebody logs in at that moment (pgbouncer #1401).
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

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
    "so_reuseport": 1,
    "ignore_startup_parameters": "extra_float_digits",
    # An unused session of a slot counts as use: it has to go before the slot can be retired.
    "server_idle_timeout": 1,
    # A client whose credential was revoked waits for a session this long, not two minutes.
    "query_wait_timeout": 2,
    "server_login_retry": 1,
}
_LOOKUP: Final = """
CREATE SCHEMA pooler;
CREATE FUNCTION pooler.verifier_of(name text) RETURNS TABLE (username text, verifier text)
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
  $$ SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = name AND rolcanlogin $$;
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
        settings: Settings other than those of the drill.
    """

    def __init__(
        self, server: PostgresServer, database: str, folder: Path, **settings: object
    ) -> None:
        self._server = server
        self._database = database
        self._folder = folder
        self._settings = {**_POOLED, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.log = folder / "pgbouncer.log"

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        self._write_files(self._create_lookup())
        self._process = self._start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """``host:port`` for its clients."""
        return f"{HOST}:{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether it runs; it may have crashed."""
        return self._process is not None and self._process.poll() is None

    def replace(self, at_end: Callable[[], None] = lambda: None) -> None:
        """End every client: start another process on the same port, then end this one.

        Args:
            at_end: Called when the other one serves, just before this one is ended.
        """
        before, self._process = self._process, self._start()
        at_end()
        if before is not None:
            _end(before)

    def close(self) -> None:
        """End it at once; its clients lose their connections."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        if PROGRAM is None:
            raise LookupError(MISSING)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [PROGRAM, *_account_options(), str(self._folder / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath},
                cwd="/",
            )
        ready, end = f"[{process.pid}] LOG process up".encode(), time.monotonic() + _STARTS_WITHIN
        while ready not in self.log.read_bytes():
            if process.poll() is not None or time.monotonic() > end:
                _end(process)
                raise LookupError(f"PgBouncer did not start: {self.log.read_text()[-500:]}")
            time.sleep(0.01)
        return process

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
        _write_private(users, f'"{LOOKUP_ROLE}" "{lookup_password}"\n')
        settings = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_file": users,
            **self._settings,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        leads_to = f"host={HOST} port={self._server.port} dbname={self._database}"
        text = f"[databases]\n{self._database} = {leads_to}\n\n[pgbouncer]\n" + "\n".join(lines)
        _write_private(self._folder / "pgbouncer.ini", text + "\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _account_options() -> list[str]:
    return ["-u", "nobody"] if os.geteuid() == 0 else []


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")
    if os.geteuid() == 0:
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)

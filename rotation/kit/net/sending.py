"""How an exchange is carried out; the rules are those of `rotation.kit.net.exchange`."""

import atexit
import socket
import ssl
import threading
from contextlib import closing, suppress
from functools import lru_cache
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    IncompleteRead,
)
from selectors import EVENT_READ, DefaultSelector
from time import monotonic
from typing import Final

from rotation.kit import deadline
from rotation.kit.net import addresses
from rotation.kit.net.addresses import ForbiddenAddressError
from rotation.kit.net.exchange import Limits, NoReplyError, Reply, Request, Trouble
from rotation.model.password import Password

_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "rotation"}
_PART: Final = 64 * 1024
#: How long after the whole exchange was given up its thread stops waiting, at the latest.
_LATER: Final = 1.0
#: How long a connection that nobody uses is good for.  Many servers close it after 5 s: who keeps
#: it as long writes into a connection that is just being closed.
_KEPT_SECONDS: Final = 3.0


def send(request: Request, limits: Limits) -> Reply:
    """Send a request once, and wait for the reply; called by `exchange.send`.

    Raises:
        NoReplyError: There is none.
    """
    exchange = _Exchange(request, limits)
    thread = threading.Thread(target=exchange.run, name="rotation-http", daemon=True)
    seconds = deadline.left(limits.total)
    if seconds <= 0:
        raise NoReplyError(Trouble.TIMEOUT, "not asked, for want of time", was_sent=False)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        was_sent = exchange.abandon()
        words = f"no answer within {seconds:.3g} s"
        raise NoReplyError(Trouble.TIMEOUT, words, was_sent=was_sent)
    if isinstance(exchange.outcome, Reply):
        return exchange.outcome
    raise NoReplyError(exchange.outcome, was_sent=exchange.was_sent)


class _Exchange:
    """One request on one connection."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self.outcome: Reply | Trouble = Trouble.BROKEN
        self.was_sent = False
        self._request, self._limits = request, limits
        self._is_abandoned = False
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        #: Kept, because the connection forgets it once the headers are read.
        self._socket: socket.socket | None = None

    def run(self) -> None:
        """Send, and keep what came back."""
        try:
            self.outcome = self._exchange()
        except _NotUsableError as error:
            self.outcome = error.trouble
        except (OSError, HTTPException, ValueError) as error:
            self.outcome = _trouble(error)
        finally:
            if self._connection is not None:
                self._connection.close()

    def abandon(self) -> bool:
        """Wake up a thread that waits for the other side; return whether it had sent anything."""
        with self._lock:
            self._is_abandoned = True
        if self._socket is not None:
            # Not the method of a TLS socket: that one takes the object apart under the reader.
            with suppress(OSError, ValueError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        return self.was_sent

    def _exchange(self) -> Reply | Trouble:
        request, limits = self._request, self._limits
        self._connection = connection = _kept.take(request) or _connection(request, limits)
        if connection.sock is None:
            connection.sock = _open(request, limits)
        self._socket = connection.sock
        connection.sock.settimeout(_patience(limits, limits.silence))
        _compose(request, connection)
        with self._lock:
            if self._is_abandoned:
                return Trouble.TIMEOUT
            self.was_sent = True
        connection.endheaders(request.body)
        with closing(connection.getresponse()) as response:
            body = _read(response, limits.largest) if request.wants_body else b""
            headers = {name.lower(): text for name, text in response.getheaders()}
            is_free = response.isclosed() and not response.will_close
        if is_free:
            self._connection = None
            _kept.put(request, connection)
        return Reply(response.status, body, headers)


def _patience(limits: Limits, part: float | None) -> float:
    """Return the seconds of one wait; without a limit of its own, `send` gives up before it."""
    return limits.total + _LATER if part is None else part


def _compose(request: Request, connection: HTTPConnection) -> None:
    """Write the head of a request; nothing is sent yet."""
    connection.putrequest(request.method, request.location.target, skip_accept_encoding=True)
    own = {name.lower() for name in request.headers}
    try:
        for name, text in _HEADERS.items():
            if name.lower() not in own:
                connection.putheader(name, text)
        for name, value in request.headers.items():
            connection.putheader(name, value.reveal() if isinstance(value, Password) else value)
    except ValueError:
        raise _NotUsableError(Trouble.BAD_HEADER) from None
    if request.body is not None or request.method != "GET":
        connection.putheader("Content-Length", str(len(request.body or b"")))


class _Kept:
    """Connections that another request to the same server may use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str, int, str], list[tuple[HTTPConnection, float]]] = {}

    def take(self, request: Request) -> HTTPConnection | None:
        """Return a connection that is still open, if there is one."""
        with self._lock:
            idle = self._idle.get(_server(request), [])
            while idle:
                connection, since = idle.pop()
                if monotonic() - since < _KEPT_SECONDS and not _has_news(connection.sock):
                    return connection
                connection.close()
        return None

    def put(self, request: Request, connection: HTTPConnection) -> None:
        """Keep a connection whose reply has been read to its end."""
        with self._lock:
            self._idle.setdefault(_server(request), []).append((connection, monotonic()))

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for connection, _since in (kept for idle in self._idle.values() for kept in idle):
                connection.close()
            self._idle.clear()


_kept: Final = _Kept()
atexit.register(_kept.close)


def _server(request: Request) -> tuple[str, str, int, str]:
    at = request.location
    return at.scheme, at.host, at.port, request.tls_root_cert


def _has_news(idle: socket.socket) -> bool:
    """Whether the other side has closed, or sent what nobody asked for."""
    with DefaultSelector() as selector:
        selector.register(idle, EVENT_READ)
        return bool(selector.select(0))


def _connection(request: Request, limits: Limits) -> HTTPConnection:
    at = request.location
    kind = _Plain if at.scheme == "http" else _Secure
    return kind(at.host, at.port, timeout=_patience(limits, limits.connect))


class _Plain(HTTPConnection):
    """Speaks on a connection that we opened, and never opens one itself."""

    auto_open = 0


class _Secure(_Plain):
    """The same under TLS, which knows another port by heart."""

    default_port = 443


def _open(request: Request, limits: Limits) -> socket.socket:
    """Connect to an address that was judged, and see over TLS that the server is the right one."""
    at = request.location
    # What does not load is said before anybody is asked.
    context = _trust(request.tls_root_cert) if at.scheme == "https" else None
    seconds = _patience(limits, limits.connect)
    end = addresses.connect(at.host, at.port, is_loopback=at.is_loopback, seconds=seconds)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return end
    try:
        return context.wrap_socket(end, server_hostname=at.host)
    except (OSError, ValueError):
        end.close()
        raise


@lru_cache(maxsize=8)
def _trust(root_cert: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=root_cert or None)
    except OSError:
        raise _NotUsableError(Trouble.ROOT_CERTIFICATE) from None


def _read(response: HTTPResponse, largest: int) -> bytes:
    body = bytearray()
    while part := response.read(_PART):
        body += part
        if len(body) > largest:
            raise _NotUsableError(Trouble.TOO_LONG)
    if response.length:
        raise _NotUsableError(Trouble.CUT_SHORT)
    return bytes(body)


class _NotUsableError(Exception):
    """Ends an exchange; caught by `_Exchange.run`."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


def _trouble(error: Exception) -> Trouble:
    kinds: tuple[tuple[type[Exception], Trouble], ...] = (
        (ForbiddenAddressError, Trouble.FORBIDDEN_ADDRESS),
        (socket.gaierror, Trouble.UNKNOWN_NAME),
        (ConnectionRefusedError, Trouble.REFUSED),
        (TimeoutError, Trouble.TIMEOUT),
        (ssl.SSLCertVerificationError, Trouble.CERTIFICATE),
        (ssl.SSLError, Trouble.TLS),
        (OSError, Trouble.BROKEN),
        (UnicodeError, Trouble.BAD_NAME),
        (IncompleteRead, Trouble.CUT_SHORT),
    )
    return next((trouble for kind, trouble in kinds if isinstance(error, kind)), Trouble.NOT_HTTP)

"""One bounded HTTP GET: an answer, or why there was none.

Decides nothing about what an answer means.

Rules of this module:
  1. A look ends in time whatever the other side does: the exchange runs on a thread of its own,
     which is left behind when its time is over.  Names are looked up, connections opened and
     headers read by calls that know no deadline of their own.
  2. A redirect is an answer; it is never followed.  Proxies of the environment are not used.
  3. A body is read up to `LARGEST`, and not at all when nobody wants it.
  4. Nothing is raised.  Silence is told in words of our own: an error's text may quote a header.
"""

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rotation.gates._location import Location
from rotation.model.password import Password

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection

#: Bytes of a body that are read.
LARGEST: Final = 1024 * 1024
#: Seconds that all requests of one look may take together.
LOOK_SECONDS: Final = 20.0
_AT_ONCE: Final = 16
_HEADERS: Final = {
    "Accept": "application/json, */*;q=0.5",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
    "Connection": "close",
    "User-Agent": "rotation",
}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Silence:
    """Nothing came back that could be used."""

    #: Part of a sentence, for example ``the connection is refused``.
    reason: str


@dataclass(frozen=True)
class Request:
    """What to ask for, and how long to wait."""

    location: Location
    seconds: float
    secret_headers: Mapping[str, Password] = field(default_factory=dict)
    #: File of trusted certificates; empty: those of the system.
    tls_root_cert: str = ""
    wants_body: bool = True


def fetch_all(requests: Sequence[Request]) -> list[Answer | Silence]:
    """Ask for all, several at once; those that the time of one look does not reach stay silent."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only some gates look

    deadline = time.monotonic() + LOOK_SECONDS

    def ask(request: Request) -> Answer | Silence:
        seconds = min(request.seconds, deadline - time.monotonic())
        return _ask(request, seconds) if seconds > 0 else Silence("not asked, for want of time")

    with ThreadPoolExecutor(min(_AT_ONCE, len(requests))) as pool:
        return list(pool.map(ask, requests))


def _ask(request: Request, seconds: float) -> Answer | Silence:
    exchange = _Exchange(request, seconds)
    thread = threading.Thread(target=exchange.run, name="rotation-gate", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        exchange.abandon()
        return Silence(f"no answer within {seconds:.3g} s")
    return exchange.outcome


class _Exchange:
    """One request on one connection."""

    def __init__(self, request: Request, seconds: float) -> None:
        self.outcome: Answer | Silence = Silence("the exchange died")
        self._request, self._seconds = request, seconds
        self._connection: HTTPConnection | None = None
        #: Kept, because the connection forgets it once the headers are read.
        self._socket: socket.socket | None = None

    def run(self) -> None:
        """Ask, and keep what came back."""
        from http.client import HTTPException  # noqa: PLC0415 - most rotations never look

        try:
            self.outcome = self._exchange()
        except (OSError, HTTPException, ValueError) as error:
            self.outcome = Silence(_told(error))
        finally:
            if self._connection is not None:
                self._connection.close()

    def abandon(self) -> None:
        """Wake up a thread that waits for the other side."""
        if self._socket is not None:
            # Not the method of a TLS socket: that one takes the object apart under the reader.
            with suppress(OSError, ValueError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _exchange(self) -> Answer | Silence:
        request = self._request
        self._connection = connection = _connection(request, self._seconds)
        connection.connect()
        self._socket = connection.sock
        connection.putrequest("GET", request.location.target, skip_accept_encoding=True)
        for name, text in _HEADERS.items():
            connection.putheader(name, text)
        for name, secret in request.secret_headers.items():
            connection.putheader(name, secret.reveal())
        connection.endheaders()
        response = connection.getresponse()
        if not request.wants_body:
            return Answer(response.status)
        body = response.read(LARGEST + 1)
        if len(body) > LARGEST:
            return Silence(f"the answer is longer than {LARGEST} bytes")
        if response.length:
            return Silence("the answer breaks off")
        return Answer(response.status, body)


def _connection(request: Request, seconds: float) -> "HTTPConnection":
    from http.client import HTTPConnection, HTTPSConnection  # noqa: PLC0415

    at = request.location
    if at.scheme == "http":
        return HTTPConnection(at.host, at.port, timeout=seconds)
    context = _trust(request.tls_root_cert)
    return HTTPSConnection(at.host, at.port, timeout=seconds, context=context)


@lru_cache(maxsize=8)
def _trust(root_cert: str) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - most rotations never look

    try:
        return ssl.create_default_context(cafile=root_cert or None)
    except OSError:
        raise ValueError(_NO_ROOT_CERT) from None


_NO_ROOT_CERT: Final = "tls_root_cert cannot be loaded"


def _told(error: Exception) -> str:
    """Say what went wrong; the error's own text may hold what was sent."""
    import ssl  # noqa: PLC0415

    if error.args == (_NO_ROOT_CERT,):
        return _NO_ROOT_CERT
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (socket.gaierror, "its name is not known"),
        (ConnectionRefusedError, "the connection is refused"),
        (TimeoutError, "no answer in time"),
        (ssl.SSLCertVerificationError, "its certificate is not trusted"),
        (ssl.SSLError, "TLS fails"),
        (OSError, "the connection breaks"),
        (UnicodeError, "its name is none"),
    )
    return next((told for kind, told in kinds if isinstance(error, kind)), "it speaks no HTTP")

"""One HTTP exchange: a request sent once, and what came back or why nothing did.

Gates, Git hosts and what reads Google's REST APIs speak HTTP through this module and no other.
It decides nothing about what a reply means.

Rules of this module:
  1. An exchange ends in time, and with the delivery, whatever the other side does: it runs on a
     thread of its own, which is left behind when its time is over.  Names are looked up,
     connections opened and headers read by calls that know no deadline of their own.
  2. A request is sent once; whether to repeat it is the caller's decision.  `NoReplyError` says
     whether the other side may have acted on it.  A request that was given up is never sent.
  3. A redirect is a reply; it is never followed.  So a credential leaves only for the origin that
     the caller named.
  4. Proxies of the environment are not used.  A server is trusted by the system's certificates or
     by those of a named file, and never without.
  5. An address is judged after the name was looked up, and the judged one is connected to
     (`addresses`).
  6. A body is read up to a limit, and not at all when nobody wants it.
  7. Errors are in words of our own: a library's text may quote a header or a URL.
  8. Here are the records; what sends, `sending`, is imported by the first request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from rotation.kit.net.location import Location
from rotation.model.password import Password


class Trouble(Enum):
    """Why there is no reply; each is part of a sentence."""

    UNKNOWN_NAME = "its name is not known"
    FORBIDDEN_ADDRESS = (
        "its address is one that is not asked: link-local, a metadata server, or loopback that the"
        " URL does not spell out"
    )
    REFUSED = "the connection is refused"
    TIMEOUT = "no answer in time"
    CERTIFICATE = "its certificate is not trusted"
    ROOT_CERTIFICATE = "tls_root_cert cannot be loaded"
    TLS = "TLS fails"
    BROKEN = "the connection breaks"
    CUT_SHORT = "the answer breaks off"
    TOO_LONG = "the answer is too long"
    BAD_NAME = "its name is not a host name"
    BAD_HEADER = "a header of the request cannot be sent"
    NOT_HTTP = "it does not speak HTTP"


class NoReplyError(Exception):
    """Nothing came back that can be used.  The caller says what that means for its work."""

    def __init__(self, trouble: Trouble, words: str = "", *, was_sent: bool) -> None:
        super().__init__(words or trouble.value)
        self.trouble = trouble
        #: Whether the other side may have acted on the request.
        self.was_sent = was_sent


@dataclass(frozen=True)
class Limits:
    """What one exchange may cost."""

    #: Seconds for the whole of it.
    total: float
    #: Bytes of a body.
    largest: int
    #: Seconds until there is a connection; None: as long as the whole.
    connect: float | None = None
    #: Seconds without a single byte; None: as long as the whole.
    silence: float | None = None


@dataclass(frozen=True)
class Request:
    """What to send."""

    location: Location
    method: str = "GET"
    headers: Mapping[str, str | Password] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    #: File of trusted certificates; empty: those of the system.
    tls_root_cert: str = ""
    wants_body: bool = True


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes = field(default=b"", repr=False)
    #: By names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def send(request: Request, limits: Limits) -> Reply:
    """Send a request once, and wait for the reply.

    Raises:
        NoReplyError: There is none.
    """
    from rotation.kit.net import sending  # noqa: PLC0415 - http.client and ssl: most never ask

    return sending.send(request, limits)

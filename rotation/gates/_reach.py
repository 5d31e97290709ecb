"""How a gate reaches what it looks at: time-outs, trust, and who it says it is.

Rules of this module:
  1. A token travels only where nobody on the way can read it: TLS, or this machine.
  2. An identity token is made for the origin of the URL that it is sent to, and for nobody else:
     who receives it can use it nowhere but at itself.
  3. A token is read anew for each look, and kept in no field.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from rotation.kit.net.exchange import Request
from rotation.kit.net.location import Location
from rotation.model.errors import PermanentError, PolicyError
from rotation.model.names import VersionName
from rotation.model.password import Password
from rotation.model.permission import On, Permission
from rotation.model.target import TargetSettings
from rotation.ports.gate import GateEnvironment

_LONGEST_TIMEOUT: Final = timedelta(seconds=10)
_LONGEST_SECRET: Final = 8 * 1024
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_LINE: Final = re.compile(r"[ -~]+")
#: What the exchange itself says, and what would make a metadata server answer.
_KEPT: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "upgrade",
     "expect", "te", "trailer", "metadata-flavor", "proxy-authorization"}
)  # fmt: skip
AUTHORIZATION: Final = "Authorization"
NO_HEADERS: Final[Mapping[str, Password]] = MappingProxyType({})
#: Every request is answered anew, on a connection of its own.
_HEADERS: Final = {
    "Accept": "application/json, */*;q=0.5",
    "Cache-Control": "no-cache",
    "Connection": "close",
}


def permissions(services: str) -> tuple[Permission, Permission]:
    """Return what a gate needs that asks ``services`` with a `SecretHeader` or an identity."""
    return (
        Permission(
            "secretmanager.versions.access",
            On.READ_SECRET,
            "read the header's text",
            when="header",
            which="the secret of header",
        ),
        Permission(
            "run.routes.invoke",
            On.SERVICE,
            "call a service that wants an identity",
            when="identity",
            which=services,
        ),
    )


@dataclass(frozen=True)
class SecretHeader:
    """A header whose text is the payload of a secret."""

    #: For example ``X-Api-Key``.
    name: str
    #: ``projects/P/secrets/S``, or one version of it.  One line of ASCII.
    secret: str

    def __post_init__(self) -> None:
        if not _HEADER.fullmatch(self.name):
            raise PolicyError("header.name must be letters, digits and dashes")
        if self.name.lower() in _KEPT:
            raise PolicyError("header.name is a header that a gate does not set")
        if not VersionName.is_name_or_secret(self.secret):
            raise PolicyError("header.secret must be a secret: projects/PROJECT/secrets/SECRET")

    @property
    def version_name(self) -> str:
        """Full name of the version that is read."""
        return str(VersionName.parse_or_latest(self.secret))


@dataclass(frozen=True, kw_only=True)
class Reach(TargetSettings):
    """What the deployment says of every URL that a gate asks."""

    #: How long one request may take.
    timeout: timedelta = timedelta(seconds=5)
    #: File of trusted certificates; empty: those of the system.
    tls_root_cert: str = ""
    #: Send an OpenID token of the function as a bearer token, made for the URL's own origin.
    identity: bool = False
    #: A header from a secret.
    header: SecretHeader | None = None

    def __post_init__(self) -> None:
        if not timedelta(seconds=1) <= self.timeout <= _LONGEST_TIMEOUT:
            raise PolicyError("timeout must be between 1s and 10s")
        if "\0" in self.tls_root_cert:
            raise PolicyError("tls_root_cert is not a file name")
        is_authorization = self.header and self.header.name.lower() == AUTHORIZATION.lower()
        if self.identity and is_authorization:
            raise PolicyError("identity and header both set Authorization; leave one out")

    def hosts_asked(self, *locations: Location) -> str:
        """Say for people which hosts are asked, and with which token or header."""
        hosts = ", ".join(dict.fromkeys(location.host for location in locations))
        token = "an identity token of its origin" if self.identity else ""
        shown = token or (f"the header in {self.header.secret}" if self.header else "")
        return hosts + (f" with {shown}" if shown else "")

    def check_secrecy(self, location: Location, setting: str) -> None:
        """Refuse to send a token in the clear.

        Raises:
            PolicyError: There is a token to send, and the URL is plain http.
        """
        if (self.identity or self.header) and not location.keeps_secrets:
            raise PolicyError(f"{setting} must be https where identity or header sends a token")

    def requests(
        self,
        environment: GateEnvironment,
        locations: Sequence[Location],
        *,
        wants_body: bool = True,
        own: Mapping[str, Password] = NO_HEADERS,
    ) -> list[Request]:
        """Compose one request to each place, with the tokens it is sent.

        Args:
            environment: Where tokens come from.
            locations: Where to look.
            wants_body: Whether the bodies of the replies are read.
            own: What the gate itself sends on top.

        Raises:
            RotationError: A token cannot be had.
        """
        headers = {**own, **self._secret_header(environment)}
        return [
            self._request(at, {**headers, **self._identity(environment, at)}, wants_body=wants_body)
            for at in locations
        ]

    def _secret_header(self, environment: GateEnvironment) -> dict[str, Password]:
        if self.header is None:
            return {}
        return {self.header.name: _line_of(environment.read_secret(self.header.version_name))}

    def _identity(self, environment: GateEnvironment, at: Location) -> dict[str, Password]:
        if not self.identity:
            return {}
        return {AUTHORIZATION: bearer(environment.identity_token(at.origin))}

    def _request(
        self, location: Location, headers: Mapping[str, Password], *, wants_body: bool
    ) -> Request:
        return Request(
            location,
            headers={**_HEADERS, **headers},
            tls_root_cert=self.tls_root_cert,
            wants_body=wants_body,
        )


def bearer(token: str) -> Password:
    """Return the text of an Authorization header.

    Raises:
        PermanentError: The token cannot be one.
    """
    if not _LINE.fullmatch(token):
        raise PermanentError("the function's own token is not one line of ASCII")
    return Password(f"Bearer {token}")


def _line_of(payload: bytes) -> Password:
    """Return a payload as a header's text; people leave a line end behind."""
    line = Password(payload.decode("latin-1").strip())
    if len(payload) > _LONGEST_SECRET or not _LINE.fullmatch(line.reveal()):
        raise PermanentError(
            "the secret of header is not one line of ASCII",
            remedy="add a version with the header's text and nothing else",
        )
    return line

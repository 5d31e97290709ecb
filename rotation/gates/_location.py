"""A URL that a gate looks at, checked as far as text can be.

Rules of this module:
  1. Only http and https, no user in it, no fragment; what follows the host is printable ASCII.
  2. Link-local addresses and the metadata server are refused: a gate asks consumers, not the
     machine it runs on.
  3. A refusal never quotes the URL, and what is shown of one leaves the query out: people put
     tokens there.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from rotation.model.errors import PolicyError

_LONGEST: Final = 2000
_PRINTABLE: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_PORTS: Final = {"http": 80, "https": 443}
_METADATA: Final = frozenset({"metadata", "metadata.google.internal"})
_REMEDY: Final = "write it as https://HOST/PATH"


@dataclass(frozen=True)
class Location:
    """Where a request goes."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @classmethod
    def parse(cls, url: str, setting: str) -> "Location":
        """Read the URL of a setting.

        Raises:
            PolicyError: It is none that a gate may look at.
        """
        if len(url) > _LONGEST or not _PRINTABLE.fullmatch(url):
            raise PolicyError(f"{setting} is not a URL of printable ASCII", remedy=_REMEDY)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise PolicyError(f"{setting} is not a URL", remedy=_REMEDY) from None
        if parts.scheme not in _PORTS:
            raise PolicyError(f"{setting} must begin with https:// or http://")
        if "@" in parts.netloc:
            raise PolicyError(
                f"{setting} must not hold a user or password", remedy="use header or identity"
            )
        if parts.fragment:
            raise PolicyError(f"{setting} must not hold a fragment", remedy="leave out the # part")
        if port == 0 or not _is_host(host):
            raise PolicyError(f"{setting} names no host", remedy=_REMEDY)
        if _is_own_machine(host):
            raise PolicyError(f"{setting} must not be a link-local address or metadata server")
        default = _PORTS[parts.scheme]
        return cls(parts.scheme, host, port or default, parts.path or "/", parts.query)

    @property
    def target(self) -> str:
        """What the request line asks for."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def is_loopback(self) -> bool:
        """Whether the bytes never leave the machine."""
        address = _address(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)

    @property
    def keeps_secrets(self) -> bool:
        """Whether a token may be sent there: nobody on the way can read it."""
        return self.scheme == "https" or self.is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def _is_host(host: str) -> bool:
    if ":" in host:
        return _address(host) is not None and "%" not in host
    return _HOST.fullmatch(host) is not None and ".." not in host


def _is_own_machine(host: str) -> bool:
    address = _address(host)
    return host.rstrip(".") in _METADATA or (address is not None and address.is_link_local)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

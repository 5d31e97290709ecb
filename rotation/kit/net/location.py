"""Where a request goes: an http or https URL, taken apart.

Rules of this module:
  1. No user in it and no fragment: a credential travels in a header, never in a URL.
  2. A refusal never quotes the URL, and what is shown of one leaves the query out: people put
     tokens there.
"""

import ipaddress
from dataclasses import dataclass
from string import punctuation
from typing import Final
from urllib.parse import quote, urlsplit

from rotation.model.errors import PolicyError

_PORTS: Final = {"http": 80, "https": 443}
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
        """Take a URL apart.

        Args:
            url: The text.
            setting: What people call it.

        Raises:
            PolicyError: No request can be sent there.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise PolicyError(f"{setting} is not a URL", remedy=_REMEDY) from None
        if parts.scheme not in _PORTS:
            raise PolicyError(f"{setting} must begin with https:// or http://")
        if "@" in parts.netloc:
            raise PolicyError(
                f"{setting} must not hold a user or password",
                remedy="leave it out; credentials have settings of their own",
            )
        if parts.fragment:
            raise PolicyError(f"{setting} must not hold a fragment", remedy="leave out the # part")
        if port == 0 or not host:
            raise PolicyError(f"{setting} names no host", remedy=_REMEDY)
        default = _PORTS[parts.scheme]
        return cls(parts.scheme, host, port or default, parts.path or "/", parts.query)

    @property
    def target(self) -> str:
        """What the request line asks for; what is not printable ASCII is escaped."""
        whole = f"{self.path}?{self.query}" if self.query else self.path
        return quote(whole, safe=punctuation)

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host, where it is a literal address."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def is_loopback(self) -> bool:
        """Whether the bytes never leave the machine."""
        return self.host == "localhost" or (self.address is not None and self.address.is_loopback)

    @property
    def keeps_secrets(self) -> bool:
        """Whether a token may be sent there: nobody on the way can read it."""
        return self.scheme == "https" or self.is_loopback

    @property
    def server(self) -> str:
        """Host and port, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: whom a token that is made for this URL is meant for."""
        return f"{self.scheme}://{self.server}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.server}{self.path}"

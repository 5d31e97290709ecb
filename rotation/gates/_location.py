"""Which URLs a gate may look at, checked as far as text can be.

Rules of this module:
  1. What follows the scheme is printable ASCII.
  2. Link-local addresses and the metadata server are refused: a gate asks consumers, not the
     machine it runs on.
"""

import re
from typing import Final

from rotation.kit.net.location import Location
from rotation.model.errors import PolicyError

_LONGEST: Final = 2000
_PRINTABLE: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_METADATA: Final = frozenset({"metadata", "metadata.google.internal"})
_REMEDY: Final = "write it as https://HOST/PATH"


def location_of(url: str, setting: str) -> Location:
    """Read the URL of a setting.

    Raises:
        PolicyError: It is none that a gate may look at.
    """
    if len(url) > _LONGEST or not _PRINTABLE.fullmatch(url):
        raise PolicyError(f"{setting} is not a URL of printable ASCII", remedy=_REMEDY)
    location = Location.parse(url, setting)
    if not _is_host(location):
        raise PolicyError(f"{setting} names no host", remedy=_REMEDY)
    address = location.address
    if location.host.rstrip(".") in _METADATA or (address is not None and address.is_link_local):
        raise PolicyError(f"{setting} must not be a link-local address or metadata server")
    return location


def _is_host(location: Location) -> bool:
    host = location.host
    if ":" in host:
        return location.address is not None and "%" not in host
    return _HOST.fullmatch(host) is not None and ".." not in host

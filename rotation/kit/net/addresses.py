"""Which addresses a request may go to: judged by where it goes, never by how that is spelled.

Names, decimal and octal numbers, IPv4 inside of IPv6: all of them become an address first.  The
judged address is the one that is connected to, so a name that means another one the next time gains
nothing.

Rules of this module:
  1. Link-local addresses and metadata servers are never asked: what answers there gives out the
     tokens of the machine.
  2. Loopback is asked only where the URL says loopback itself; and where it does, nothing else.
  3. What is no address of one machine (unspecified, multicast, broadcast) is never asked.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

Address = IPv4Address | IPv6Address

#: Of Google Cloud, AWS, Azure, Oracle and Alibaba, where they are not link-local.
_METADATA: Final = frozenset(
    map(ip_address, ("fd20:ce::254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200"))
)
#: Prefixes of IPv6 whose last 32 bits are an IPv4 address: translated (NAT64), and compatible.
_EMBEDDING: Final = (
    IPv6Network("64:ff9b::/96"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("::/96"),
)
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
_BROADCAST: Final = IPv4Address("255.255.255.255")
_LOW: Final = 0xFFFFFFFF


class ForbiddenAddressError(OSError):
    """Every address of a name is one that is never asked; the text is ours."""


def fault_of(address: Address, *, is_loopback: bool) -> str:
    """Say why an address is not asked; empty when it may be.

    Args:
        address: Where a connection would go.
        is_loopback: Whether the URL says loopback itself, as ``localhost`` or its address.
    """
    real = _unwrapped(address)
    if real.is_link_local or real in _METADATA:
        return "its address is link-local or that of a metadata server"
    if real.is_multicast or real.is_unspecified or real == _BROADCAST or real in _THIS_NETWORK:
        return "its address is not that of one machine"
    if real.is_loopback and not is_loopback:
        return "its address is loopback, and the URL does not say so"
    if is_loopback and not real.is_loopback:
        return "it says loopback, and its address is another machine's"
    return ""


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if inner := address.ipv4_mapped or address.sixtofour:
        return inner
    is_own = address.is_loopback or address.is_unspecified
    if not is_own and any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & _LOW)
    return address


def connect(
    host: str,
    port: int,
    *,
    is_loopback: bool,
    seconds: float,
) -> socket.socket:
    """Look a name up, judge what was found, and connect to the first address that answers.

    Args:
        host: Name or address, as the URL has it.
        port: Of the server.
        is_loopback: As for `fault_of`.
        seconds: For one attempt.

    Raises:
        ForbiddenAddressError: No address may be asked.
        OSError: The name is not known, or nobody answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _name, place in found:
        fault = fault_of(ip_address(str(place[0]).partition("%")[0]), is_loopback=is_loopback)
        if fault:
            failure = failure or ForbiddenAddressError(fault)
            continue
        try:
            return _open(family, kind, protocol, place, seconds)
        except OSError as error:
            failure = error
    raise failure or OSError("the name has no address")


def _open(
    family: int, kind: int, protocol: int, place: tuple[Any, ...], seconds: float
) -> socket.socket:
    end = socket.socket(family, kind, protocol)
    try:
        end.settimeout(seconds)
        end.connect(place)
    except OSError:
        end.close()
        raise
    return end

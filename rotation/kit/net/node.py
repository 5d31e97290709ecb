"""A server as a policy names it: ``host`` or ``host:port``.

Rules of this module:
  1. What is refused is not quoted: where an address belongs, people paste URLs with passwords.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from rotation.model.errors import PolicyError

LAST_PORT: Final = 65535
_IPV6: Final = r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?"
_BARE_IPV6: Final = re.compile(_IPV6)
_NODE: Final = re.compile(rf"(\[{_IPV6}\]|[^\s\0:\[\]/@,]+)(?::([0-9]{{1,5}}))?")


class Node(Struct, frozen=True):
    """One server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_nodes(setting: str, texts: Iterable[str], port: int) -> tuple[Node, ...]:
    """Return the servers of a setting, at ``port`` unless another is written out.

    Raises:
        PolicyError: One of them is none.
    """
    return tuple(_parse(f"{setting}[{index}]", text, port) for index, text in enumerate(texts))


def _parse(place: str, text: str, port: int) -> Node:
    if text.count(":") > 1 and _BARE_IPV6.fullmatch(text):
        return Node(text, port)  # with a port it is written [::1]:5432
    match = _NODE.fullmatch(text)
    if match is None or not 1 <= int(match[2] or port) <= LAST_PORT:
        raise PolicyError(f"{place} is not a server: write host or host:port")
    return Node(match[1].strip("[]"), int(match[2] or port))

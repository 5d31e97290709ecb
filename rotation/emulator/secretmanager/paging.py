"""Pages of a list.

1. A page token names the last item of its page, so that items added or removed meanwhile neither
   repeat nor hide others.
2. Page size 0 means the largest page; larger sizes are cut down to it.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from rotation.emulator.bodies import parse_json
from rotation.emulator.secretmanager.names import BAD_ARGUMENT
from rotation.emulator.status import invalid

_LARGEST: Final = 25_000

Item = TypeVar("Item")


def page_of(
    items: Sequence[Item], position: Callable[[Item], list[int | str]], size: int, token: str
) -> tuple[Sequence[Item], str]:
    """Return one page and the token of the next one.

    Args:
        items: In the order of the list: falling ``position``.
        position: Where an item stands; unique.
        size: As requested.
        token: As requested; empty for the first page.
    """
    if size < 0:
        raise invalid(BAD_ARGUMENT)
    if token:
        after = _decoded(token)
        try:
            items = [item for item in items if position(item) < after]
        except TypeError:  # a token of another list, or of nobody
            raise invalid(BAD_ARGUMENT) from None
    page = items[: min(size or _LARGEST, _LARGEST)]
    more = len(page) < len(items)
    return page, _encoded(position(page[-1])) if more else ""


def _encoded(position: list[int | str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _decoded(token: str) -> list[int | str]:
    try:
        position = parse_json(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError):
        raise invalid(BAD_ARGUMENT) from None
    if not isinstance(position, list) or not position or not isinstance(position[0], int):
        raise invalid(BAD_ARGUMENT)
    return position

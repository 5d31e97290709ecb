"""One look: several requests at once, each with a reply or a reason why there is none.

Decides nothing about what a reply means.

Rules of this module:
  1. A look ends in time, however many requests it has.
  2. Nothing is raised: no reply is `Silence`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rotation.kit import deadline
from rotation.kit.net.exchange import Limits, NoReplyError, Reply, Request, Trouble, send

#: Bytes of a body that are read.
LARGEST: Final = 1024 * 1024
#: Seconds that all requests of one look may take together.
LOOK_SECONDS: Final = 20.0
_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Silence:
    """Nothing came back that could be used."""

    #: Part of a sentence, for example ``the connection is refused``.
    reason: str


def fetch_all(requests: Sequence[Request], seconds: float) -> list[Reply | Silence]:
    """Send all, several at once; those that the time of one look does not reach stay silent.

    Args:
        requests: What is sent.
        seconds: How long one request may take.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only some gates look

    ends = time.monotonic() + deadline.left(LOOK_SECONDS)

    def ask(request: Request) -> Reply | Silence:
        left = min(seconds, ends - time.monotonic())
        return _ask(request, left) if left > 0 else Silence("not asked, for want of time")

    with ThreadPoolExecutor(min(_AT_ONCE, len(requests))) as pool:
        return list(pool.map(ask, requests))


def _ask(request: Request, seconds: float) -> Reply | Silence:
    try:
        return send(request, Limits(seconds, LARGEST))
    except NoReplyError as error:
        if error.trouble is Trouble.TOO_LONG:
            return Silence(f"the answer is longer than {LARGEST} bytes")
        return Silence(str(error))

"""Which ``Host`` a server of this machine answers to.

A page in a browser can have its own name resolved to 127.0.0.1 (DNS rebinding) and then read what
is answered; its requests still carry that name.

Rules of this module:
  1. Only names of the loopback address count, with any port: somebody may forward one.
  2. A request without ``Host`` is refused like one with a wrong one.
"""

import re
from typing import Final

#: Status and words of the refusal.
MISDIRECTED: Final = 421
REFUSAL: Final = "This server answers to localhost and 127.0.0.1 only: another Host was asked for."
_LOCAL: Final = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Whether a ``Host`` header names this machine itself."""
    return bool(_LOCAL.fullmatch(host))

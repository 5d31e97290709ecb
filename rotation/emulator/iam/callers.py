"""Who calls: the e-mail address in a bearer token; it decides nothing.

1. Anything else in the header, a real token of Google's for one, is the owner's.
"""

import re
from collections.abc import Iterable
from typing import Final

#: The caller that may do everything.
OWNER: Final = ""

_BEARER: Final = re.compile(r"Bearer ([a-z0-9._+-]+@[a-z0-9.-]+)", re.IGNORECASE)


def caller_of(headers: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the caller's e-mail address from headers or gRPC metadata, or `OWNER`."""
    for name, value in headers:
        if name.lower() == "authorization" and isinstance(value, str):
            match = _BEARER.fullmatch(value.strip())
            return match[1] if match else OWNER
    return OWNER

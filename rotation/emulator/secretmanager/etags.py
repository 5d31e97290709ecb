"""ETags: how they look and when a request's one is refused.

1. The form is that of the real service: quotes included, the hexadecimal number
   2**52 + microseconds since 1970 of the change.
2. An empty ETag in a request means: do not check.
3. A mismatch is FAILED_PRECONDITION, not ABORTED.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.status import failed_precondition

MISMATCH: Final = (
    "The etag provided in the request does not match the resource's current etag. "
    "Please retry the whole read-modify-write with exponential backoff."
)

_BASE: Final = 1 << 52
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORM: Final = re.compile(r'"([0-9a-f]+)"')


def etag_at(moment: datetime) -> str:
    """Return the ETag of a resource that changed at the moment."""
    return f'"{_BASE + (moment - _EPOCH) // timedelta(microseconds=1):x}"'


def moment_of_etag(etag: str) -> datetime:
    """Return the moment an ETag of ours stands for."""
    match = _FORM.fullmatch(etag)
    return _EPOCH + timedelta(microseconds=int(match[1], 16) - _BASE if match else 0)


def check_etag(resource: Message, sent: str) -> None:
    """Refuse a request whose ETag is not the resource's."""
    if sent and sent != resource.etag:
        raise failed_precondition(MISMATCH)

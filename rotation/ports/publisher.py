"""Publishing wake-ups."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Publisher(Protocol):
    """Sends wake-ups to the rotation topic."""

    def publish(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Publish one attribute-only message each; return when all are accepted.

        Raises:
            TemporaryError: Not accepted in time; some may have been.
            PermanentError: The topic is missing or may not be published to.
        """

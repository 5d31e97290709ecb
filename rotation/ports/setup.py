"""What bringing a secret under rotation needs of Secret Manager beyond what a rotation does."""

from datetime import datetime, timedelta
from typing import Protocol

from rotation.model.names import SecretName
from rotation.model.secret import Secret


class SecretSetup(Protocol):
    """Creates secrets and sets their schedules; may raise what a `SecretStore` may."""

    def create(self, name: SecretName) -> None:
        """Create a secret with automatic replication; one that exists is left as it is."""

    def schedule(self, secret: Secret, topic: str, first: datetime, period: timedelta) -> Secret:
        """Add a topic and set the schedule under ``secret.etag``; other topics stay.

        Raises:
            EtagMismatchError: Somebody else wrote since ``secret`` was read.
        """

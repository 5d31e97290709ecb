"""Create a secret and set its schedule; the calls that a rotation itself never makes.

1. Each call is sent once: a person is there, and looks before running the command again.
2. A schedule is written under the ETag, with the topics as they were read and one more.
"""

from datetime import datetime, timedelta
from typing import Final

from google.api_core.exceptions import AlreadyExists, GoogleAPICallError
from google.cloud.secretmanager_v1 import types

from rotation.google.clients import Clients
from rotation.google.records import secret_of
from rotation.google.refusals import translate
from rotation.model.names import SecretName
from rotation.model.secret import Secret

_TIMEOUT: Final = 30.0


class Setup:
    """See `rotation.ports.setup.SecretSetup`."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._clients = Clients(endpoint)

    def create(self, name: SecretName) -> None:
        """Create a secret with automatic replication; one that exists is left as it is."""
        wanted = types.Secret(
            {} if name.location else {"replication": {"automatic": {}}}  # a region is one place
        )
        request = types.CreateSecretRequest(
            parent=name.parent, secret_id=name.secret_id, secret=wanted
        )
        try:
            self._clients.at(name.location).create_secret(
                request=request, retry=None, timeout=_TIMEOUT
            )
        except AlreadyExists:
            return
        except GoogleAPICallError as error:
            raise translate(error, "CreateSecret", name) from None

    def schedule(self, secret: Secret, topic: str, first: datetime, period: timedelta) -> Secret:
        """Add a topic and set the schedule under ``secret.etag``."""
        topics = [*secret.topics, *([] if topic in secret.topics else [topic])]
        wanted = types.Secret(
            name=str(secret.name),
            etag=secret.etag,
            topics=[{"name": topic} for topic in topics],
            rotation={"next_rotation_time": first, "rotation_period": period},
        )
        mask = {"paths": ["topics", "rotation"]}
        try:
            answer = self._clients.at(secret.name.location).update_secret(
                request={"secret": wanted, "update_mask": mask}, retry=None, timeout=_TIMEOUT
            )
        except GoogleAPICallError as error:
            raise translate(error, "UpdateSecret", secret.name) from None
        return secret_of(types.Secret.pb(answer))

    def close(self) -> None:
        """Close the connections.  May be called twice."""
        self._clients.close()

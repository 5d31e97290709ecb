"""What the engine needs of a secret store.  The real one and the embedded one speak the same API.

Every method may raise `TemporaryError` (unavailable, slow, over quota), `NotFoundError` and
`AccessDeniedError`.  Names in answers carry the project number.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.secret import Secret, SecretVersion, VersionStatus


class SecretStore(Protocol):
    """Secret Manager, narrowed to what a rotation does."""

    def get(self, name: SecretName) -> Secret:
        """Read one secret.  May be stale: what guards is the ETag of the next `update`."""

    def update(
        self,
        secret: Secret,
        *,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        aliases: Mapping[str, int],
    ) -> Secret:
        """Replace labels, annotations and aliases under ``secret.etag``; one compare-and-set.

        A lost answer is resolved by reading again: when the stored maps are the ones sent,
        the write was ours.

        Raises:
            EtagMismatchError: Somebody else wrote since ``secret`` was read.
        """

    def access(self, name: SecretName, version: int | str) -> SecretVersion:
        """Read a payload by number (strongly consistent), alias or ``latest`` (eventually).

        Raises:
            VersionUnavailableError: Disabled or destroyed.
        """

    def add_version(self, name: SecretName, payload: Payload) -> int:
        """Add a version with its checksum and return its number.  Never repeated blindly.

        Raises:
            UnknownOutcomeError: It may have been added; look by number before adding again.
        """

    def is_busy(self) -> bool:
        """Whether what is not urgent had better leave its writes to others now."""

    def version(self, name: SecretName, number: int) -> VersionStatus:
        """Read the state of one version."""

    def enable(self, name: SecretName, number: int, etag: str) -> None:
        """Enable a version under its ETag.  An enabled one gets a new ETag all the same.

        Raises:
            EtagMismatchError: Somebody changed the version since it was read.
        """

    def disable(self, name: SecretName, number: int, etag: str) -> None:
        """Disable a version under its ETag; succeeds on a disabled or destroyed one."""

    def destroy(self, name: SecretName, number: int, etag: str) -> None:
        """Destroy a version, or schedule it under ``version_destroy_ttl``; repeatable."""

    def list(self, matching: str = "") -> Iterator[Secret]:
        """Walk the secrets of the project, a thousand to a call, in no promised order.

        Args:
            matching: Filter in Secret Manager's own language, such as ``labels.db=orders``;
                empty: all.

        Raises:
            BadFilterError: Secret Manager cannot read the filter.
        """

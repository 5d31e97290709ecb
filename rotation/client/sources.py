"""Where credentials are read from: Secret Manager, or a file that a platform keeps up to date.

Rules of this module:
  1. One read gives everything; nothing is cached.
  2. What fails is an error of `rotation.model.errors` without the error it was made from: frames of
     a client library may hold the payload.
  3. Google's client is imported by the first read that needs it.
"""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from rotation.client.credentials import Credentials
from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    RotationError,
    TemporaryError,
    VersionUnavailableError,
)
from rotation.model.names import SecretName, VersionName

if TYPE_CHECKING:
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

#: Secret Manager's own limit.
_LARGEST: Final = 64 * 1024
#: They can log whole answers at level DEBUG.
_PAYLOAD_LOGGERS: Final = tuple(
    f"google.cloud.secretmanager_v1.services.secret_manager_service.{module}"
    for module in ("client", "transports.grpc", "transports.rest")
)


class Source(Protocol):
    """Reads the credentials in force."""

    def read(self) -> Credentials:
        """Read now.

        Raises:
            RotationError: They cannot be had; a `TemporaryError` may be over soon.
        """


class SecretManagerSource:
    """One version of a secret: a pinned number, an alias such as ``current``, or ``latest``.

    Args:
        secret: ``projects/P/secrets/S``.
        version: What to follow.  ``latest`` moves the moment a version exists, so prefer
            ``current``, which the rotation moves when it is this consumer's turn.
        endpoint: ``host:port`` of an embedded Secret Manager, without TLS; empty is Google's.
        timeout: Seconds a read may take.
    """

    def __init__(
        self,
        secret: str,
        version: int | str = "current",
        *,
        endpoint: str = "",
        timeout: float = 10.0,
    ) -> None:
        self._secret = SecretName.parse(secret)
        self._version = version
        self._endpoint = endpoint
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: SecretManagerServiceClient | None = None

    def read(self) -> Credentials:
        """Access the version now."""
        name = self._secret.version(self._version)
        outcome = self._access(name)
        if isinstance(outcome, RotationError):
            raise outcome
        found = VersionName.parse(outcome.name)
        return Credentials(
            outcome.payload.data, secret=str(found.secret), version=int(found.version)
        )

    def close(self) -> None:
        """Close the connection; a later read opens another one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.transport.close()  # type: ignore[no-untyped-call]

    def _access(self, name: str) -> Any:  # noqa: ANN401 - an answer, or the error to raise
        import google_crc32c  # noqa: PLC0415 - rule 3
        from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415
        from google.api_core.retry import Retry, if_transient_error  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

        # The library's own retry begins with two seconds and goes on for a minute.
        again = Retry(if_transient_error, initial=0.1, maximum=2.0, timeout=self._timeout)
        try:
            answer = self._connected().access_secret_version(
                name=name, timeout=self._timeout, retry=again
            )
        except (GoogleAPICallError, RetryError) as error:
            return _translated(error, name)
        except GoogleAuthError as error:
            return TemporaryError(f"no access to {name}: {type(error).__name__}")
        payload = answer.payload
        if payload.data_crc32c != google_crc32c.value(payload.data):
            return TemporaryError(f"{name} arrived damaged")
        return answer

    def _connected(self) -> "SecretManagerServiceClient":
        with self._lock:
            if self._client is None:
                self._client = _build(self._secret.location, self._endpoint)
            return self._client


class FileSource:
    """A file whose content a platform replaces as a whole, for example a mounted volume.

    Args:
        path: The file; it holds one payload.
        secret: Full name of the secret it comes from, for reports.
        version: Its number, where the deployment knows it.  Without one, reports name the rotation
            that made the payload, which is enough for the gate.
    """

    def __init__(self, path: Path | str, *, secret: str = "", version: int | None = None) -> None:
        self._path = Path(path)
        self._secret = secret
        self._version = version

    def read(self) -> Credentials:
        """Read the file now."""
        try:
            with self._path.open("rb") as file:
                payload = file.read(_LARGEST + 1)
        except OSError as error:
            reason = type(error).__name__
            raise TemporaryError(f"{self._path} cannot be read: {reason}") from None
        if len(payload) > _LARGEST:
            raise TemporaryError(
                f"{self._path} is not a payload: it is longer than {_LARGEST} bytes"
            )
        return Credentials(payload, secret=self._secret, version=self._version)


def _build(location: str | None, endpoint: str) -> "SecretManagerServiceClient":
    import grpc  # noqa: PLC0415 - rule 3
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient  # noqa: PLC0415
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415
        SecretManagerServiceGrpcTransport,
    )

    for name in _PAYLOAD_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)
    if endpoint:
        channel = grpc.insecure_channel(endpoint)
        return SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=channel)
        )
    host = f"secretmanager.{location}.rep.googleapis.com" if location else None
    return SecretManagerServiceClient(client_options={"api_endpoint": host} if host else {})


def _translated(error: Exception, name: str) -> RotationError:
    """Return what to raise; the text of Google's error is left out."""
    from google.api_core import exceptions  # noqa: PLC0415 - rule 3

    match error:
        case exceptions.NotFound():
            return NotFoundError(f"{name} does not exist")
        case exceptions.PermissionDenied():
            remedy = "grant roles/secretmanager.secretAccessor on the secret"
            return AccessDeniedError(f"{name} may not be read", remedy=remedy)
        case exceptions.FailedPrecondition():
            return VersionUnavailableError(f"{name} is disabled or destroyed")
    return TemporaryError(f"{name} cannot be read now: {type(error).__name__}")

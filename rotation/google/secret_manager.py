"""The secret store on Google Secret Manager, by the official client over gRPC.

Decides when a call is sent again; never what is stored.  The library retries next to nothing
(only AccessSecretVersion, and that from two seconds on), so every call here carries its own
deadline and its own rule:

1. Reads are sent again after a passing failure, until their deadline.
2. Enable, disable and destroy are sent again likewise: they carry the version's ETag, so a repeat
   changes nothing.
3. A guarded update whose answer was lost is resolved by reading.  The stored maps are ours: done.
   The ETag is still ours: sending again is harmless, since at most one of the two can win.
4. Adding a version is sent once.  It has no ETag and no request id, so a repeat adds another one.
5. Over quota means not done: whatever was refused for that is sent again in its turn (`quota`).
   Reads and writes have a quota each; access has one that no rotation reaches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeVar

import google_crc32c
import grpc
from google.api_core.exceptions import DataLoss, GoogleAPICallError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient, types

from rotation.google.clients import Clients
from rotation.google.patience import Patience
from rotation.google.quota import PATIENCE, Quota
from rotation.google.records import number_of, secret_of, state_of
from rotation.google.refusals import (
    OUTCOME_UNKNOWN,
    PASSING,
    already_gone,
    code_of,
    translate,
)
from rotation.model.errors import (
    EtagMismatchError,
    PermanentError,
    RotationError,
    TemporaryError,
    UnknownOutcomeError,
    VersionUnavailableError,
)
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.secret import Secret, SecretVersion, VersionState, VersionStatus

_PAGE_SIZE: Final = 1000
_LARGEST_PAYLOAD: Final = 64 * 1024
_MASK: Final = {"paths": ["labels", "annotations", "version_aliases"]}
_Answer = TypeVar("_Answer")
_Verb = Literal["enable", "disable", "destroy"]


class SecretManager:
    """Secret Manager as a rotation needs it.  Safe to use from several threads."""

    def __init__(
        self,
        project: str,
        *,
        endpoint: str | None = None,
        identity: str = "",
        timeout: float = 10.0,
        locations: Sequence[str] = (),
        quota_per_minute: float = 0,
        quota_patience: float = PATIENCE,
    ) -> None:
        """Set up; nothing is sent before the first call.

        Args:
            project: Id or number of the project that `list` walks.
            endpoint: ``host:port`` of an embedded service, reached without TLS or credentials;
                None is Google's.
            identity: E-mail address to call an embedded service as; empty: its owner.
            timeout: Seconds one call of this class may take, repeats included.
            locations: Regions whose secrets `list` walks as well.
            quota_per_minute: Reads, and as many writes, the service allows the project in a
                minute; 0 does not pace.
            quota_patience: Seconds until a call that is refused all the time is given up.
        """
        self._parents: list[tuple[str | None, str]] = [(None, f"projects/{project}")]
        self._parents += [(place, f"projects/{project}/locations/{place}") for place in locations]
        self._timeout = timeout
        self._clients = Clients(endpoint, identity)
        self._reads = Quota(quota_per_minute, patience=quota_patience)
        self._writes = Quota(quota_per_minute, patience=quota_patience)
        self._accesses = Quota(patience=quota_patience)

    def get(self, name: SecretName) -> Secret:
        """Read one secret; may be stale."""
        return self._get(name, Patience(self._timeout))

    def update(
        self,
        secret: Secret,
        *,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        aliases: Mapping[str, int],
    ) -> Secret:
        """Replace the three maps under ``secret.etag``; a lost answer is resolved by reading.

        Raises:
            EtagMismatchError: Somebody else wrote since ``secret`` was read.
            UnknownOutcomeError: No answer, and reading did not settle it in time.
        """
        if not secret.etag:
            # Secret Manager would take the write unguarded.
            raise PermanentError(f"{secret.name} was read without an ETag")
        wanted = types.Secret(
            name=str(secret.name),
            etag=secret.etag,
            labels=labels,
            annotations=annotations,
            version_aliases=aliases,
        )
        return self._write(secret, wanted)

    def access(self, name: SecretName, version: int | str) -> SecretVersion:
        """Read a payload and check its checksum."""
        full_name = name.version(version)

        def attempt(seconds: float) -> SecretVersion:
            answer = self._client(name).access_secret_version(
                request={"name": full_name}, retry=None, timeout=seconds
            )
            return _version_of(answer)

        return self._repeat("AccessSecretVersion", name, attempt, self._accesses)

    def add_version(self, name: SecretName, payload: Payload) -> int:
        """Add a version with its checksum; once, but for what was refused over quota.

        Raises:
            UnknownOutcomeError: It may have been added; look by number before adding again.
            TemporaryError: Over quota all the time; not added.
        """
        if not 0 < payload.size <= _LARGEST_PAYLOAD:
            raise PermanentError(
                f"a payload of {payload.size} bytes does not fit: 1 byte to 64 KiB"
            )

        def attempt() -> types.SecretVersion:
            return self._client(name).add_secret_version(
                request=_adding(name, payload), retry=None, timeout=self._timeout
            )

        try:
            added = self._writes.spend(attempt, Patience(self._timeout))
        except GoogleAPICallError as error:
            failure = _not_added(error, name)
        else:
            return number_of(added.name)
        # Here, so that it has no context: the frames of the client hold the payload.
        raise failure

    def is_busy(self) -> bool:
        """Whether a write would have to wait for the quota now, as far as this process knows."""
        return self._writes.is_behind()

    def version(self, name: SecretName, number: int) -> VersionStatus:
        """Read the state of one version."""
        answer = self._version(name, number, Patience(self._timeout))
        return VersionStatus(number, state_of(answer), answer.etag)

    def enable(self, name: SecretName, number: int, etag: str) -> None:
        """Enable a version; under ``version_destroy_ttl`` this cancels a scheduled destruction.

        Raises:
            VersionUnavailableError: It is destroyed.
        """
        self._change(name, number, etag, "enable", done={VersionState.ENABLED})

    def disable(self, name: SecretName, number: int, etag: str) -> None:
        """Disable a version; succeeds on a disabled or destroyed one.

        Under ``version_destroy_ttl`` this cancels a scheduled destruction.
        """
        done = {VersionState.DISABLED, VersionState.DESTROYED}
        self._change(name, number, etag, "disable", done=done)

    def destroy(self, name: SecretName, number: int, etag: str) -> None:
        """Destroy a version, or schedule it under ``version_destroy_ttl``; repeatable."""
        self._change(name, number, etag, "destroy", done={VersionState.DESTROYED})

    def list(self, matching: str = "") -> Iterator[Secret]:
        """Walk the secrets of the project that match a filter, a thousand to a call."""
        for location, parent in self._parents:
            token: str | None = ""
            while token is not None:
                page = self._page(location, parent, token, matching)
                token = page.next_page_token or None
                yield from map(secret_of, page.secrets)
                del page  # never two of them in memory

    def close(self) -> None:
        """Close the connections.  May be called twice."""
        self._clients.close()

    def _client(self, name: SecretName) -> SecretManagerServiceClient:
        return self._clients.at(name.location)

    def _repeat(
        self,
        call: str,
        subject: SecretName | str,
        attempt: Callable[[float], _Answer],
        quota: Quota,
        patience: Patience | None = None,
    ) -> _Answer:
        patience = patience or Patience(self._timeout)
        while True:
            try:
                return quota.spend(lambda: attempt(patience.attempt), patience)
            except GoogleAPICallError as error:
                if code_of(error) in PASSING and patience.wait():
                    continue
                failure = translate(error, call, subject)
            # Here, so that it has no context: a damaged answer's frames hold the payload.
            raise failure

    def _get(self, name: SecretName, patience: Patience) -> Secret:
        def attempt(seconds: float) -> types.Secret:
            return self._client(name).get_secret(
                request={"name": str(name)}, retry=None, timeout=seconds
            )

        answer = self._repeat("GetSecret", name, attempt, self._reads, patience)
        return secret_of(types.Secret.pb(answer))

    def _version(self, name: SecretName, number: int, patience: Patience) -> types.SecretVersion:
        def attempt(seconds: float) -> types.SecretVersion:
            return self._client(name).get_secret_version(
                request={"name": name.version(number)}, retry=None, timeout=seconds
            )

        return self._repeat("GetSecretVersion", name, attempt, self._reads, patience)

    def _page(
        self, location: str | None, parent: str, token: str, matching: str
    ) -> types.ListSecretsResponse:
        request = types.ListSecretsRequest(
            parent=parent, page_size=_PAGE_SIZE, page_token=token, filter=matching
        )

        def attempt(seconds: float) -> types.ListSecretsResponse:
            pager = self._clients.at(location).list_secrets(
                request=request, retry=None, timeout=seconds
            )
            # The first page only: the pager would fetch the next one without a deadline of ours.
            return next(iter(pager.pages))

        page: types.ListSecretsResponse = types.ListSecretsResponse.pb(
            self._repeat("ListSecrets", parent, attempt, self._reads)
        )
        return page

    def _write(self, secret: Secret, wanted: types.Secret) -> Secret:
        patience = Patience(self._timeout)
        uncertain = False
        while True:
            try:
                return self._writes.spend(
                    lambda: self._send(secret.name, wanted, patience.attempt), patience
                )
            except GoogleAPICallError as error:
                code = code_of(error)
                failure = translate(error, "UpdateSecret", secret.name)
            uncertain = uncertain or code in OUTCOME_UNKNOWN
            if not uncertain:
                raise failure
            found = self._resolve(secret, wanted, patience)
            if found is not None:
                return found
            if not patience.wait():
                raise _unsettled(failure, secret)

    def _send(self, name: SecretName, wanted: types.Secret, seconds: float) -> Secret:
        answer = self._client(name).update_secret(
            request={"secret": wanted, "update_mask": _MASK}, retry=None, timeout=seconds
        )
        return secret_of(types.Secret.pb(answer))

    def _resolve(self, secret: Secret, wanted: types.Secret, patience: Patience) -> Secret | None:
        """Look whether a write whose answer was lost took effect; None: nothing shows it did."""
        try:
            found = self._get(secret.name, patience)
        except TemporaryError:
            return None
        if found.etag == secret.etag:
            # Not done, or the read is stale.
            return None
        if _holds(found, wanted):
            return found
        raise EtagMismatchError(f"{secret.name} was written by somebody else")

    def _change(
        self, name: SecretName, number: int, etag: str, verb: _Verb, done: set[VersionState]
    ) -> None:
        call = f"{verb.capitalize()}SecretVersion"
        patience = Patience(self._timeout)

        def attempt(seconds: float) -> GoogleAPICallError | None:
            method = getattr(self._client(name), f"{verb}_secret_version")
            try:
                request = {"name": name.version(number), "etag": etag}
                method(request=request, retry=None, timeout=seconds)
            except GoogleAPICallError as error:
                if code_of(error) is not grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                return error
            return None

        refused = self._repeat(call, name, attempt, self._writes, patience)
        if refused is None or (verb != "enable" and already_gone(refused)):
            return
        # Ours may be the change that moved the ETag: its answer was lost, and it was sent again.
        found = self._version(name, number, patience)
        state = state_of(found)
        if state is VersionState.DESTROYED and verb == "enable":
            raise VersionUnavailableError(f"{name.version(number)} is destroyed")
        scheduled = verb == "destroy" and "scheduled_destroy_time" in found
        if state not in done and not scheduled:
            raise translate(refused, call, name)


def _version_of(answer: types.AccessSecretVersionResponse) -> SecretVersion:
    payload = answer.payload
    if "data_crc32c" in payload and payload.data_crc32c != google_crc32c.value(payload.data):
        raise DataLoss("the payload does not match its checksum")  # type: ignore[no-untyped-call]
    return SecretVersion(number_of(answer.name), Payload(payload.data))


def _adding(name: SecretName, payload: Payload) -> types.AddSecretVersionRequest:
    data = payload.reveal()
    return types.AddSecretVersionRequest(
        parent=str(name),
        payload=types.SecretPayload(data=data, data_crc32c=google_crc32c.value(data)),
    )


def _not_added(error: GoogleAPICallError, name: SecretName) -> RotationError:
    code = code_of(error)
    if code in OUTCOME_UNKNOWN:
        return UnknownOutcomeError(
            f"AddSecretVersion {name}: {code.name}: it may have been added",
            remedy="look at the next version by its number",
        )
    return translate(error, "AddSecretVersion", name, quote=False)


def _unsettled(failure: RotationError, secret: Secret) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        f"the answer to UpdateSecret {secret.name} was lost, and reading did not settle it"
        f" ({failure.reason})"
    )


def _holds(found: Secret, wanted: types.Secret) -> bool:
    return (
        dict(found.labels) == dict(wanted.labels)
        and dict(found.annotations) == dict(wanted.annotations)
        and dict(found.aliases) == dict(wanted.version_aliases)
    )

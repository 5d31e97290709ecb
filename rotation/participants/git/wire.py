"""Git's own protocol, over HTTP and SSH: list branches, fetch, push.

Rules of this module:
  1. A push names the head it expects of every branch it moves: a compare-and-set by the server.
     There is no way here to push without.
  2. A credential travels in a header or signs a login; it is never part of a URL or a message.
  3. What was sent and not answered is an `UnknownOutcomeError` when it was a push.
"""

import base64
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from io import BytesIO
from typing import Any, Final, cast

from dulwich.errors import (
    ApplyDeltaError,
    ChecksumMismatch,
    FileFormatException,
    GitProtocolError,
    HangupException,
    NotGitRepository,
    SendPackError,
)
from dulwich.objects import ObjectID, ShaFile
from dulwich.pack import UnpackedObject, pack_objects_to_data
from dulwich.protocol import ZERO_SHA
from dulwich.refs import Ref

from rotation.model.errors import (
    AccessDeniedError,
    EtagMismatchError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.participants.git.clients import HttpClient, SshClient, limited
from rotation.participants.git.objects import Objects
from rotation.participants.git.repository import Repository, SshKey, Token

_HEADS: Final = "refs/heads/"
#: What dulwich makes of answers that are not what they should be.
_GARBLED: Final = (
    ApplyDeltaError,
    AssertionError,
    ChecksumMismatch,
    FileFormatException,
    LookupError,
    ValueError,
    zlib.error,
)
#: Words of servers that lost a race, not a permission.
_LOST_RACE: Final = (
    "cannot lock ref",
    "already exists",
    "failed to update ref",
    "fetch first",
    "non-fast-forward",
    "stale info",
)


class Wire:
    """One repository on a Git server."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._location = repository.location

    @property
    def place(self) -> str:
        """Where the repository is, for people."""
        return f"{self._location.host}/{self._location.path}"

    def heads(self) -> Mapping[str, str]:
        """Return the commit every branch points to."""
        with self._client() as client, self._translated():
            listed = client.get_refs(self._path, ref_prefix=[_HEADS.encode()])
            return {
                _branch(name): oid.decode("ascii")
                for name, oid in listed.refs.items()
                if oid is not None and name.startswith(_HEADS.encode())
            }

    def fetch(self, oids: Iterable[str], depth: int, objects: Objects) -> None:
        """Fetch commits with so much of the history behind them.

        An older server gives out only what branches point to: then it is all of those.

        Raises:
            TemporaryError: A commit is on no branch any more.
        """
        wanted = [ObjectID(oid.encode()) for oid in oids]
        pack = BytesIO()

        def choose(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001
            heads = [oid for name, oid in refs.items() if name.startswith(_HEADS.encode())]
            if client.protocol_version == 2 or set(wanted) <= set(heads):  # noqa: PLR2004
                return wanted
            return heads

        with self._client() as client, self._translated(), self._gone(oids):
            client.fetch_pack(
                self._path,
                choose,
                _Nothing(),
                limited(pack),
                depth=depth,
                ref_prefix=[_HEADS.encode()],
            )
            objects.add_pack(pack)

    def push(
        self,
        moves: Mapping[str, tuple[str | None, str | None]],
        objects: Sequence[ShaFile] = (),
    ) -> None:
        """Move branches, each from the head it is expected to have.

        Args:
            moves: Expected and new head of every branch; None: no such branch.
            objects: What the server does not have yet.

        Raises:
            EtagMismatchError: A branch has another head.  One that has the new head already
                counts as moved.
        """
        sent = False

        def update(refs: Mapping[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            return {
                _ref(branch): ObjectID(new.encode()) if new else ZERO_SHA
                for branch, (old, new) in moves.items()
                if _due(branch, refs.get(_ref(branch)), old, new)
            }

        def pack(*_: object, **__: object) -> tuple[int, Iterator[UnpackedObject]]:
            nonlocal sent
            sent = True
            return pack_objects_to_data([(thing, None) for thing in objects])

        with self._client() as client, self._translated(lambda: sent):
            result = client.send_pack(self._path, update, cast("Any", pack))
        for name, trouble in (result.ref_status or {}).items():
            if trouble is not None:
                raise self._refused(_branch(name), trouble)

    @property
    def _path(self) -> bytes:
        """The path as it was written: absolute in ``ssh://``, from the home in ``user@host:``."""
        url = self._repository.url
        return (("/" + url.split("/", 3)[3]) if "://" in url else url.partition(":")[2]).encode()

    @contextmanager
    def _client(self) -> Iterator[HttpClient | SshClient]:
        """Yield a client with the credential of now, and close what it opened."""
        with closing(self._new_client()) as client:
            yield client

    def _new_client(self) -> HttpClient | SshClient:
        location = self._location
        credential = self._repository.credentials()
        seconds = self._repository.connect_seconds, self._repository.answer_seconds
        if location.scheme == "ssh":
            if not isinstance(credential, SshKey):
                raise self._unfit("no SSH key", "https://")
            return SshClient(location, credential, seconds)
        if isinstance(credential, SshKey):
            raise self._unfit("an SSH key", "ssh://")
        url = f"{location.scheme}://{location.host}{self._path.decode()}"
        return HttpClient(url, self.place, self._login(credential), seconds)

    def _login(self, credential: object) -> Mapping[str, str]:
        if not isinstance(credential, Token):
            return {}
        user = credential.username or self._location.username or "git"
        login = base64.b64encode(f"{user}:{credential.secret}".encode())
        return {"Authorization": f"Basic {login.decode()}"}

    def _unfit(self, what: str, scheme: str) -> PermanentError:
        return PermanentError(
            f"{what} for {self._location.scheme}://{self._location.host}",
            remedy=f"give the credential that the URL needs, or write a URL with {scheme}",
            reason="bad-repository",
        )

    @contextmanager
    def _translated(self, sent: Callable[[], bool] = lambda: False) -> Iterator[None]:
        try:
            yield
        except RotationError:
            raise
        except NotGitRepository:
            raise self._not_found() from None
        except SendPackError:
            raise TemporaryError(f"{self.place} could not unpack what was pushed") from None
        except (GitProtocolError, HangupException, OSError, EOFError, *_GARBLED) as error:
            raise self._broken(error, sent=sent()) from None

    def _broken(self, error: Exception, *, sent: bool) -> RotationError:
        text = str(error).lower()
        if not sent and any(word in text for word in ("not found", "does not exist", "not appear")):
            return self._not_found()
        if not sent and ("denied" in text or "not allowed" in text or "read-only" in text):
            return AccessDeniedError(
                f"{self.place}: access denied",
                remedy="give the key in auth access to the repository, with the right to write",
            )
        kind = UnknownOutcomeError if sent else TemporaryError
        return kind(f"{self.place}: the connection ended early ({type(error).__name__})")

    @contextmanager
    def _gone(self, oids: Iterable[str]) -> Iterator[None]:
        try:
            yield
        except GitProtocolError as error:
            if "not our ref" not in str(error):
                raise
            named = ", ".join(oid[:10] for oid in oids)
            raise TemporaryError(f"{self.place} has {named} on no branch any more") from None

    def _not_found(self) -> NotFoundError:
        return NotFoundError(
            f"there is no repository {self.place}, or the credential may not see it",
            remedy="check the URL, and that the credential in auth has access",
        )

    def _refused(self, branch: str, trouble: str) -> RotationError:
        if any(word in trouble.lower() for word in _LOST_RACE):
            return EtagMismatchError(f"{branch} in {self.place} has moved")
        return AccessDeniedError(
            f"{self.place} refused the push to {branch}",
            remedy="look at the branch's protection and the server's hooks: the credential in "
            "auth must be allowed to push to it",
        )


class _Nothing:
    """A graph walker that has nothing: every fetch is complete in itself."""

    shallow: Final[set[ObjectID]] = set()

    def ack(self, sha: ObjectID) -> None:
        """Nothing was offered."""

    def nak(self) -> None:
        """Nothing was offered."""

    def update_shallow(self, new: object, gone: object) -> None:
        """What is missing shows what is shallow."""

    def __next__(self) -> ObjectID | None:
        return None


def _branch(name: bytes) -> str:
    # Git does not care how people encode the names of their branches.
    return name.decode("utf-8", "surrogateescape").removeprefix(_HEADS)


def _ref(branch: str) -> Ref:
    return Ref((_HEADS + branch).encode())


def _due(branch: str, found: ObjectID | None, old: str | None, new: str | None) -> bool:
    """Return whether a branch is still to be moved."""
    here = found.decode() if found else None
    if here == new:
        return False
    if here != old:
        raise EtagMismatchError(f"{branch} has moved")
    return True

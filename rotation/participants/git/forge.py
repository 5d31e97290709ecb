"""What GitLab and Gitea have in common: a REST API with a token, and Git itself behind it.

Rules of this module:
  1. What the API does not offer as a compare-and-set goes through Git's own protocol with the
     same token, where the server compares: moving a branch that exists, deleting one.
  2. The API is asked first for everything else: no files are fetched, and commits are the forge's.
  3. "Not found" is told apart: a branch or file that is not there is an answer, a repository that
     is not there (any more, or for this token) is an error.
  4. A request that could not be made because it is there already is looked at, never made again.
"""

from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from rotation.model.errors import (
    EtagMismatchError,
    NotFoundError,
    PermanentError,
    RotationError,
)
from rotation.participants.git.host import (
    Commit,
    Comparison,
    Files,
    Host,
    MergeRequest,
    MergeState,
    Readiness,
    RequestState,
)
from rotation.participants.git.own_api import host_of
from rotation.participants.git.repository import Repository, Token
from rotation.participants.git.web import Answer, Web


class Forge(ABC):
    """One repository at a forge."""

    #: For people.
    name: str
    #: Where the API begins below the server's address.
    api_path: str
    #: A user name that goes with a token in Git's own protocol.
    git_user: str

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        location = repository.location
        self._place = f"{location.host}/{location.path}"
        self._server = f"{location.scheme}://{location.host}"
        if location.scheme == "ssh":
            self._server = f"https://{host_of(location)}"
        api = repository.api or self._server + self.api_path
        self._web = Web(
            api,
            self._headers,
            connect_seconds=repository.connect_seconds,
            answer_seconds=repository.answer_seconds,
        )

    @abstractmethod
    def head(self, branch: str) -> str | None:
        """Return the commit a branch points to."""

    @abstractmethod
    def commit(self, oid: str) -> Commit:
        """Return one commit."""

    @abstractmethod
    def find_request(self, branch: str, base: str) -> MergeRequest | None:
        """Return the newest request."""

    @abstractmethod
    def merge_state(self, request: MergeRequest, base: str) -> MergeState:
        """Say what stands between a request and its merge."""

    @abstractmethod
    def _content(self, oid: str, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what the API says of a plain file; None when there is none."""

    @abstractmethod
    def _compared(self, base: str, head: str) -> Comparison | None:
        """Compare by the API; None where it does not tell all."""

    @abstractmethod
    def _create(self, branch: str, parent: str, files: Files) -> str | None:
        """Make a branch with one commit on ``parent``; None when there is such a branch."""

    @abstractmethod
    def _look(self, request: MergeRequest) -> MergeRequest:
        """Return the request as it is now."""

    @abstractmethod
    def _authorization(self, token: str) -> Mapping[str, str]:
        """Return the headers that carry the token."""

    def read(self, oid: str, path: str) -> bytes | None:
        """Return a file as of a commit."""
        found = self._content(oid, path)
        return None if found is None else b64decode(found["content"])

    def compare(self, base: str, head: str) -> Comparison:
        """Compare two commits; by Git itself where the API does not tell all."""
        if base == head:
            return Comparison(base, (), frozenset())
        return self._compared(base, head) or self._git.compare(base, head)

    def write(self, branch: str, known_head: str | None, parent: str, files: Files) -> str:
        """Add one commit; a branch that exists is moved by a compare-and-set of Git itself."""
        if known_head is not None:
            return self._git.write(branch, known_head, parent, files)
        made = self._create(branch, parent, files)
        return made or self._made_before(branch, parent, files)

    def delete_branch(self, branch: str, head: str) -> None:
        """Delete a branch while its head is ``head``."""
        self._git.delete_branch(branch, head)

    def _made_before(self, branch: str, parent: str, files: Files) -> str:
        """Return the head of a branch that is what we would have made."""
        head = self.head(branch)
        if head is not None:
            commit = self.commit(head)
            ours = commit.parents == (parent,) and commit.message.strip() == files.message.strip()
            if ours and all(self.read(head, path) == new for path, new in files.content.items()):
                return head
            raise EtagMismatchError(f"{branch} in {self._place} has moved")
        raise PermanentError(
            f"{self.name} refuses to make the branch {branch} in {self._place}",
            remedy="look whether a rule for names of branches or a push rule forbids it",
            reason="forge-refused",
        )

    def _ended(self, request: MergeRequest, head: str) -> MergeState | None:
        """Say what a request that cannot be merged (any more) came to; None: it still can."""
        if request.state is RequestState.MERGED:
            return MergeState(Readiness.READY)
        if request.state is RequestState.CLOSED:
            return MergeState(Readiness.REFUSED, f"{request.number} was closed without a merge")
        if request.head != head:
            return MergeState(
                Readiness.REFUSED, f"{request.number} has other commits than expected"
            )
        return None

    def _after_refusal(self, request: MergeRequest, base: str, head: str) -> MergeState:
        """Say why a merge was refused: looked up, since the status alone does not say."""
        now = self._look(request)
        if ended := self._ended(now, head):
            return ended
        merge_state = self.merge_state(now, base)
        if merge_state.readiness is not Readiness.READY:
            return merge_state
        if self._is_behind(base, head):
            return MergeState(Readiness.OUTDATED, f"{base} has moved")
        return MergeState(Readiness.WAITING, f"{self.name} does not merge {now.number} yet")

    def _is_behind(self, base: str, head: str) -> bool:
        """Whether a refusal that nothing explains is for what the base has and we have not."""
        base_head = self.head(base)
        return base_head is not None and bool(self.compare(head, base_head).commits)

    def _found(self, answer: Answer) -> Any:  # noqa: ANN401 - JSON
        """Return a body; None when the thing is not there, though the repository is."""
        if answer.status == HTTPStatus.NOT_FOUND:
            self._web.get(self._repository_path)
            return None
        return answer.body

    @property
    @abstractmethod
    def _repository_path(self) -> str:
        """Where the API speaks of the repository."""

    def _get(self, path: str, *allowed: int, params: Mapping[str, Any] | None = None) -> Answer:
        return self._web.get(self._repository_path + path, *allowed, params=params)

    def _send(self, method: str, path: str, *allowed: int, body: object) -> Answer:
        return self._web.send(method, self._repository_path + path, *allowed, body=body)

    @cached_property
    def _git(self) -> Host:
        # Imported by the few calls that need it: dulwich takes its time.
        from rotation.participants.git.plain import PlainGit  # noqa: PLC0415

        # With the ending, which GitLab would redirect to.
        url = f"{self._server}/{self._repository.location.path}.git"
        return PlainGit(replace(self._repository, url=url, credentials=self._git_login))

    def _git_login(self) -> Token:
        token = self._token()
        return token if token.username else replace(token, username=self.git_user)

    def _headers(self, _refused: bool) -> Mapping[str, str]:  # noqa: FBT001 - as `Web` calls it
        return self._authorization(self._token().secret)

    def _token(self) -> Token:
        credential = self._repository.credentials()
        if isinstance(credential, Token):
            return credential
        raise PermanentError(
            f"{self.name} needs a token for {self._place}",
            remedy="put the name of the secret version that holds it into auth",
            reason="bad-repository",
        )


def understood(answer: Answer, *keys: str) -> Any:  # noqa: ANN401 - JSON
    """Return a body that has the keys; whatever sent anything else is not the forge."""
    if isinstance(answer.body, dict) and all(key in answer.body for key in keys):
        return answer.body
    raise NotFoundError(
        "the answer is not what the forge's API says",
        remedy="check the repository's URL and api: a proxy or a login page may answer there",
    )


def oldest_first(commits: Iterable[Commit]) -> tuple[Commit, ...]:
    """Put commits into an order in which each comes after its parents."""
    waiting = {commit.oid: commit for commit in commits}
    ordered: list[Commit] = []
    while waiting:
        ready = [one for one in waiting.values() if not waiting.keys() & set(one.parents)]
        if not ready:
            raise RotationError("commits are each other's parents")
        ordered.extend(ready)
        for one in ready:
            del waiting[one.oid]
    return tuple(ordered)


def escaped(text: str) -> str:
    """Escape one segment of a path, slashes too."""
    return quote(text, safe="")

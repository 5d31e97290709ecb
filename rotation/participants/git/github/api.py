"""Calls to one repository's REST and GraphQL API.

Rules of this module:
  1. GraphQL answers 200 to what it refuses: its error types become our errors here.
  2. A message never quotes what GitHub wrote: it may repeat what a file holds.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from rotation.model.errors import (
    AccessDeniedError,
    EtagMismatchError,
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.participants.git.github.authorization import Authorization
from rotation.participants.git.own_api import own_api
from rotation.participants.git.repository import Repository
from rotation.participants.git.web import Answer, Web

_VERSION: Final = "2022-11-28"
_PARTS: Final = 2


class UnprocessableError(PermanentError):
    """GitHub understood, and refuses by rule.  Callers look which one."""

    reason = "forge-refused"


class Api:
    """One repository."""

    def __init__(self, repository: Repository) -> None:
        location = repository.location
        if location.path.count("/") != _PARTS - 1:
            raise PermanentError(
                "the URL of a GitHub repository ends in OWNER/NAME",
                remedy="write https://github.com/OWNER/NAME",
                reason="bad-repository",
            )
        self.owner, self.name = location.path.split("/")
        rest = (repository.api or own_api(location)).rstrip("/")
        authorization = Authorization(repository, rest)

        def headers(renew: bool) -> Mapping[str, str]:  # noqa: FBT001 - the shape `Web` asks for
            return {
                **authorization(renew),
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": _VERSION,
            }

        times = {
            "connect_seconds": repository.connect_seconds,
            "answer_seconds": repository.answer_seconds,
        }
        self._rest = Web(rest, headers, **times)
        self._graphql = Web(f"{rest.removesuffix('/v3')}/graphql", headers, **times)

    def get(self, path: str, *allowed: int, params: Mapping[str, Any] | None = None) -> Answer:
        """Read something of the repository."""
        return self._rest.get(self._path(path), *allowed, params=params)

    def send(self, method: str, path: str, *allowed: int, body: object = None) -> Answer:
        """Change something of the repository."""
        return self._rest.send(method, self._path(path), *allowed, body=body)

    def query(self, document: str, **variables: object) -> Any:  # noqa: ANN401
        """Ask the repository something; ``$owner`` and ``$name`` are filled in."""
        variables = {"owner": self.owner, "name": self.name, **variables}
        return self._send_graphql(document, variables, changes=False)["repository"]

    def mutate(self, document: str, given: Mapping[str, object]) -> Any:  # noqa: ANN401
        """Run a mutation whose variable is ``$input``; return what it asks for.

        Raises:
            EtagMismatchError: Something has moved since it was looked at.
            UnprocessableError: A rule forbids it.
        """
        return self._send_graphql(document, {"input": given}, changes=True)

    def _path(self, path: str) -> str:
        return f"/repos/{self.owner}/{self.name}{path}"

    def _send_graphql(
        self, document: str, variables: Mapping[str, object], *, changes: bool
    ) -> Any:  # noqa: ANN401
        body = {"query": document, "variables": variables}
        answer = self._graphql.send("POST", "", body=body, changes=changes)
        what = document.split("(", 1)[0]
        if not isinstance(answer.body, dict):
            kind = UnknownOutcomeError if changes else TemporaryError
            raise kind(f"{what}: GitHub's answer cannot be read")
        if errors := answer.body.get("errors"):
            raise _refusal(what, {str(error.get("type", "")) for error in errors}, changes=changes)
        return answer.body["data"]


def _refusal(what: str, types: set[str], *, changes: bool) -> Exception:
    if types & {"RATE_LIMITED", "RATE_LIMIT"}:
        return TemporaryError(f"{what}: GitHub's rate limit is spent", reason="rate-limit")
    if "STALE_DATA" in types:
        return EtagMismatchError(f"{what}: the branch has moved")
    if "FORBIDDEN" in types or "INSUFFICIENT_SCOPES" in types:
        return AccessDeniedError(
            f"{what}: forbidden", remedy="give the credential the rights that are documented"
        )
    if "NOT_FOUND" in types:
        return NotFoundError(
            f"{what}: not found", remedy="check the URL and what the credential may see"
        )
    if "UNPROCESSABLE" in types:
        return UnprocessableError(f"{what}: a rule of the repository forbids it")
    kind = UnknownOutcomeError if changes else TemporaryError
    return kind(f"{what}: GitHub failed ({', '.join(sorted(types)) or 'no type'})")


UNPROCESSABLE: Final = int(HTTPStatus.UNPROCESSABLE_ENTITY)
FORBIDDEN: Final = int(HTTPStatus.FORBIDDEN)
NOT_FOUND: Final = int(HTTPStatus.NOT_FOUND)
CONFLICT: Final = int(HTTPStatus.CONFLICT)
NOT_ALLOWED: Final = int(HTTPStatus.METHOD_NOT_ALLOWED)

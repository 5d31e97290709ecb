"""One HTTP client for forges: JSON in, JSON out, and errors told apart by what to do next.

Rules of this module:
  1. httpx is imported by the first request, not with the module.
  2. A request is sent once.  The caller's caller repeats, and looks before it does.
  3. What was sent and not answered is unknown when it changes something, else temporary.
  4. The credential is asked for at every request; one that was refused is renewed once.
  5. Messages name the method, the path and the status; never a header, a body or a token.
  6. Redirects are not followed: the address in the policy is what people reviewed.
"""

import atexit
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnknownOutcomeError,
)

if TYPE_CHECKING:
    import httpx

#: Longest answer that is read into memory.
_LONGEST: Final = 32 * 1024 * 1024
_SERVER_FAULT: Final = 500
#: First digits of a status.
_SUCCESS, _REDIRECTION = 2, 3


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    #: Decoded JSON; None when there is no body or it is none.
    body: Any
    headers: Mapping[str, str]


class Web:
    """Requests to one API."""

    def __init__(
        self,
        base: str,
        authorize: Callable[[bool], Mapping[str, str]],
        *,
        connect_seconds: float,
        answer_seconds: float,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            base: Address that paths are appended to.
            authorize: Returns the headers of the credential; True: the last one was refused.
            connect_seconds: How long a connection may take.
            answer_seconds: How long a request may go without an answer.
        """
        self._base = base.rstrip("/")
        self._authorize = authorize
        self._seconds = (connect_seconds, answer_seconds)

    def get(self, path: str, *allowed: int, params: Mapping[str, Any] | None = None) -> Answer:
        """Read.  A status other than 2xx is an error unless it is among ``allowed``.

        A rate limit is one even then.
        """
        return self.send("GET", path, *allowed, params=params)

    def send(
        self,
        method: str,
        path: str,
        *allowed: int,
        params: Mapping[str, Any] | None = None,
        body: object = None,
        changes: bool | None = None,
    ) -> Answer:
        """Send one request.

        Raises:
            TemporaryError: Not reached, 5xx, a time-out of a read, or a rate limit.
            UnknownOutcomeError: A change that was sent and not answered, or answered with 5xx.
            PermanentError: Refused.
        """
        if changes is None:
            changes = method != "GET"
        answer = self._once(method, path, params, body, changes=changes, renew=False)
        if answer.status == HTTPStatus.UNAUTHORIZED and HTTPStatus.UNAUTHORIZED not in allowed:
            answer = self._once(method, path, params, body, changes=changes, renew=True)
        is_allowed = answer.status in allowed and not limited_until(answer)
        if is_allowed or answer.status // 100 == _SUCCESS:
            return answer
        raise refusal(f"{method} {path}", answer, changes=changes)

    def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: object,
        *,
        changes: bool,
        renew: bool,
    ) -> Answer:
        import httpx  # noqa: PLC0415 - rule 1

        what = f"{method} {path}"
        headers = dict(self._authorize(renew))
        try:
            response = _client(*self._seconds).request(
                method, self._base + path, params=params, json=body, headers=headers
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise TemporaryError(f"{self._server} cannot be reached for {what}") from None
        except httpx.HTTPError as error:
            kind = UnknownOutcomeError if changes else TemporaryError
            raise kind(f"{what}: no answer from {self._server} ({type(error).__name__})") from None
        body = _decoded(response)
        if body is None and response.content and response.status_code // 100 == _SUCCESS:
            # A proxy's page, or an answer cut short.
            kind = UnknownOutcomeError if changes else TemporaryError
            raise kind(f"{what}: what {self._server} answered is no JSON")
        return Answer(response.status_code, body, response.headers)

    @property
    def _server(self) -> str:
        return self._base.split("://")[-1].split("/")[0]


@cache
def _client(connect: float, answer: float) -> "httpx.Client":
    """Return the client for these limits; its connections serve the whole process."""
    import httpx  # noqa: PLC0415 - rule 1

    client = httpx.Client(
        timeout=httpx.Timeout(answer, connect=connect),
        headers={"User-Agent": "rotation"},
        follow_redirects=False,
    )
    atexit.register(client.close)
    return client


def limited_until(answer: Answer, now: float | None = None) -> str:
    """Say when a rate limit ends; empty when the answer is none.

    Knows ``Retry-After`` (GitHub's secondary limits, GitLab, Gitea) and the headers that GitHub
    and GitLab send when nothing is left.
    """
    seconds = answer.headers.get("retry-after", "")
    if seconds.isdigit():
        return f"free again in {int(seconds)} s"
    prefix = "x-ratelimit" if "x-ratelimit-remaining" in answer.headers else "ratelimit"
    if answer.headers.get(f"{prefix}-remaining") == "0":
        reset = answer.headers.get(f"{prefix}-reset", "")
        now = time.time() if now is None else now
        if reset.isdigit():
            moment = datetime.fromtimestamp(int(reset), UTC)
            left = max(0, int(reset) - int(now))
            return f"free again at {moment:%H:%M:%S} UTC, in {left} s"
    return "it does not say until when" if answer.status == HTTPStatus.TOO_MANY_REQUESTS else ""


def _decoded(response: "httpx.Response") -> Any:  # noqa: ANN401
    if len(response.content) > _LONGEST:
        raise PermanentError(
            f"an answer of {len(response.content)} bytes is more than is read",
            remedy="keep the pin in a small file",
            reason="answer-too-long",
        )
    try:
        return response.json() if response.content else None
    except ValueError:
        return None


def refusal(what: str, answer: Answer, *, changes: bool) -> Exception:
    """Return the error that a status stands for."""
    status = answer.status
    if status in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS) and (
        limit := limited_until(answer)
    ):
        return TemporaryError(f"{what}: the rate limit is spent; {limit}", reason="rate-limit")
    if status >= _SERVER_FAULT:
        kind = UnknownOutcomeError if changes else TemporaryError
        return kind(f"{what}: answered {status}")
    if status // 100 == _REDIRECTION:
        return PermanentError(
            f"{what}: the repository has another address now ({status})",
            remedy="write its present URL into the policy",
            reason="repository-moved",
        )
    return _permanent(what, status)


def _permanent(what: str, status: int) -> PermanentError:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return AccessDeniedError(
                f"{what}: the credential was refused, a renewed one too",
                remedy="check that the token or key in auth has neither expired nor been revoked",
            )
        case HTTPStatus.FORBIDDEN:
            return AccessDeniedError(
                f"{what}: forbidden",
                remedy="give the credential in auth the rights that the documentation lists",
            )
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return NotFoundError(
                f"{what}: not found",
                remedy="check the repository's URL, and that the credential in auth may see it",
            )
    return PermanentError(f"{what}: refused with status {status}", reason="forge-refused")

"""What forges speak over HTTP: JSON in, JSON out, and errors told apart by what to do next.

Rules of this module:
  1. A request is sent once.  The caller's caller repeats, and looks before it does.
  2. What was sent and not answered is unknown when it changes something, else temporary.
  3. The credential is asked for at every request; one that was refused is renewed once.
  4. Messages name the method, the path and the status; never a header, a body or a token.
  5. Redirects are not followed: the address in the policy is what people reviewed.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

from rotation.kit.net.exchange import Limits, NoReplyError, Reply, Request, Trouble, send
from rotation.kit.net.location import Location
from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnknownOutcomeError,
)

#: Longest answer that is read into memory.
_LONGEST: Final = 32 * 1024 * 1024
_SERVER_FAULT: Final = 500
#: First digits of a status.
_SUCCESS, _REDIRECTION = 2, 3


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    #: Decoded JSON; None when there is no body or it is not JSON.
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
        self._base = Location.parse(base.rstrip("/"), "api")
        self._authorize = authorize
        self._limits = Limits(
            connect_seconds + answer_seconds, _LONGEST, connect_seconds, answer_seconds
        )

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
        what, server = f"{method} {path}", self._base.server
        headers = {"Content-Type": "application/json", **self._authorize(renew)}
        content = None if body is None else json.dumps(body).encode()
        try:
            reply = send(Request(self._at(path, params), method, headers, content), self._limits)
        except NoReplyError as error:
            if error.trouble is Trouble.TOO_LONG:
                raise _too_long(what) from None
            raise no_reply(f"{what} at {server}", error, changes=changes) from None
        decoded = _decoded(reply)
        if decoded is None and reply.body and reply.status // 100 == _SUCCESS:
            # A proxy's page.
            kind = UnknownOutcomeError if changes else TemporaryError
            raise kind(f"{what}: what {server} answered is not valid JSON")
        return Answer(reply.status, decoded, reply.headers)

    def _at(self, path: str, params: Mapping[str, Any] | None) -> Location:
        query = urlencode(params or {}, doseq=True, quote_via=quote)
        return replace(self._base, path=self._base.path.rstrip("/") + path or "/", query=query)


def limited_until(answer: Answer, now: float | None = None) -> str:
    """Say when a rate limit ends; empty when the answer is not about one.

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


def _decoded(reply: Reply) -> Any:  # noqa: ANN401
    try:
        return json.loads(reply.body) if reply.body else None
    except (ValueError, RecursionError):
        return None


def _too_long(what: str) -> PermanentError:
    return PermanentError(
        f"{what}: an answer of more than {_LONGEST >> 20} MiB is not read",
        remedy="keep the pin in a small file",
        reason="answer-too-long",
    )


def no_reply(what: str, error: NoReplyError, *, changes: bool) -> TemporaryError:
    """Return the error that an exchange without a reply stands for."""
    kind = UnknownOutcomeError if changes and error.was_sent else TemporaryError
    return kind(f"{what}: {error}")


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

"""dulwich's clients for HTTP and SSH, with our connections underneath.

Rules of this module:
  1. A request is sent once; redirects are refused, since the credential is for one address.
  2. Packs are kept in memory, up to a limit.
  3. A client is closed by whoever made it, whatever happened.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from io import BytesIO
from typing import IO, Any, Final

import httpx
from dulwich.client import AbstractHttpGitClient, SSHGitClient
from dulwich.protocol import Protocol

from rotation.model.errors import (
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.participants.git.repository import Location, SshKey
from rotation.participants.git.web import Answer, refusal

#: Largest pack that is read into memory.
LARGEST_PACK: Final = 256 * 1024 * 1024
_PUSH: Final = "git-receive-pack"


class HttpClient(AbstractHttpGitClient):
    """dulwich's smart HTTP client on httpx: one request sent once, redirects refused."""

    def __init__(
        self, url: str, place: str, login: Mapping[str, str], seconds: tuple[float, float]
    ) -> None:
        super().__init__(url, thin_packs=False, quiet=True)
        self._place = place
        connect, answer = seconds
        self._http = httpx.Client(
            headers={"User-Agent": "git/rotation", "Accept-Encoding": "identity", **login},
            timeout=httpx.Timeout(answer, connect=connect),
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get_url(self, path: str | bytes) -> str:  # noqa: ARG002
        return self._base_url

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> tuple[Any, Callable[[int], bytes]]:
        service = "GET info/refs" if data is None else f"POST {url.rsplit('/', 1)[-1]}"
        what = f"{self._place}: {service}"
        changes = service.endswith(_PUSH)
        body = None if data is None else data if isinstance(data, bytes) else b"".join(data)
        try:
            with self._http.stream(
                "GET" if data is None else "POST", url, headers=headers, content=body
            ) as response:
                content = BytesIO()
                write = limited(content)
                for part in response.iter_bytes():
                    write(part)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise TemporaryError(f"{self._place} cannot be reached") from None
        except httpx.HTTPError as error:
            kind = UnknownOutcomeError if changes else TemporaryError
            raise kind(f"{what}: no answer ({type(error).__name__})") from None
        if response.status_code != HTTPStatus.OK:
            answer = Answer(response.status_code, None, response.headers)
            raise refusal(what, answer, changes=changes)
        kind_of_content = response.headers.get("content-type", "")
        if not kind_of_content.startswith("application/x-git-"):
            raise NotFoundError(
                f"{what}: what answers there is no Git server",
                remedy="check the URL: smart HTTP is needed; a web page or a login may answer",
            )
        content.seek(0)
        return _Response(kind_of_content), content.read


class SshClient(SSHGitClient):
    """dulwich's SSH client; whatever happens, its connections are closed."""

    def __init__(
        self, location: Location, credential: SshKey, seconds: tuple[float, float]
    ) -> None:
        from rotation.participants.git.ssh import KnownHostsOnly  # noqa: PLC0415 - heavy

        host, port = _address(location.host)
        super().__init__(
            host,
            port=port,
            username=location.username or credential.username,
            vendor=KnownHostsOnly(credential, *seconds),
            thin_packs=False,
            quiet=True,
        )
        self._connections = ExitStack()

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _connect(
        self, cmd: bytes, path: str | bytes, protocol_version: int | None = None
    ) -> tuple[Protocol, Callable[[], bool], IO[bytes] | None]:
        connected = super()._connect(cmd, path, protocol_version)
        self._connections.callback(connected[0].close)
        return connected


class _Response:
    """What dulwich asks of a response."""

    redirect_location = ""

    def __init__(self, content_type: str | None) -> None:
        self.content_type = content_type

    def close(self) -> None:
        """Nothing is open."""


def _address(host: str) -> tuple[str, int | None]:
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        return name.strip("[]"), int(port)
    return host.strip("[]"), None


def limited(pack: BytesIO) -> Callable[[bytes], int]:
    """Return a function that writes to ``pack``, up to the limit."""

    def write(data: bytes) -> int:
        if pack.tell() + len(data) > LARGEST_PACK:
            raise PermanentError(
                f"the repository's files are more than {LARGEST_PACK >> 20} MiB packed",
                remedy="keep the pin in a smaller repository",
                reason="repository-too-large",
            )
        return pack.write(data)

    return write

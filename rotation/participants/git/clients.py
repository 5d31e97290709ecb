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

from dulwich.client import AbstractHttpGitClient, SSHGitClient
from dulwich.protocol import Protocol

from rotation.kit.net.exchange import Limits, NoReplyError, Request, Trouble, send
from rotation.kit.net.location import Location as HttpLocation
from rotation.model.errors import (
    NotFoundError,
    PermanentError,
)
from rotation.participants.git.repository import Location, SshKey
from rotation.participants.git.web import Answer, no_reply, refusal

#: Largest pack that is read into memory.
LARGEST_PACK: Final = 256 * 1024 * 1024
#: Seconds that a pack may take, however steadily it comes.
_PACK_SECONDS: Final = 240.0
_PUSH: Final = "git-receive-pack"


class HttpClient(AbstractHttpGitClient):
    """dulwich's smart HTTP client on our exchanges: sent once, redirects refused."""

    def __init__(
        self, url: str, place: str, login: Mapping[str, str], seconds: tuple[float, float]
    ) -> None:
        super().__init__(url, thin_packs=False, quiet=True)
        self._place = place
        connect, answer = seconds
        self._limits = Limits(_PACK_SECONDS, LARGEST_PACK, connect, answer)
        self._headers = {"User-Agent": "git/rotation", **login}

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
        request = Request(
            HttpLocation.parse(url, "the repository URL"),
            "GET" if data is None else "POST",
            {**self._headers, **(headers or {})},
            body,
        )
        try:
            reply = send(request, self._limits)
        except NoReplyError as error:
            if error.trouble is Trouble.TOO_LONG:
                raise _too_large() from None
            raise no_reply(what, error, changes=changes) from None
        if reply.status != HTTPStatus.OK:
            raise refusal(what, Answer(reply.status, None, reply.headers), changes=changes)
        kind_of_content = reply.headers.get("content-type", "")
        if not kind_of_content.startswith("application/x-git-"):
            raise NotFoundError(
                f"{what}: what answers there is not a Git server",
                remedy="check the URL: smart HTTP is needed; a web page or a login may answer",
            )
        return _Response(kind_of_content), BytesIO(reply.body).read


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
            raise _too_large()
        return pack.write(data)

    return write


def _too_large() -> PermanentError:
    return PermanentError(
        f"the repository's files are more than {LARGEST_PACK >> 20} MiB packed",
        remedy="keep the pin in a smaller repository",
        reason="repository-too-large",
    )

"""Where a repository is, and what opens it: the record every host is made from.

Rules of this module:
  1. A secret is read when it is needed and again when it was refused; it is kept in no setting.
  2. Nothing here shows a secret: ``repr`` leaves it out, and no URL ever holds one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from rotation.model.errors import PermanentError

Scheme = Literal["http", "https", "ssh"]
MergeMethod = Literal["any", "merge", "squash", "rebase"]
#: Which checks must be green: those that the host's rules require, or every one there is.
Checks = Literal["required", "all"]

_SCP: Final = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>[^/].*)")
_URL: Final = re.compile(
    r"(?P<scheme>https?|ssh)://(?:(?P<user>[\w.-]+)@)?"
    r"(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d+))?(?:/(?P<path>[^?#]*))?"
)


@dataclass(frozen=True)
class Token:
    """A personal, project or deploy token, or the password of plain HTTPS."""

    secret: str = field(repr=False)
    #: Plain HTTPS and some hosts want a user beside it.
    username: str = ""


@dataclass(frozen=True)
class AppKey:
    """The key of a GitHub App, and where it is installed."""

    app_id: int
    installation_id: int
    #: PEM.
    private_key: bytes = field(repr=False)


@dataclass(frozen=True)
class SshKey:
    """A key for SSH, and the host keys that are believed."""

    username: str
    #: OpenSSH or PEM.
    private_key: bytes = field(repr=False)
    #: Lines of a ``known_hosts`` file.
    known_hosts: str


Credential = Token | AppKey | SshKey


@dataclass(frozen=True)
class Location:
    """A repository URL, taken apart."""

    scheme: Scheme
    #: Without a user; with a port where the URL has one.
    host: str
    #: Without slashes at its ends and without ``.git``: ``owner/name``, ``group/sub/name``.
    path: str
    username: str = ""

    @classmethod
    def parse(cls, url: str) -> "Location":
        """Take a URL apart: ``https://``, ``ssh://`` or ``user@host:path``.

        Raises:
            PermanentError: It is not one of them, or it holds a password.
        """
        if match := _SCP.fullmatch(url):
            return cls("ssh", match["host"], _stem(match["path"]), match["user"])
        match = _URL.fullmatch(url)
        if match is None:
            # The text is not shown: a password may stand in it.
            raise PermanentError(
                "the repository URL has none of the known forms",
                remedy="write https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH, without "
                "a password; tokens and keys belong into auth, as names of secret versions",
                reason="bad-repository",
            )
        port = f":{match['port']}" if match["port"] else ""
        scheme = cast("Scheme", match["scheme"])
        return cls(scheme, match["host"] + port, _stem(match["path"] or ""), match["user"] or "")


@dataclass(frozen=True)
class Repository:
    """Everything a host is made from."""

    #: ``https://``, ``ssh://`` or ``user@host:path``; never with a token in it.
    url: str
    #: Reads the credential anew at every call; None where none is configured.
    credentials: Callable[[], Credential | None] = field(repr=False)
    #: Address of the host's API where it does not follow from ``url``.
    api: str = ""
    #: Files the participant changes; hosts narrow their rights by them.
    paths: tuple[str, ...] = ()
    merge_method: MergeMethod = "any"
    #: Let the host merge by itself as soon as its rules allow.
    auto_merge: bool = False
    checks: Checks = "required"
    #: Author and committer, where the host does not put its own.
    author_name: str = "rotation"
    author_email: str = "rotation@localhost"
    connect_seconds: float = 5.0
    #: How long one call may go without an answer.
    answer_seconds: float = 20.0

    @property
    def location(self) -> Location:
        """The URL, taken apart."""
        return Location.parse(self.url)


def _stem(path: str) -> str:
    return path.strip("/").removesuffix(".git")

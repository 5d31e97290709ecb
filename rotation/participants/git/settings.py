"""What target and policy say about a pin in Git.

Rules of this module:
  1. Secrets are given as names of secret versions, never as values.
  2. A fault names the setting and what is expected; it never quotes the value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from rotation.model.errors import PermanentError
from rotation.model.names import VersionName
from rotation.model.target import Refusal, TargetSettings, fits_one
from rotation.model.text import Lines, first_hidden
from rotation.participants.git.hosts import HostKind
from rotation.participants.git.own_api import is_own
from rotation.participants.git.repository import Checks, Location, MergeMethod

Locate = Literal["marker", "path", "resource"]

_PATH: Final = re.compile(r"(?!/)(?!(?:.*/)?\.{0,2}(?:/|$))[^\\\x00-\x1f]+")
_BRANCH: Final = re.compile(r"(?!-)(?!refs/)(?!.*(?:\.\.|//|@\{))[^\s~^:?*\[\\\x00-\x1f]+(?<![/.])")

#: Between a commit's ``author`` and the address, and between ``<`` and ``>``.
_AUTHOR: Final = re.compile(r"(?!\s)[^<>]+(?<!\s)")
_EMAIL: Final = re.compile(r"[^\s<>]+")

_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?")


@dataclass(frozen=True)
class PinnedFile:
    """One file that holds the pin."""

    #: Relative to the root of the repository.
    path: str
    #: How the version is found in it: a marker comment, a declared place, a resource name.
    locate: Locate = "marker"
    #: The declared place, for ``locate: path``.
    pointer: str = ""

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError("path: expected a path relative to the root of the repository")
        if bool(self.pointer) != (self.locate == "path"):
            raise ValueError("pointer: belongs to locate: path, and to nothing else")


@dataclass(frozen=True)
class AppAuth:
    """A GitHub App."""

    #: Number of the App.
    app_id: int
    #: Number of its installation in the organisation.
    installation_id: int
    #: Name of the secret version with the App's private key.
    private_key: str

    def __post_init__(self) -> None:
        _check_version("private_key", self.private_key)


@dataclass(frozen=True)
class Auth:
    """What opens the repository: one of the three; nothing for a repository open to all."""

    #: A GitHub App.
    app: AppAuth | None = None
    #: Name of the secret version with the token.
    token: str = ""
    #: Name of the secret version with the private key for SSH.
    ssh_key: str = ""
    #: The host keys that are believed, as lines of a ``known_hosts`` file.
    known_hosts: Lines = ""
    #: The user beside the token or the key, where it is not in the URL.
    username: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.app, self.token, self.ssh_key))) > 1:
            raise ValueError("expected one of app, token and ssh_key")
        if self.ssh_key and not self.known_hosts:
            raise ValueError("known_hosts: missing; without it the server could be anybody")
        for name in ("token", "ssh_key"):
            if getattr(self, name):
                _check_version(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class GitTarget(TargetSettings):
    """A repository that may be changed, and where."""

    #: What kind of host the repository is on; `git` is any other.
    host: HostKind
    #: ``https://HOST/OWNER/NAME``, ``ssh://git@HOST/PATH`` or ``git@HOST:PATH``.
    url: str
    #: Branches that may be changed; ``*`` stands for any characters but a slash.
    branches: tuple[str, ...] = ("main",)
    #: Files that may be changed, relative to the root; ``**`` stands for any folders.
    paths: tuple[str, ...] = ()
    #: Declared places that may be changed, for ``locate: path``; ``*`` and ``**`` as in paths.
    pointers: tuple[str, ...] = ()
    #: What opens the repository.
    auth: Auth = Auth()
    #: Address of the API where it does not follow from the URL; at the same host.
    api: str = ""
    #: Author of the commits.
    author_name: str = "rotation"
    #: Mail address of that author.
    author_email: str = "rotation@localhost"
    #: How long one call may take.
    answer_within: timedelta = timedelta(seconds=20)

    def __post_init__(self) -> None:
        if not _checked_address("url", self.url).path:
            raise ValueError("url: names a host, and no repository on it")
        if self.api:
            api = _checked_address("api", self.api)
            if not is_own(api, Location.parse(self.url)):
                raise ValueError(
                    "api: belongs to another host than url; the credential is sent to url's only"
                )
        for name, known in (("author_name", _AUTHOR), ("author_email", _EMAIL)):
            _check_author(name, getattr(self, name), known)

    def reaches(self) -> str:
        """Say which repository, and what opens it."""
        app = self.auth.app.private_key if self.auth.app else ""
        key = self.auth.token or self.auth.ssh_key or app
        address = _checked_address("url", self.url)
        return f"{address.host}/{address.path}" + (f" with {key}" if key else "")


@dataclass(frozen=True, kw_only=True)
class GitSettings(GitTarget):
    """One repository, one branch, and the files whose pins move together."""

    #: The branch that consumers follow.
    base: str = "main"
    #: The file, where it is one; ``files`` where there are several.
    path: str = ""
    #: How the version is found in ``path``: a marker comment, a declared place, a resource name.
    locate: Locate = "marker"
    #: The declared place, for ``locate: path``.
    pointer: str = ""
    #: The files, where there are several.
    files: tuple[PinnedFile, ...] = ()
    #: How a request is merged.
    merge_method: MergeMethod = "any"
    #: Open the request as a draft; it is taken out of draft when its stage's turn comes.
    draft: bool = True
    #: Let the host merge by itself as soon as its rules allow.
    auto_merge: bool = False
    #: Which checks must have passed before a request is merged.
    checks: Checks = "required"

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.path) == bool(self.files):
            raise ValueError("expected either path or files")
        if len({file.path for file in self.files}) < len(self.files):
            raise ValueError("files: a path is named twice; its pins of one secret move together")
        if not _BRANCH.fullmatch(self.base):
            raise ValueError("base: expected the name of a branch, for example main")
        # Checked by making them: the same rules hold for the short form.
        _ = self.pinned

    def refusals(self) -> Iterator[Refusal]:
        """Yield the branch and the files that the target does not let a policy change."""
        if not fits_one(self.branches, self.base):
            yield Refusal("branches", f"the branch {self.base!r} may not be changed")
        for file in self.pinned:
            if not fits_one(self.paths, file.path):
                yield Refusal("paths", f"the file {file.path!r} may not be changed")
            if file.locate == "path" and not fits_one(self.pointers, file.pointer):
                yield Refusal("pointers", f"the place {file.pointer!r} may not be changed")

    @property
    def pinned(self) -> tuple[PinnedFile, ...]:
        """The files, however they were written."""
        return self.files or (PinnedFile(self.path, self.locate, self.pointer),)


def _check_author(name: str, text: str, known: re.Pattern[str]) -> None:
    """Refuse what would end its part of the commit's ``author`` line."""
    if first_hidden(text) or not known.fullmatch(text):
        raise ValueError(
            f"{name}: expected one line without < and >, for example rotation@acme.example"
        )


def _check_version(name: str, version: str) -> None:
    if not VersionName.is_name(version):
        raise ValueError(f"{name}: expected projects/PROJECT/secrets/SECRET/versions/VERSION")


def _checked_address(name: str, url: str) -> Location:
    try:
        location = Location.parse(url)
    except PermanentError as error:
        raise ValueError(f"{name}: {error}") from None
    if location.scheme == "http" and not _LOOPBACK.fullmatch(location.host):
        raise ValueError(f"{name}: expected https://; a token must not travel in the clear")
    return location

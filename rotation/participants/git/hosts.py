"""Picks the host of a repository; each host's module is imported only when it is used."""

import importlib
from collections.abc import Mapping
from typing import Final, Literal, cast

from rotation.model.errors import PermanentError
from rotation.participants.git.host import Host
from rotation.participants.git.repository import Repository

HostKind = Literal["github", "gitlab", "gitea", "git"]

_HOSTS: Final[Mapping[HostKind, tuple[str, str]]] = {
    "github": ("rotation.participants.git.github", "GitHub"),
    "gitlab": ("rotation.participants.git.gitlab", "GitLab"),
    "gitea": ("rotation.participants.git.gitea", "Gitea"),
    "git": ("rotation.participants.git.plain", "PlainGit"),
}


def open_host(kind: HostKind, repository: Repository) -> Host:
    """Return the host; nothing is asked of it yet.

    Raises:
        PermanentError: A library that it needs is not installed.
    """
    module, name = _HOSTS[kind]
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise PermanentError(
            f"repositories of host {kind} need the library {missing.name}, which is not installed",
            remedy="install rotation[git], or its libraries, where the function runs",
            reason="library-missing",
        ) from None
    return cast("Host", getattr(loaded, name)(repository))

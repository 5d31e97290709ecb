"""Picks the host of a repository; each host's module is imported only when it is used."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Final, Literal, cast

from rotation.model.errors import PermanentError
from rotation.participants.git.host import Host
from rotation.participants.git.repository import Repository

HostKind = Literal["github", "gitlab", "gitea", "git"]

#: Module, class, and the library of the extra ``git`` that it cannot do without, if any.
_HOSTS: Final[Mapping[HostKind, tuple[str, str, str]]] = {
    "github": ("rotation.participants.git.github", "GitHub", ""),
    "gitlab": ("rotation.participants.git.gitlab", "GitLab", "dulwich"),
    "gitea": ("rotation.participants.git.gitea", "Gitea", "dulwich"),
    "git": ("rotation.participants.git.plain", "PlainGit", "dulwich"),
}


def open_host(kind: HostKind, repository: Repository) -> Host:
    """Return the host; nothing is asked of it yet.

    Raises:
        PermanentError: A library is not installed.
    """
    module, name, library = _HOSTS[kind]
    if library and importlib.util.find_spec(library) is None:
        raise PermanentError(
            f"pins at a host of the kind {kind} need {library}, which is not installed",
            remedy="install rotation[git]; for the function, add it to requirements.txt",
            reason="library-missing",
        )
    return cast("Host", getattr(importlib.import_module(module), name)(repository))

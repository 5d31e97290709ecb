"""Looks where the secrets of a campaign stand, with as few reads as possible.

1. A list answers for a thousand secrets with one read; reading each would use up the quota that
   the function needs.
2. What has not changed is not read again: the ETag shows it.
3. A filter may stop matching while secrets move; then the whole project is listed, and what a
   list does not show is read by its name.
"""

from collections.abc import Collection, Mapping
from typing import Final

from rotation.cli.views.context import Context
from rotation.engine.snapshot import Snapshot
from rotation.model.names import SecretName
from rotation.model.secret import Secret

#: So few are read by name.
_FEW: Final = 3
#: Secrets that one read of a list answers for.
_PAGE: Final = 1000


class Looker:
    """Knows the latest of every secret that was looked at."""

    def __init__(self, context: Context, matching: str) -> None:
        self._context = context
        self._matching = matching
        self._known: dict[str, Snapshot] = {}
        #: Reads that the last look took.
        self.reads = 1

    def look(self, wanted: Collection[SecretName]) -> Mapping[str, Snapshot]:
        """Return where the wanted secrets stand now.

        Raises:
            TemporaryError: Nothing could be read.
        """
        names = {str(name): name for name in wanted}
        self.reads = 0
        found: dict[str, Secret] = {}
        if len(names) > _FEW:
            found = self._listed(self._matching)
            if self._matching and not names.keys() <= found.keys():
                self._matching = ""
                found = self._listed("")
        for text in names.keys() - found.keys():
            found[text] = self._context.store.get(names[text])
            self.reads += 1
        return {text: self._read(text, found[text]) for text in names}

    def _listed(self, matching: str) -> dict[str, Secret]:
        listed = {str(secret.name): secret for secret in self._context.store.list(matching)}
        self.reads += len(listed) // _PAGE + 1
        return listed

    def _read(self, name: str, secret: Secret) -> Snapshot:
        known = self._known.get(name)
        if known is None or known.secret.etag != secret.etag:
            known = self._known[name] = self._context.snapshot(secret)
        return known

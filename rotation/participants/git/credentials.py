"""Reads the credential of a repository from Secret Manager, when it is needed.

Rules of this module:
  1. Read at every call: a host that was refused gets the newest version.
  2. Nothing read here is ever part of a message.
"""

from collections.abc import Callable

from rotation.model.errors import PermanentError
from rotation.participants.git.repository import AppKey, Credential, SshKey, Token
from rotation.participants.git.settings import GitSettings


class Credentials:
    """Returns the credential that the settings name."""

    def __init__(self, settings: GitSettings, read_secret: Callable[[str], bytes]) -> None:
        self._auth = settings.auth
        self._read = read_secret

    def __call__(self) -> Credential | None:
        """Read it; None where the settings name none."""
        auth = self._auth
        if auth.app is not None:
            key = self._read(auth.app.private_key)
            return AppKey(auth.app.app_id, auth.app.installation_id, key)
        if auth.token:
            return Token(_line(auth.token, self._read(auth.token)), auth.username)
        if auth.ssh_key:
            return SshKey(auth.username, self._read(auth.ssh_key), auth.known_hosts)
        return None


def _line(version: str, secret: bytes) -> str:
    """Return a token as text; a final newline comes from editors and ``echo``."""
    text = secret.strip()
    if not text.isascii() or not text or any(byte <= ord(" ") for byte in text):
        raise PermanentError(
            f"{version} does not hold a token",
            remedy="store the token alone: one line of printable characters",
            reason="bad-token",
        )
    return text.decode("ascii")

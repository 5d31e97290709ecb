"""Repositories on GitHub, in the cloud or on a server of one's own."""

from rotation.participants.git.github.host import GitHub

__all__ = ["GitHub"]

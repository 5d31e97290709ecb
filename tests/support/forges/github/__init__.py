"""A stand-in for GitHub, served over HTTP on the loopback, with real Git objects underneath.

It knows what a version pin needs, keeps GitHub's rules about it, and fails when a test wants it.
That it is like GitHub is not our word alone: its answers are validated against GitHub's published
descriptions, and PyGithub, a client that nobody here wrote, works against it.
"""

from tests.support.forges.github.forge import Forge
from tests.support.forges.github.server import Server

__all__ = ["Forge", "Server"]

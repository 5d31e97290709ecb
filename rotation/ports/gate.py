"""What a check must offer that a rollout waits for.

Rules for gates:
  1. Looking changes nothing, and may be repeated at any time by any process; nothing is remembered
     between two looks, except outside.
  2. A gate that cannot see (no rights, no data, old data, unreachable) waits and says why.  It
     never passes, and it never fails: only what was observed can fail.  Where possible it proves
     that it can see, with a positive control.
  3. A look takes seconds at most; every call outside has a timeout.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from rotation.model.plugin import GateSpec
from rotation.model.rollout import Verdict, Watch


class GateEnvironment(Struct, frozen=True):
    """What a gate may ask its environment for.  Each may raise a `RotationError`."""

    #: Bytes of a version by its full name (``projects/P/secrets/S/versions/V``), for tokens.
    read_secret: Callable[[str], bytes]
    #: An OAuth access token of the process's own identity.
    access_token: Callable[[], str]
    #: An OpenID token of the process's own identity, for an audience (a URL).
    identity_token: Callable[[str], str]
    #: Project number of a project id, where it is known; to tell whether two names are one secret.
    project_number: Callable[[str], str | None] = lambda _project: None


class Gate(Protocol):
    """A check the rollout waits for."""

    spec: ClassVar[GateSpec]

    def __init__(self, settings: Any, environment: GateEnvironment) -> None: ...  # noqa: ANN401

    def check(self, watch: Watch) -> Verdict:
        """Look now.  What goes wrong while looking is `Verdict.wait` with the reason."""

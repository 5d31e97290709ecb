"""What the effects of a phase work with: the hold on the secret, the plugins, and the payload.

It decides and writes nothing itself: the guarded write is `hold`'s, versions are changed by
`version_writes`, aliases by `pointers`.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from rotation.engine import codec
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.hold import Hold
from rotation.engine.participants import Outside, Participants
from rotation.engine.parts import Tools
from rotation.engine.pointers import Pointers
from rotation.engine.version_writes import VersionWrites
from rotation.model.errors import PermanentError
from rotation.model.payload import Payload
from rotation.model.plugin import Capabilities
from rotation.model.policy import Policy
from rotation.model.rotation import State
from rotation.model.secret import Secret
from rotation.ports.issuer import Issuer
from rotation.ports.secrets import SecretStore


class Run:
    """A stretch of work on one secret."""

    def __init__(
        self,
        tools: Tools,
        secret: Secret,
        state: State,
        policy: Policy,
        issuer: Issuer,
        participants: Participants,
    ) -> None:
        self._tools = tools
        self.policy = policy
        self.issuer = issuer
        self.participants = participants
        self.pointers = Pointers(policy, participants)
        self.hold = Hold(tools, secret, state, self.pointers.observed)
        self.versions = VersionWrites(tools, self.hold)
        #: Payload of the version in force; set by whoever read it.
        self.payload: Payload | None = None
        #: Payload that this tick has seen log in, after whatever it did before.
        self.proven: Payload | None = None
        #: True until the first effect of a rotation that this tick started.
        self.fresh = False
        #: Version this worker added and does not know to be stored as official yet.
        self.added: int | None = None

    @property
    def secret(self) -> Secret:
        """The secret as read, or written, last."""
        return self.hold.secret

    @property
    def state(self) -> State:
        """Its state."""
        return self.hold.state

    @property
    def store(self) -> SecretStore:
        """The secret store."""
        return self._tools.store

    @property
    def now(self) -> datetime:
        """The time."""
        return self._tools.clock.now()

    @property
    def token(self) -> int:
        """The fencing token of this hold."""
        return self.state.token

    @property
    def policy_digest(self) -> str:
        """SHA-256 of the policy's text."""
        return sha256(self.secret.annotations.get(codec.POLICY, "").encode()).hexdigest()

    @property
    def working(self) -> Payload:
        """The payload in force.

        Raises:
            PermanentError: There is none.
        """
        if self.payload is None:
            raise PermanentError("the version in force has no payload", reason="payload-unreadable")
        return self.payload

    @property
    def can(self) -> Capabilities:
        """What the issuer can."""
        return self.issuer.spec.capabilities

    @property
    def next_handle(self) -> str:
        """The handle of *next*; to be asked for where *previous* is in force."""
        record = self.state.in_flight
        return record.handle or self.issuer.next_handle(self.payload, record.id)

    @property
    def previous_handle(self) -> str:
        """The handle of *previous*.

        Raises:
            PermanentError: There is none.
        """
        handle = self.state.in_flight.previous_handle
        if not handle:
            raise PermanentError("there is no previous credential", reason="state-invalid")
        return handle

    @property
    def is_signed(self) -> bool:
        """Whether the record is known to be this deployment's."""
        return self._tools.keys is not None

    def reach(self, point: CrashPoint) -> None:
        """Pass a crash point."""
        self._tools.reach(point)

    def check_pointer(self) -> None:
        """Make sure that consumers are pointed where this phase believes they are.

        Raises:
            PermanentError: Somebody moved the pointer by hand.
        """
        self.pointers.check(self.secret, self.state)

    def handed_outside(self) -> Sequence[Outside]:
        """Return the outside participants that were asked to hand *next* out."""
        return self.participants.handed_outside(self.state.in_flight.stage)

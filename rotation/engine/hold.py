"""One worker's hold on one secret: what it read last, and the guarded write.

Rules of this module:
  1. Every write is a compare-and-set under the ETag of the last read.
  2. A lost race is read again: while the token is still ours the change is decided again on top
     of what others wrote; otherwise the hold is over (`SupersededError`).
  3. A read that shows an older token than ours is stale, not news.
"""

from collections.abc import Callable

from rotation.engine import codec, sealed
from rotation.engine.parts import Tools
from rotation.model.errors import EtagMismatchError, RotationError, TemporaryError
from rotation.model.rotation import State
from rotation.model.secret import Secret
from rotation.ports.secrets import SecretStore

#: How often a lost race, or a stale read, is tried again within one tick.
TRIES = 6

#: First wait before reading again; doubled each time.
PAUSE = 0.05


class SupersededError(RotationError):
    """Another worker has taken over; this one stops and leaves everything to it."""

    reason = "superseded"


class Hold:
    """The secret and its state as read, or written, last."""

    def __init__(
        self, tools: Tools, secret: Secret, state: State, pointed: Callable[[Secret], int | None]
    ) -> None:
        """Set up; nothing is held before `take`.

        Args:
            tools: What every tick works with.
            secret: As read.
            state: What it says.
            pointed: Returns the version that consumers get, where a participant knows.
        """
        self._tools = tools
        self._pointed = pointed
        self.secret = secret
        self.state = state
        #: The claim is stored: from here on errors are the holder's.
        self.is_taken = False

    def take(self, claimed: State) -> None:
        """Store the claim.

        Raises:
            EtagMismatchError: Somebody else wrote; nothing is held.
        """
        self.write(claimed)
        self.is_taken = True

    def write(self, state: State) -> None:
        """Store ``state`` under the ETag last read.

        Raises:
            EtagMismatchError: Somebody else wrote.
        """
        maps = sealed.encode(state, self.secret, self._tools.keys)
        self.secret = store_maps(self._tools.store, self.secret, maps)
        self.state = state

    def rewrite(self, change: Callable[[State], State]) -> None:
        """Store ``change(state)``, deciding it again on top of whatever others wrote.

        Raises:
            SupersededError: Another worker has taken over.
        """
        for attempt in range(TRIES):
            try:
                return self.write(change(self.state))
            except EtagMismatchError:
                self.reload(attempt)
        raise TemporaryError(f"{self.secret.name} is being written to all the time")

    def reload(self, attempt: int = 0) -> None:
        """Read again, and make sure the hold is still ours.

        Raises:
            SupersededError: Another worker has taken over.
            NotOursError: Somebody else has changed the record.
        """
        mine, phase = self.state.token, self.state.phase
        for again in range(attempt, attempt + TRIES):
            secret = self._tools.store.get(self.secret.name)
            state = sealed.decode(secret, self._pointed(secret), self._tools.keys)
            if state.token > mine or (state.token == mine and state.phase is not phase):
                raise SupersededError(f"token {mine} was followed by {state.token}")
            if state.token == mine:
                self.secret, self.state = secret, state
                return
            self._tools.pause(PAUSE * 2**again)
        raise TemporaryError(f"reads of {self.secret.name} are stale")

    def check(self) -> None:
        """Stop when the lease is over: another worker may be at it.

        Raises:
            SupersededError: It is.
        """
        ends = self.state.lease_until
        if ends is None or self._tools.clock.now() >= ends:
            raise SupersededError(f"the lease of token {self.state.token} is over")


def store_maps(store: SecretStore, secret: Secret, maps: codec.Maps) -> Secret:
    """Write the three maps of a secret under its ETag, and return it as it is then.

    Raises:
        EtagMismatchError: Somebody else wrote.
    """
    return store.update(
        secret, labels=maps.labels, annotations=maps.annotations, aliases=maps.aliases
    )

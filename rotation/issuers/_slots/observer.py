"""See and end sessions, on every node, without believing a zero from a blind observer.

Rules of this module:
  1. A list counts only when a session planted at the same time was seen in full.
  2. Sessions of our own are left out.
  3. Ended means gone: what was told to end is looked for again.
"""

from contextlib import closing
from typing import Generic

from rotation.issuers._slots.admin import Admin
from rotation.issuers._slots.nodes import await_position
from rotation.issuers._slots.slot import foreign_sessions
from rotation.issuers._slots.target import Connection, Target
from rotation.kit.net.node import Node
from rotation.model.errors import CredentialRefusedError, RotationError, TemporaryError
from rotation.model.password import Password
from rotation.model.plugin import Observation, Session

#: Milliseconds to wait for each session; first none, so that all are told before one is waited for.
PASSES = (0, 500, 1000, 2000, 2000)


class Observer(Generic[Connection]):
    """Looks at one node after another through the rotator's login."""

    def __init__(self, target: Target[Connection], admin: Admin[Connection]) -> None:
        self._target = target
        self._admin = admin

    def observe(self, slot: str, witness: str, password: Password | None) -> Observation:
        """Look on every node who is on ``slot``, while ``witness`` is planted there."""
        sessions: list[Session] = []
        blind: list[str] = []
        for node in self._target.nodes:
            found, reason = self._look(node, slot, witness, password)
            sessions += found
            blind += [reason] if reason else []
        return Observation(
            sessions=tuple(sessions),
            is_conclusive=not blind,
            nodes=tuple(map(str, self._target.nodes)),
            unobservable_reason="; ".join(blind),
        )

    def on_replicas(self, slot: str) -> list[Session]:
        """Return the sessions on ``slot`` that no look at the first node can show."""
        sessions = []
        for node in self._target.nodes[1:]:
            with closing(self._admin.on(node)) as connection:
                sessions += foreign_sessions(self._target.sessions(connection, [slot]), slot, node)
        return sessions

    def end_everywhere(self, slot: str, position: str | None) -> int:
        """End every session on ``slot``; return how many there were.

        A replica ends them once more when it knows, by ``position``, that the slot is closed.  One
        that fails does not keep the others waiting; its error is raised at the end.
        """
        with self._admin.primary(lambda connection: self._end(connection, slot)) as (_, ended):
            pass
        failure: RotationError | None = None
        for node in self._target.nodes[1:]:
            try:
                ended += self._end_on(node, slot)
                if position is not None:
                    await_position(self._target, self._admin, node, position)
                    ended += self._end_on(node, slot)
            except RotationError as error:
                failure = error
        if failure is not None:
            raise failure
        return ended

    def _end_on(self, node: Node, slot: str) -> int:
        with closing(self._admin.on(node)) as connection:
            return self._end(connection, slot)

    def _end(self, connection: Connection, slot: str) -> int:
        ended: set[object] = set()
        for wait in PASSES:
            found = self._target.end_sessions(connection, slot, wait)
            if not found:
                return len(ended)
            ended |= set(found)
        raise TemporaryError(f"sessions of {slot} do not end", reason="sessions-remain")

    def _look(
        self, node: Node, slot: str, witness: str, password: Password | None
    ) -> tuple[list[Session], str]:
        with closing(self._admin.on(node)) as connection:
            if password is None:
                shown = self._target.sessions(connection, [slot])
                return foreign_sessions(shown, slot, node), f"no session is planted on {node}"
            try:
                with self._target.plant(node, witness, password) as planted:
                    shown = self._target.sessions(connection, [slot, witness])
            except CredentialRefusedError:
                shown = self._target.sessions(connection, [slot])
                return (
                    foreign_sessions(shown, slot, node),
                    f"{node} refuses the login of the witness",
                )
        if any(session.id == planted and session.in_full for session in shown):
            return foreign_sessions(shown, slot, node), ""
        return (
            foreign_sessions(shown, slot, node),
            f"{node} does not show the planted session to the rotator in full",
        )

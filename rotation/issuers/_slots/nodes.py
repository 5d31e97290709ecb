"""Prove a login on every node, and wait until a replica knows what was changed.

Rules of this module:
  1. A replica that does not know the change yet refuses the new credential, and that proves
     nothing: only a refusal after it has caught up counts.
"""

import time
from contextlib import closing

from msgspec.structs import replace

from rotation.issuers._slots.admin import Admin
from rotation.issuers._slots.target import Connection, Target
from rotation.kit import deadline
from rotation.kit.net.node import Node
from rotation.model.errors import CredentialRefusedError, TemporaryError
from rotation.model.password import Password
from rotation.model.plugin import Verification

#: Seconds between two looks at how far a replica is.
PAUSE = 0.1


def accepts(target: Target[Connection], slot: str, password: Password) -> bool:
    """Whether the slot can log in with the password where changes are made."""
    try:
        target.check_login(target.nodes[0], slot, password)
    except CredentialRefusedError:
        return False
    return True


def prove_everywhere(
    target: Target[Connection],
    admin: Admin[Connection],
    login: tuple[str, Password],
    position: str | None,
) -> Verification:
    """Log in to every node and prove identity and rights.

    Args:
        target: The system.
        admin: How to ask a replica how far it is.
        login: Slot and password.
        position: How far a replica must be to know the login; None: it is found out if need be.
    """
    first, *replicas = target.nodes
    proved = target.prove(first, *login)
    for node in replicas:
        try:
            target.prove(node, *login)
        except CredentialRefusedError:
            await_position(target, admin, node, position or _position_now(target, admin))
            target.prove(node, *login)
    return replace(proved, nodes=tuple(map(str, target.nodes)))


def await_position(
    target: Target[Connection], admin: Admin[Connection], node: Node, position: str
) -> None:
    """Wait until ``node`` knows every change up to ``position``.

    Raises:
        TemporaryError: Not within the target's ``replica_timeout``.
    """
    ends = time.monotonic() + deadline.left(target.replica_timeout)
    with closing(admin.on(node)) as connection:
        while not target.has_reached(connection, position):
            if time.monotonic() >= ends:
                raise TemporaryError(
                    f"{node} has not replayed up to {position}", reason="replica-behind"
                )
            time.sleep(PAUSE)


def _position_now(target: Target[Connection], admin: Admin[Connection]) -> str:
    with admin.primary(target.position) as (_, position):
        return position

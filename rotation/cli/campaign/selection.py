"""Decides which of the secrets found take part in a campaign, and tells the others apart.

1. Everybody who matched is accounted for: asked, followed, or left out with the reason.
2. It reads what the worker reads, and changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Never

from rotation.cli.campaign.kind import Kind
from rotation.cli.campaign.logbook import Target
from rotation.cli.views.context import Context
from rotation.engine.codec import is_managed
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import PermanentError
from rotation.model.policy import NotKnownHere
from rotation.model.secret import Secret
from rotation.ports.issuer import IssuerEnvironment, Located

#: Why a secret takes no part although nothing is wrong with it.
NOT_MANAGED: Final = "not managed: it has no policy"


@dataclass(frozen=True)
class Selection:
    """Who takes part."""

    snapshots: tuple[Snapshot, ...]
    targets: tuple[Target, ...]
    #: Those of the above that something under way serves already: followed, not asked.
    followed: tuple[str, ...]
    #: Those of the above that are blocked, and tried all the same.
    blocked: tuple[str, ...]
    #: Why others take no part, by name.
    left_out: Mapping[str, str]


def select(context: Context, secrets: Iterable[Secret], kind: Kind) -> Selection:
    """Tell the secrets apart."""
    left_out: dict[str, str] = {}
    taken: list[tuple[Snapshot, Target]] = []
    for secret in secrets:
        if not is_managed(secret):
            left_out[str(secret.name)] = NOT_MANAGED
            continue
        snapshot = context.snapshot(secret)
        try:
            snapshot.check()
            kind.refuse(snapshot)
            target = Target(secret, context.topic_for(kind.ask, secret), place(context, snapshot))
        except PermanentError as error:
            left_out[str(secret.name)] = str(error)
        else:
            taken.append((snapshot, target))
    snapshots = tuple(snapshot for snapshot, _ in taken)
    return Selection(
        snapshots,
        tuple(target for _, target in taken),
        tuple(snapshot.short for snapshot in snapshots if kind.serving(snapshot)),
        tuple(snapshot.short for snapshot in snapshots if snapshot.block),
        left_out,
    )


def place(context: Context, snapshot: Snapshot) -> str:
    """Return what a secret shares connections with; its own name where the issuer cannot tell.

    Where no targets document is at hand, it is the target's name.
    """
    policy = snapshot.policy
    if policy is None:
        return str(snapshot.secret.name)
    if isinstance(policy.issuer.settings, NotKnownHere):
        return policy.issuer.target
    issuer = context.issuers[policy.issuer.kind](policy.issuer.settings, _NOWHERE)
    location = issuer.location() if isinstance(issuer, Located) else ""
    return location or str(snapshot.secret.name)


def _refuse(*_: str) -> Never:
    raise PermanentError("an issuer asked for a payload only to say where it is")


#: Environment of an issuer that is not going to be connected.
_NOWHERE: Final = IssuerEnvironment(_refuse, _refuse)

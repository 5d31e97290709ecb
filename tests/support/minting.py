"""Asks an issuer to mint, in one line; says what an issuer of two slots can."""

from rotation.model.payload import Payload
from rotation.model.plugin import Capabilities, Fence, MadeBy
from rotation.ports.issuer import MintRequest

TWO_SLOTS = Capabilities(
    overlap=True, fence=Fence.TARGET, made_by=MadeBy.OURS, suspends=True, sees_use=True
)


def minting(
    handle: str, candidate: Payload, token: int, version: int, current: Payload | None = None
) -> MintRequest:
    """Return what is asked of `rotation.ports.issuer.Issuer.mint`."""
    return MintRequest(
        handle=handle,
        rotation_id=f"r{token}",
        token=token,
        version=version,
        current=current,
        candidate=candidate,
    )

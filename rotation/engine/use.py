"""Looks who uses a credential, as far as its issuer can show that."""

from rotation.model.payload import Payload
from rotation.model.plugin import Observation
from rotation.ports.issuer import Issuer, SeesUse


def look_at_use(issuer: Issuer, handle: str, witness: Payload) -> Observation:
    """Return who uses the credential; where the issuer cannot show it, an answer that says so."""
    if isinstance(issuer, SeesUse):
        return issuer.observe(handle, witness)
    why = f"the issuer {issuer.spec.name} cannot show who uses a credential"
    return Observation((), is_conclusive=False, nodes=(), unobservable_reason=why)

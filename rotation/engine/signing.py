"""Signs receipts with the deployment's key, once each, as they are stored for the first time.

Rules of this module:
  1. What was signed is never signed again: the check for orphans changes what is not covered.
  2. Without keys nothing is signed.
"""

from base64 import b64encode

from msgspec.structs import replace

from rotation.kit import signatures
from rotation.machine import receipts
from rotation.model.keys import KeyRing
from rotation.model.rotation import Receipt, State


def with_signed_receipt(state: State, before: Receipt | None, keys: KeyRing | None) -> State:
    """Return the state with its receipt signed, where it is another one than ``before``."""
    receipt = state.receipt
    if keys is None or receipt is None or (before is not None and before.id == receipt.id):
        return state
    key = keys.signing
    text = receipts.signed_text(receipt.secret, receipt.sequence, receipts.digest(receipt))
    signature = b64encode(signatures.sign(key.signing_seed, text)).decode()
    return replace(state, receipt=replace(receipt, signature=f"{key.id}:{signature}"))

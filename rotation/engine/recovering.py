"""Looks what is really there, where the record of a rotation was not written by this deployment.

Rules of this module:
  1. It reads and logs in; it changes nothing.  What was found is stored by whoever asked.
  2. What consumers are pointed to has to exist and, but in an emergency, to log in.
  3. Nothing is disabled here: who knows which of the other versions is in use somewhere.
"""

from rotation.engine import versions
from rotation.engine.run import Run
from rotation.engine.sealed import NotOursError
from rotation.engine.versions import Kind
from rotation.machine.recovering import Found
from rotation.model.errors import CredentialRefusedError
from rotation.model.payload import Payload
from rotation.model.rotation import State


def look(run: Run, foreign: State, *, prove: bool) -> Found:
    """Return what is there.

    Args:
        run: Not claimed.
        foreign: What the secret says.
        prove: The credential in force has to log in.

    Raises:
        NotOursError: Nothing says what consumers have, or that does not work.
        PermanentError: It cannot be read.
    """
    name = run.secret.name
    current = run.pointers.observed(run.secret)
    if current is None and foreign.receipt is not None:
        current = foreign.receipt.current
    if current is None:
        raise NotOursError(
            "the record is not ours, and nothing says which version consumers have",
            remedy="point the alias current to it, then unblock",
        )
    payload = run.store.access(name, current).payload
    if prove:
        _prove(run, payload, current)
    beyond = list(versions.beyond(run.store, name, current, "", payload))
    return Found(
        secret=str(name),
        current=current,
        handle=run.issuer.identify(payload),
        digest=payload.digest(),
        highest=max([current, *(found.number for found in beyond)]),
        copies=tuple(found.number for found in beyond if found.kind is Kind.COPY),
        others=tuple(found.number for found in beyond if found.kind not in {Kind.COPY, Kind.GONE}),
    )


def _prove(run: Run, payload: Payload, current: int) -> None:
    try:
        run.issuer.verify(payload)
    except CredentialRefusedError as error:
        raise NotOursError(
            f"the record is not ours, and version {current}, to which consumers are pointed,"
            f" does not log in: {error}",
            remedy="point the alias current to one that does, then unblock; or ask for an"
            " emergency",
        ) from None

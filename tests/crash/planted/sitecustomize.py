"""Plant one fault in a function process, to prove that the chaos would find it.

Python imports this module at start where its folder is on PYTHONPATH; CHAOS_PLANT names the fault.
Nothing in production reads either.

| fault       | what is broken |
|-------------|----------------|
| no-fence    | the token in the database stops nobody |
| no-verify   | a version is published whether or not its credential works |
| no-revoke   | the previous credential is reported as revoked, and is not |
| repeat      | a request that is being served is served once more |
| leak        | each new payload is written to the log |
"""

import os
import sys
from typing import Any


def _no_fence() -> None:
    from rotation.issuers._slots.slot import LockedView

    LockedView.newest_token = property(lambda _: 0)  # type: ignore[assignment, method-assign]


def _no_verify() -> None:
    from rotation.engine import preparing
    from rotation.model.plugin import Verification

    def unverified(run: Any, handle: str) -> Any:
        payload, _ = preparing._mint(run, preparing._request(run, handle))
        return payload, Verification((), "nobody has looked")

    preparing._mint_verified = unverified


def _no_revoke() -> None:
    from rotation.issuers.postgresql.issuer import PostgreSQL

    PostgreSQL.revoke = lambda *_: 0  # type: ignore[method-assign]


def _repeat() -> None:
    from rotation.machine import decide

    routine = decide._routine

    def again(s: Any, request: Any) -> Any:
        in_flight = s.state.record is not None and s.state.record.again is None
        return decide._remember(s, request) if in_flight else routine(s, request)

    decide._REQUESTS = {**decide._REQUESTS, decide.Ask.ROUTINE: again}


def _leak() -> None:
    from rotation.engine import versions

    adding = versions.add_once

    def loud(store: Any, name: Any, payload: Any, last: int) -> int:
        print(payload.reveal(), file=sys.stderr, flush=True)
        return adding(store, name, payload, last)

    versions.add_once = loud


PLANTS = {
    "no-fence": _no_fence,
    "no-verify": _no_verify,
    "no-revoke": _no_revoke,
    "repeat": _repeat,
    "leak": _leak,
}

if plant := os.environ.get("CHAOS_PLANT"):
    PLANTS[plant]()

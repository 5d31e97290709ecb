"""What issuers of several keys of one user say alike of themselves; it does nothing."""

from typing import Final

from rotation.model.permission import FailureMode

FAILURE_MODES: Final = (
    FailureMode(
        "a node does not answer",
        "the others are changed, nothing is published, and the delivery comes again",
    ),
    FailureMode(
        "the record is lost on a node",
        "what would have to tell which password is the old one stops, and says so; the next"
        " rotation writes it again",
    ),
    FailureMode(
        "somebody gives a revoked password back by hand",
        "doctor finds it; to revoke it again takes it away, and ends sessions as an emergency does,"
        " until the next rotation forgets it",
    ),
    FailureMode(
        "a server restarts before a change is saved",
        "it has the old passwords and the old record; the next delivery changes both again",
    ),
)

PAYLOAD: Final = (
    'The payload is one JSON object: `{"username": "app", "password": "...", "host": "...",'
    ' "port": ..., "key_id": "k-...", "key_check": "...", "rotation_id": "..."}`; other keys'
    " are kept, and a URL with the login in it is rewritten. A first credential may lack the"
    " keys of rotation, or be one URL.\n\n"
)
SESSIONS: Final = (
    "Only SHA-256 hashes are sent, never a password except to log in. With two passwords of"
    " one user nothing shows which one a session used: let a `consumers` gate hold the rollout"
    " until all report the new version. When the old password is revoked, sessions that began"
    " before it was suspended are ended, with whichever password; later ones live on. Let"
    " consumers renew their connections more often than `retire.observe` is long, and none is"
    " ended. An emergency, which does not suspend first, ends all sessions of the user."
)

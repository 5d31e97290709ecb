"""What people read in a repository, and how we know our own commits again.

Rules of this module:
  1. Everybody who may read the repository reads this: names, versions and digests only.  Who
     asked and why stays in the journal.
  2. The name of a branch follows from the move and the settings alone, so that a repeat finds it.
  3. A commit is ours when both trailers say so; what it holds is judged elsewhere.
"""

import hashlib
import re
from typing import Final

from rotation.model.plugin import Change
from rotation.model.rollout import Move
from rotation.participants.git.settings import GitSettings

_TRAILER: Final = re.compile(r"^(Rotation-Id|Rotation-Plan): (\S+)$", re.MULTILINE)
_TAG: Final = 8


def branch_name(move: Move, settings: GitSettings) -> str:
    """Name the branch of one move.

    The tag keeps apart what one stage changes in one repository: two secrets, two base branches,
    two sets of files.
    """
    identity = "\0".join((str(move.secret), settings.base, *(f.path for f in settings.pinned)))
    tag = hashlib.sha256(identity.encode()).hexdigest()[:_TAG]
    return f"secret-rotation-{move.rotation_id}-{move.stage}-{tag}"


def title(move: Move, change: Change, *, back: bool) -> str:
    """Title of the request, and first line of the commit."""
    verb = "Revert" if back else "Rotate"
    return f"{verb} {move.secret.secret_id} to version {change.next}"


def message(move: Move, change: Change, digest: str, *, back: bool) -> str:
    """Message of the commit, with the trailers it is known by."""
    return (
        f"{title(move, change, back=back)}\n\n"
        f"{_sentence(move, change)}\n\n"
        f"Rotation-Id: {move.rotation_id}\n"
        f"Rotation-Plan: {digest}\n"
    )


def body(move: Move, change: Change, digest: str, *, back: bool) -> str:
    """Text of the request."""
    what = (
        "The rollout of this version was given up. This takes its pin back; closing it leaves "
        "the pin as it is."
        if back
        else "It is merged by the rotation when the turn of this stage comes. Closing it refuses "
        "the rotation; a commit added to its branch stops it."
    )
    return (
        f"{_sentence(move, change)}\n\n{what}\n\n"
        f"| | |\n|---|---|\n"
        f"| secret | `{move.secret}` |\n"
        f"| version | {_number(change.previous)} → {change.next} |\n"
        f"| stage | `{move.stage}` |\n"
        f"| rotation | `{move.rotation_id}` |\n"
        f"| plan | `{digest}` |\n"
    )


def plan_of(commit_message: str, rotation_id: str) -> str | None:
    """Return the plan digest of a commit of this rotation; None when it is somebody else's."""
    trailers = dict(_TRAILER.findall(commit_message))
    if trailers.get("Rotation-Id") != rotation_id:
        return None
    return trailers.get("Rotation-Plan")


def _sentence(move: Move, change: Change) -> str:
    return (
        f"The pin of {move.secret} moves from version {_number(change.previous)} "
        f"to version {change.next} (stage {move.stage})."
    )


def _number(version: int | None) -> str:
    return "none" if version is None else str(version)

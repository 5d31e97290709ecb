"""What one kind of campaign asks, and how its answers are told apart; plain data."""

from collections.abc import Callable
from dataclasses import dataclass

from rotation.cli.views.asking import Judge
from rotation.engine.snapshot import Snapshot
from rotation.model.wakeup import Ask


def _nothing(_snapshot: Snapshot) -> str | None:
    return None


def _anything(_snapshot: Snapshot) -> None:
    return


@dataclass(frozen=True)
class Kind:
    """One kind of request."""

    ask: Ask
    judge: Judge
    #: Writes of Secret Manager until it is answered.
    writes: int
    #: Words for what is done to a secret, such as "replace and revoke the credential of".
    does: str
    #: Raises `PermanentError` for a secret that is not to be asked.
    refuse: Callable[[Snapshot], None] = _anything
    #: Names a request under way that serves this one, too; then it is followed instead.
    serving: Callable[[Snapshot], str | None] = _nothing
    #: Has a person confirm what it does to one secret, where somebody can type.
    confirm: Callable[[Snapshot], None] = _anything
    #: It is not asked without a reason.
    needs_reason: bool = False
    #: Sessions on the active slots end, so they are looked at before.
    ends_sessions: bool = False

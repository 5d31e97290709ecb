"""What each phase owes: the table a tick reads.

A phase that is missing here owes nothing.
"""

from collections.abc import Callable, Mapping

from rotation.engine import preparing, retiring, rolling
from rotation.engine.outcome import Outcome, Waiting
from rotation.engine.run import Run
from rotation.model.phase import Phase

EFFECTS: Mapping[Phase, Callable[[Run], Outcome | Waiting]] = {
    Phase.PREPARING: preparing.prepare,
    Phase.VOTING: rolling.vote,
    Phase.ROLLING_OUT: rolling.roll_out,
    #: Only where the rollout has gates; otherwise it is passed through.
    Phase.SOAKING: rolling.soak,
    Phase.SUSPENDING: retiring.suspend,
    Phase.OBSERVING: retiring.watch,
    Phase.RESTORING: retiring.restore,
    Phase.REVOKING: retiring.revoke,
    Phase.DESTROYING: retiring.destroy,
    Phase.REVERTING: retiring.revert,
    Phase.WITHDRAWING: rolling.withdraw,
    Phase.ABORTING: retiring.abort,
}

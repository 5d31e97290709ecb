"""A share of the chaos: what `make chaos` plays for long, and proof that it would find faults."""

from collections.abc import Callable, Iterator
from itertools import count, islice

import pytest

from tests.crash import report
from tests.crash.play import Player
from tests.crash.schedule import ASKS, Schedule, Step, schedule
from tests.crash.stage import Stage, need_replica, staged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

#: Seeds of one run; the next share of a run takes the next ones, up to ALL_SEEDS.
SEEDS = 8
ALL_SEEDS = 200
#: Seeds played with a fault planted, until one finds it.
HANDFUL = 16


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    need_replica()
    with staged() as running:
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        share = metafunc.config.getoption("--share")
        first = 1 + share.number % (ALL_SEEDS // SEEDS) * SEEDS
        metafunc.parametrize("seed", range(first, first + SEEDS))


def test_whatever_goes_wrong_nobody_notices_and_everything_ends_well(
    stage: Stage, seed: int
) -> None:
    outcome = Player(stage, schedule(seed)).play()
    assert not outcome.violations, report.failure(outcome)
    assert outcome.figures["logins"]


# Where a fault can show at all: a hole in the fence only where somebody comes late.


def _asks(drawn: Schedule) -> list[Step]:
    return [step for step in drawn.steps if step.action in ASKS]


def _asked_after(drawn: Schedule, fault: Step) -> bool:
    rotating = {"fire", "request", "emergency"}
    return any(
        ask.action in rotating and -0.05 <= ask.moment - fault.moment <= 0.4 for ask in _asks(drawn)
    )


def _has_late_worker(drawn: Schedule) -> bool:
    return drawn.workers > 1 and any(
        step.action == "late"
        and step.arguments["past_lease"]
        and step.arguments["seconds"] > 1
        and _asked_after(drawn, step)
        for step in drawn.steps
    )


def _loses_a_commit(drawn: Schedule) -> bool:
    return any(
        step.kind == "commit lose-commit" and _asked_after(drawn, step) for step in drawn.steps
    )


def _ends_with_an_emergency(drawn: Schedule) -> bool:
    actions = [step.action for step in _asks(drawn)]
    return actions[-1] == "emergency" and "revert" not in actions


def _repeats_a_request(drawn: Schedule) -> bool:
    actions = [step.action for step in _asks(drawn)]
    sent_twice = {"repeat", "duplicate", "lose-acks"} & {step.action for step in drawn.steps}
    return bool(sent_twice) and actions[0] == "request" and not {"emergency", "revert"} & {*actions}


PLANTS = [
    pytest.param("no-fence", _has_late_worker, "login refused", id="no-fence"),
    pytest.param("no-verify", _loses_a_commit, "login refused", id="no-verify"),
    pytest.param("no-revoke", _ends_with_an_emergency, "is not refused", id="no-revoke"),
    pytest.param("repeat", _repeats_a_request, "was served by", id="repeat"),
    pytest.param("leak", bool, "password in the function's log", id="leak"),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("plant", "suits", "words"), PLANTS)
def test_planted_fault_is_found_by_a_handful_of_seeds(
    plant: str, suits: Callable[[Schedule], bool], words: str
) -> None:
    need_replica()
    fitting = filter(suits, map(schedule, count(1)))
    with staged(plant) as stage:
        for drawn in islice(fitting, HANDFUL):
            outcome = Player(stage, drawn).play()
            if any(words in violation for violation in outcome.violations):
                return
            # A plant that no longer fits the code breaks every play, and proves nothing.
            assert not any("gave up" in violation for violation in outcome.violations), (
                outcome.violations
            )
    pytest.fail(f"{HANDFUL} seeds find nothing wrong with {plant}")

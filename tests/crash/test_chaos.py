"""A share of the chaos: what `make chaos` plays for long, and proof that it would find faults."""

from collections.abc import Iterator

import pytest

from tests.crash import report
from tests.crash.play import Player
from tests.crash.schedule import schedule
from tests.crash.stage import Stage, need_replica, staged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Among them: a fail-over, both restarts, emergencies and reverts, one to four processes.
SEEDS = range(1, 9)

#: Planted faults, and from which seed on a handful is played until one finds it.
PLANTS = [
    pytest.param("no-fence", 20, id="no-fence"),
    pytest.param("no-verify", 20, id="no-verify"),
    pytest.param("no-revoke", 1, id="no-revoke"),
    pytest.param("repeat", 1, id="repeat"),
    pytest.param("leak", 1, id="leak"),
]
HANDFUL = 12


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    need_replica()
    with staged() as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_nobody_notices_and_everything_ends_well(
    stage: Stage, seed: int
) -> None:
    outcome = Player(stage, schedule(seed)).play()
    assert not outcome.violations, report.failure(outcome)
    assert outcome.figures["probes"]


@pytest.mark.parametrize(("plant", "first"), PLANTS)
def test_planted_fault_is_found_by_a_handful_of_seeds(plant: str, first: int) -> None:
    need_replica()
    with staged(plant) as stage:
        for seed in range(first, first + HANDFUL):
            if Player(stage, schedule(seed)).play().violations:
                return
    pytest.fail(f"{HANDFUL} seeds find nothing wrong with {plant}")

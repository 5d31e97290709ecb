import os

import pytest

from .conductor import Scenario
from .explore import at_random, find, systematic
from .scenarios import SCENARIOS

#: Random schedules for each scenario; ``ROTATION_SCHEDULES`` asks for more, for a longer hunt.
NUMBER = int(os.environ.get("ROTATION_SCHEDULES", "200"))
SEED = int(os.environ.get("ROTATION_SCHEDULES_SEED", "1"))


def _named(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_named)
def test_no_random_schedule_breaks_a_rule(scenario: Scenario) -> None:
    found, _ = find(scenario, at_random(scenario, SEED, NUMBER, most=5))
    assert found is None, str(found)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=_named)
def test_no_single_deviation_breaks_a_rule(scenario: Scenario) -> None:
    found, tried = find(scenario, systematic(scenario, 1))
    assert found is None, str(found)
    assert tried > 100


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=_named)
def test_no_schedule_of_a_long_hunt_breaks_a_rule(scenario: Scenario) -> None:
    found, _ = find(scenario, at_random(scenario, SEED + 1, 10 * NUMBER, most=4))
    assert found is None, str(found)

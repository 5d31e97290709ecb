import logging

import pytest

from . import rules, scenarios
from .explore import explore
from .mutants import MUTANTS, Mutant

pytestmark = pytest.mark.spread


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.plant.__name__)
def test_what_a_mutant_breaks_is_a_rule(mutant: Mutant) -> None:
    names = [name.replace("_", " ") for name in vars(rules)]
    assert any(name.startswith(mutant.breaks) for name in names)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.plant.__name__)
def test_mutant_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = next(
        candidate for candidate in scenarios.SCENARIOS if candidate.name == mutant.scenario
    )
    scenario.setup()  # the world at the start was made by sound code
    mutant.plant(monkeypatch)
    report = explore(scenario, mutant.bounds)
    assert report.breach is not None, str(report)
    logging.getLogger(__name__).info("%s", report)  # `pytest -o log_cli=1` tells the story
    assert report.breach.broken[0].startswith(mutant.breaks)

"""Stacks are shared by the session, one for each configuration; secrets are each test's own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.acceptance.prober import probing
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import PROJECT, PROJECT_NUMBER, Scene, opened, options
from tests.support.stack.target import Target

_EVIDENCE = Evidence()
_LAST = "test_leaks.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == _LAST)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    sections = [text for _, text in report.sections]
    _EVIDENCE.add_text("test reports", "\n".join([*sections, report.longreprtext]))


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return _EVIDENCE


@pytest.fixture(scope="session")
def scene(evidence: Evidence) -> Iterator[Scene]:
    served = {"ROTATION_PROJECTS": f"{PROJECT},{PROJECT_NUMBER}"}
    with opened(options(function_environment=served), evidence) as running:
        yield running


@pytest.fixture(scope="session")
def pair(evidence: Evidence) -> Iterator[Scene]:
    """Two processes of the function: one can be stopped while the other serves."""
    with opened(options(workers=2), evidence) as running:
        yield running


MakeTarget = Callable[..., Target]


@pytest.fixture
def make_target() -> Iterator[MakeTarget]:
    """Make secrets on a scene; they are gone after the test."""
    made: list[Target] = []

    def make(where: Scene, **more: Any) -> Target:
        made.append(Target(where, **more))
        return made[-1]

    yield make
    for target in made:
        target.scene.controls.clear_failures()
        target.delete()
        target.scene.await_idle()


@pytest.fixture
def target(scene: Scene, make_target: MakeTarget) -> Target:
    """A secret whose first credential is in force."""
    return make_target(scene).start()


@pytest.fixture
def probed(target: Target) -> Iterator[Callable[[], None]]:
    """The same, with a consumer that must never notice anything; call it to let it look."""
    with probing(target) as prober:
        yield prober.beat

"""What holds for every test: how tests are spread over processes, and which share of them runs.

1. Tests of one file stay in one process, beside what they have started.  Files whose tests share
   nothing costly say ``pytestmark = pytest.mark.spread``, and each test goes where there is room.
2. Files whose tests leave evidence are one process: `test_leaks`, their last, searches all of it.
3. What takes longest begins first: what has the longest time-out, then what is slow.
4. A test marked ``exhaustive`` is one of many of its kind.  ``--share K/N`` runs every N-th of
   them, so that N different K run them all; tests without the mark always run.
5. A run in the background of a shell is like one in the foreground.
"""

import signal
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.shares import Share


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share",
        type=Share.parse,
        default=Share(),
        metavar="K/N",
        help="of the tests marked exhaustive, run the K-th of N shares; K may be any number",
    )


def pytest_configure() -> None:
    # A shell lets what it starts in the background ignore Ctrl-C, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups next
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _keep_share(config, items)
    if hasattr(config, "workerinput"):
        _spread(items)


def _keep_share(config: pytest.Config, items: list[pytest.Item]) -> None:
    share = config.getoption("--share")
    left = [
        item
        for item in items
        if item.get_closest_marker("exhaustive") and not share.takes(item.nodeid)
    ]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _spread(items: list[pytest.Item]) -> None:
    long = {item.path for item in items if item.get_closest_marker("slow")}
    searched = {item.path for item in items if "evidence" in getattr(item, "fixturenames", ())}
    patience: dict[Path, float] = defaultdict(float)
    for item in items:
        if (limit := item.get_closest_marker("timeout")) is not None:
            patience[item.path] = max(patience[item.path], limit.args[0])
    items.sort(
        key=lambda item: (item.path not in searched, -patience[item.path], item.path not in long)
    )
    for item in items:
        if item.path in searched:
            item.add_marker(pytest.mark.xdist_group("evidence"))
        elif not item.get_closest_marker("spread"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))

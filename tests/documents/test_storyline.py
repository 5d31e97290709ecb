"""The story: from nothing to a fleet of fifty, by the commands of the pages and nothing else.

One reader follows the README, and then every page of ``deploy/docs``, on a stack of the reader's
own.  Before some headings something goes wrong (`misfortunes`); after some, the test looks whether
the page has kept its promise (`promises`).  Nothing else is done behind the reader's back.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.documents import misfortunes, promises
from tests.documents.blocks import DOCS, README, Block, blocks, pages
from tests.documents.terminal import Terminal
from tests.documents.world import World

#: The two readers need nothing of each other.
pytestmark = pytest.mark.spread

#: In the order in which a newcomer reads them; what is not named has no commands.
STORY = [
    README,
    DOCS / "README.md",
    DOCS / "first-deployment.md",
    DOCS / "daily-life.md",
    *(
        DOCS / "runbooks" / f"{name}.md"
        for name in ("blocked", "overdue", "failing", "drift", "emergency", "too-old")
    ),
    DOCS / "roll-back.md",
    DOCS / "upgrade.md",
    DOCS / "managed-rotation.md",
    DOCS / "break-glass.md",
    DOCS / "runbooks" / "dead-letter.md",
    DOCS / "removal.md",
]
#: Blocks that another test runs: the page's heading, and that test's file.
ELSEWHERE = {
    ("README.md", "see-it-work"): "acceptance/test_demo.py",
    ("deploy/docs/daily-life.md", "practise-an-emergency"): "acceptance/test_drill_command.py",
    ("deploy/docs/pins.md", "in-a-minute"): "unit/cli/test_pin.py",
}


#: What a promise that was not kept, or a look at something unexpected, raises.
_WRONG = (
    *(AssertionError, LookupError, TypeError, ValueError),
    *(psycopg.Error, httpx.HTTPError),
)


def shell_blocks() -> Iterator[Block]:
    for path in STORY:
        yield from (block for block in blocks(path) if block.language in {"sh", "sql"})


def test_the_story_leaves_no_page_with_commands_out() -> None:
    left = [block for path in pages() if path not in STORY for block in blocks(path)]
    assert [
        block.place for block in left if block.language in {"sh", "sql"} and not _elsewhere(block)
    ] == []


def test_what_another_test_runs_is_named() -> None:
    tests = Path(__file__).parent.parent
    named = [block for path in pages() for block in blocks(path) if "elsewhere" in block.words]
    assert {(block.page, block.heading) for block in named} == ELSEWHERE.keys()
    assert [name for name in ELSEWHERE.values() if not (tests / name).exists()] == []


def test_every_misfortune_and_promise_has_its_heading() -> None:
    headings = {(block.page, block.heading) for block in shell_blocks()}
    assert misfortunes.BEFORE.keys() - headings == set()
    assert promises.AFTER.keys() - headings == set()


def _elsewhere(block: Block) -> bool:
    return "elsewhere" in block.words


@pytest.fixture(params=["stand-in", pytest.param("gcloud", marks=pytest.mark.gcloud)])
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    if request.param == "gcloud" and shutil.which("gcloud") is None:
        pytest.skip("there is no gcloud on this machine")
    folder = Path(tempfile.mkdtemp(prefix="rotation-documents-"))
    folder.chmod(0o755)
    made = Terminal(folder, own_gcloud=request.param == "gcloud")
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(1400)
def test_the_pages_lead_from_nothing_to_a_fleet_and_back_to_nothing(terminal: Terminal) -> None:
    world = World(terminal)
    began = time.monotonic()
    is_shown, failed = "DOCUMENTS_TELL" in os.environ, list[str]()
    with misfortunes.clients() as clients:
        story = list(shell_blocks())
        for block, following in zip(story, [*story[1:], None], strict=True):
            before = (block.page, block.heading)
            if _is_first(story, block) and (happen := misfortunes.BEFORE.get(before)):
                _keep(partial(_befall, happen, clients), world, before, failed)
            if is_shown:
                since = f"{time.monotonic() - began:.0f} s"
                print(f"\n--- {since} {block.place} [{block.heading}]", flush=True)  # noqa: T201
            output, code = _carry_out(terminal, world, block)
            if is_shown:
                print(output, flush=True)  # noqa: T201
            if code not in _expected(block):
                failed.append(f"{block.place}: ended with {code}\n{block.text}\n{output}")
            if following is None or (following.page, following.heading) != before:
                _keep(promises.AFTER.get(before, promises.nothing), world, before, failed)
    assert not failed, "\n\n".join(failed)


def _is_first(story: list[Block], block: Block) -> bool:
    """Whether a block is the first of its heading."""
    return block is next(
        candidate
        for candidate in story
        if (candidate.page, candidate.heading) == (block.page, block.heading)
    )


def _befall(happen: misfortunes.Misfortune, clients: misfortunes.Clients, world: World) -> None:
    happen(world, clients)


def _keep(
    look: Callable[[World], None], world: World, where: tuple[str, str], failed: list[str]
) -> None:
    """Look, and go on whatever is seen: one run shows every page that is wrong."""
    try:
        look(world)
    except _WRONG as error:
        failed.append(f"{' '.join(where)}: {type(error).__name__}: {error}")
        if "DOCUMENTS_TELL" in os.environ:
            print(f"!!! {failed[-1]}", flush=True)  # noqa: T201


def _carry_out(terminal: Terminal, world: World, block: Block) -> tuple[str, int]:
    """Run a block; return what it printed, and how it ended."""
    if _elsewhere(block):
        return "(another test runs it)", 0
    if "background" in block.words:
        terminal.start(block.text)
        return "(started)", 0
    text = block.text
    if block.language == "sql":
        text = f"psql -v ON_ERROR_STOP=1 <<'THE_END'\n{text}THE_END\n"
    if "until-ctrl-c" in block.words:
        text = f"timeout --signal=INT 4 {text}"
    ran = terminal.run(text, cloud="cloud" in block.words)
    world.settle_down()
    return ran.output, ran.code


def _expected(block: Block) -> set[int]:
    return {0, 124, 130} if "until-ctrl-c" in block.words else {block.exit_code}

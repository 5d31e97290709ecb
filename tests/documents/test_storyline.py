"""The story: from nothing to a fleet of fifty, by the commands of the pages and nothing else.

One reader follows the README, and then every page of ``deploy/docs``, on a stack of the reader's
own.  Before some headings something goes wrong (`misfortunes`); after some, the test looks whether
the page has kept its promise (`promises`).  Nothing else is done behind the reader's back.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.cli.main import COMMANDS
from tests.documents import misfortunes, promises
from tests.documents.awaited import AWAITED, waits_for
from tests.documents.blocks import DOCS, README, Block, blocks, pages
from tests.documents.terminal import Terminal
from tests.documents.world import World

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
    ("deploy/docs/pins.md", "in-a-minute"): "unit/cli/test_pin.py",
}


def shell_blocks() -> Iterator[Block]:
    for path in STORY:
        yield from (each for each in blocks(path) if each.language in {"sh", "sql"})


def test_the_story_leaves_no_page_with_commands_out() -> None:
    left = [each for path in pages() if path not in STORY for each in blocks(path)]
    assert [
        each.place for each in left if each.language in {"sh", "sql"} and not _elsewhere(each)
    ] == []


def test_what_another_test_runs_is_named() -> None:
    tests = Path(__file__).parent.parent
    named = [each for path in pages() for each in blocks(path) if "elsewhere" in each.words]
    assert {(each.page, each.heading) for each in named} == ELSEWHERE.keys()
    assert [name for name in ELSEWHERE.values() if not (tests / name).exists()] == []


def test_nothing_that_exists_is_waited_for() -> None:
    assert [name for name in AWAITED if name in COMMANDS] == []


def test_every_misfortune_and_promise_has_its_heading() -> None:
    headings = {(each.page, each.heading) for each in shell_blocks()}
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
@pytest.mark.timeout(900)
def test_the_pages_lead_from_nothing_to_a_fleet_and_back_to_nothing(terminal: Terminal) -> None:
    world = World(terminal)
    told = "DOCUMENTS_TELL" in os.environ
    with misfortunes.clients() as clients:
        story = list(shell_blocks())
        for block, following in zip(story, [*story[1:], None], strict=True):
            before = (block.page, block.heading)
            _happen(world, clients, before, block, story)
            if told:
                print(f"\n--- {block.place} [{block.heading}]", flush=True)  # noqa: T201
            said = _carry_out(terminal, world, block)
            if told:
                print(said, flush=True)  # noqa: T201
            if following is None or (following.page, following.heading) != before:
                promises.AFTER.get(before, promises.nothing)(world)


def _happen(
    world: World,
    clients: misfortunes.Clients,
    where: tuple[str, str],
    block: Block,
    story: list[Block],
) -> None:
    first = next(each for each in story if (each.page, each.heading) == where)
    if first is block and where in misfortunes.BEFORE:
        misfortunes.BEFORE[where](world, clients)


def _carry_out(terminal: Terminal, world: World, block: Block) -> str:
    if _elsewhere(block):
        return "(another test runs it)"
    if waiting := waits_for(block):
        return f"(left out: waits for {', '.join(waiting)})"
    if "background" in block.words:
        terminal.start(block.text)
        return "(started)"
    text = block.text
    if block.language == "sql":
        text = f"psql -v ON_ERROR_STOP=1 <<'THE_END'\n{text}THE_END\n"
    if "until-ctrl-c" in block.words:
        text = f"timeout --signal=INT 4 {text}"
    ran = terminal.run(text, cloud="cloud" in block.words)
    codes = {0, 130, 124} if "until-ctrl-c" in block.words else {block.exit_code}
    assert ran.code in codes, f"{block.place}: ended with {ran.code}\n{block.text}\n{ran.output}"
    world.settle_down()
    return ran.output

"""Every command at a terminal of 80 columns, without colours, without a terminal, interrupted."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyte
import pytest

from rotation.cli.main import COMMANDS
from rotation.local.stack import Stack, StackOptions
from rotation.local.stack.sample import create_many

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
WIDTH, HEIGHT, PATIENCE = 80, 24, 180.0
#: What colours and styles look like; moving the cursor is another thing.
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
#: Anything that steers a terminal.
CONTROLS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\x1b")
REASON = ("--reason", "seen in a log", "--no-sessions", "--yes")
#: Depends on how far the fleet has come, so it is asked of one that is at rest.
AT_REST = {"revert"}
#: How each command is run here, and with which exit code; None: others test it, it takes too long.
RUNS: dict[str, tuple[tuple[str, ...], int] | None] = {
    "status": (("status",), 0),
    "watch": (("watch", "calm", "--until-settled"), 0),
    "plan": (("plan", "t-01"), 0),
    "rotate": (("rotate", "--filter", "labels.db=orders", "--yes"), 0),
    "emergency": (("emergency", "--filter", "labels.db=orders", *REASON), 0),
    "revert": (("revert", "--filter", "labels.db=orders", "--yes"), 1),
    "unblock": (("unblock", "t-01"), 0),
    "drill": (("drill", "--list"), 0),
    "scan": (("scan", str(ROOT / "deploy" / "docs")), 0),
    "retire": (("retire", "calm", "--now"), 1),
    "pause": (("pause", "calm", "--reason", "terminal"), 0),
    "resume": (("resume", "calm"), 0),
    "history": (("history", "t-01"), 0),
    "doctor": (("doctor", "calm"), 1),
    "generate": (("generate", "--check"), 0),
    "adopt": None,
    "new": None,
    "policy": (("policy", "show", "t-01"), 0),
    "plugins": (("plugins",), 0),
    "targets": (("targets", "show"), 0),
    "keys": (("keys", "show"), 0),
    "clock": (("clock", "advance", "1s"), 0),
    "up": None,
    "demo": None,
    "pin": None,
}
#: Processes of the running test.
STARTED: list[subprocess.Popen[bytes]] = []
#: Commands that answer with one JSON object.
JSON = [name for name, run in RUNS.items() if run and name not in {"watch", "scan"}]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(StackOptions()) as running:
        create_many(running, [f"t-{number:02}" for number in range(1, 41)])
        yield running


@pytest.fixture(scope="module")
def environment(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    policy = stack.services.secret_manager_rest
    with httpx.Client(base_url=policy, trust_env=False) as client:
        seen = client.get(f"/v1/projects/{stack.options.project}/secrets/t-40").json()
    (target,) = json.loads(stack.targets.path.read_text())["targets"].items()
    allowed = [*target[1]["secrets"], f"projects/{stack.options.project}/secrets/calm"]
    stack.allow({target[0]: {**target[1], "secrets": allowed}})
    stack.create_secret("calm", {"annotations": seen["annotations"]})
    stack.let_function("rotationFunction", ["calm"])
    state = str(tmp_path_factory.mktemp("state"))
    inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return {
        **inherited,
        **stack.environment(),
        "XDG_STATE_HOME": state,
        "TERM": "xterm-256color",
    }


@pytest.fixture
def at_rest(request: pytest.FixtureRequest, stack: Stack) -> None:
    """Let the fleet come to rest before a command that depends on it: settled, nothing asked."""
    if request.node.callspec.params["name"] not in AT_REST:
        return
    ends = time.monotonic() + PATIENCE
    while stack.backlog() or _in_flight(stack):
        assert time.monotonic() < ends, "the fleet does not come to rest"
        if not stack.backlog():
            stack.advance(timedelta(minutes=11))
        time.sleep(1)


def _in_flight(stack: Stack) -> list[str]:
    with httpx.Client(base_url=stack.services.secret_manager_rest, trust_env=False) as client:
        found = client.get(f"/v1/projects/{stack.options.project}/secrets?pageSize=100").json()
    return [
        entry["name"] for entry in found["secrets"] if "rotation_phase" in entry.get("labels", {})
    ]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """End what a test that failed has left running."""
    yield
    for process in STARTED:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
    STARTED.clear()


class Terminal:
    """A command at a terminal, and what it wrote."""

    def __init__(self, environment: dict[str, str], *arguments: str, **more: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rotation", *arguments],
            env={**environment, **more},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        STARTED.append(self.process)
        self.written = b""

    def read(self, *, until: bytes = b"") -> int:
        """Read to the end, or until something was written; return the exit code so far."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            if until and until in self.written:
                return 0
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self._ours, 65536)
                except OSError:
                    break
        code = self.process.wait(PATIENCE)
        os.close(self._ours)
        return code

    @property
    def wraps(self) -> list[str]:
        """Lines of a screen much wider than the terminal that would not have fitted into it."""
        screen = pyte.HistoryScreen(400, 2000)
        pyte.ByteStream(screen).feed(self.written)
        return [line.rstrip() for line in screen.display if len(line.rstrip()) > WIDTH]


def shown(environment: dict[str, str], name: str, **more: str) -> tuple[Terminal, int, int]:
    run = RUNS[name]
    assert run is not None
    terminal = Terminal(environment, *run[0], **more)
    return terminal, terminal.read(), run[1]


def test_every_command_is_in_the_table() -> None:
    assert set(COMMANDS) <= set(RUNS), "say how the new command is run here, or None"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_its_help_fits_80_columns(name: str, environment: dict[str, str]) -> None:
    terminal = Terminal(environment, name, "--help")
    assert terminal.read() == 0
    assert terminal.wraps == []
    assert rb"\b" not in terminal.written, "a mark for click is shown"


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("name", ["status", "watch", "emergency", "rotate", "revert", "drill"])
def test_tables_bars_and_previews_fit_80_columns(name: str, environment: dict[str, str]) -> None:
    terminal, code, expected = shown(environment, name)
    assert code == expected, terminal.written[-500:]
    assert b"Traceback" not in terminal.written
    too_long = [line for line in terminal.wraps if "--resume" not in line]  # to be copied whole
    assert [line for line in too_long if not _is_sentence(line)] == []


def _is_sentence(line: str) -> bool:
    """Whether a line is one of words that wraps like any text: no table, bar or preview."""
    return not re.search(r" {3,}|━", line)


@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if run])
def test_without_colours_there_are_none(name: str, environment: dict[str, str]) -> None:
    terminal, _, _ = shown(environment, name, NO_COLOR="1")
    found = [colour for colour in COLOURS.findall(terminal.written) if _colours(colour)]
    assert found == []


def _colours(sequence: bytes) -> bool:
    """Whether a sequence sets a colour; bold and the like are not colours (no-color.org)."""
    numbers = [int(digits) for digits in re.findall(rb"\d+", sequence)]
    return any(30 <= number <= 49 or 90 <= number <= 107 for number in numbers)


def plain(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "rotation", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if run])
def test_without_a_terminal_nothing_steers_one(name: str, environment: dict[str, str]) -> None:
    run = RUNS[name]
    assert run is not None
    done = plain(environment, *run[0])
    assert done.returncode == run[1], done.stderr
    assert CONTROLS.search(done.stdout + done.stderr) is None


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("name", JSON)
def test_json_is_one_object_and_nothing_else(name: str, environment: dict[str, str]) -> None:
    run = RUNS[name]
    assert run is not None
    done = plain(environment, *run[0], "--json")
    assert done.returncode == run[1], done.stderr
    if done.stdout or run[1] == 0:
        assert isinstance(json.loads(done.stdout), dict)


INTERRUPTED: list[tuple[tuple[str, ...], bytes, dict[str, Any]]] = [
    (("watch",), b"41 secrets", {}),
    (("watch", "t-01"), b"t-01", {}),
    (("drill", "--secrets", "3"), b"in another shell", {}),
    (("emergency", "--filter", "labels.db=orders", "--reason", "x"), b"Type 40", {}),
    (("rotate", "--filter", "labels.db=orders", "--yes", "--quota", "1"), b"goes on with", {}),
]


@pytest.mark.parametrize(("arguments", "until", "more"), INTERRUPTED)
def test_ctrl_c_ends_it_with_130_and_one_line(
    arguments: tuple[str, ...],
    until: bytes,
    more: dict[str, str],
    environment: dict[str, str],
) -> None:
    terminal = Terminal(environment, *arguments, **more)
    terminal.read(until=until)
    time.sleep(0.5)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.read() == 130, terminal.written[-800:]
    assert terminal.written.count(b"rotation: interrupted") == 1
    assert b"Traceback" not in terminal.written


def test_a_screen_of_a_thousand_secrets_is_one_screen(
    environment: dict[str, str],
) -> None:
    terminal = Terminal(environment, "watch")
    terminal.read(until=b"more: rotation status")
    screen = pyte.Screen(WIDTH, HEIGHT)
    pyte.ByteStream(screen).feed(terminal.written)
    lines = [line.rstrip() for line in screen.display]
    assert lines[0].startswith("41 secrets: ")
    assert lines[1].startswith("SECRET")
    assert any(line.startswith("and ") for line in lines)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.read() == 130

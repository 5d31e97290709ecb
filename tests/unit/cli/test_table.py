"""The table of secrets never wraps, and leaves columns out in a fixed order."""

from datetime import UTC, datetime, timedelta

import pytest

from rotation.cli.commands.watch import screen
from rotation.cli.views.table import COLUMNS, LEAVING, rows
from rotation.engine.snapshot import Snapshot
from rotation.model.names import SecretName
from rotation.model.secret import Schedule, Secret

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def snapshot(number: int, *, length: int = 8) -> Snapshot:
    name = SecretName("p", f"{'s' * (length - 4)}{number:04}")
    schedule = Schedule(NOW + timedelta(days=number % 90 + 1), timedelta(days=90))
    secret = Secret(name, "e", NOW, schedule=schedule)
    return Snapshot(secret, NOW)


def names(width: int) -> list[str]:
    return rows([snapshot(1)], width)[0].split()


def test_a_wide_terminal_has_every_column() -> None:
    assert names(200) == [name for name, _ in COLUMNS]


def test_columns_leave_in_their_order() -> None:
    counts = [len(names(width)) for width in range(10, 80)]
    assert counts == sorted(counts)
    gone = [{name for name, _ in COLUMNS} - set(names(width)) for width in range(79, 20, -1)]
    for columns in gone:
        assert columns == set(LEAVING[: len(columns)])


@pytest.mark.parametrize("width", [10, 30, 80, 120])
@pytest.mark.parametrize("length", [8, 60, 255])
def test_no_line_is_wider_than_the_terminal(width: int, length: int) -> None:
    assert all(len(line) <= width for line in rows([snapshot(1, length=length)], width))


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_a_screen_is_never_higher_or_wider_than_the_terminal(count: int) -> None:
    many = [snapshot(number) for number in range(count)]
    lines = screen(many, "the network is gone " * 9, 80, 24)
    assert len(lines) < 24
    assert all(len(line) <= 80 for line, _ in lines)
    assert lines[0][0].startswith(f"{count} secrets: ")

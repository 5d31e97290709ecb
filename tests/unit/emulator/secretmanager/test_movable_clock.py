from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotation.emulator.clock import MovableClock


def test_clock_tells_real_time_in_utc() -> None:
    before, now, after = datetime.now(UTC), MovableClock().now(), datetime.now(UTC)
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_steps_add_up() -> None:
    clock = MovableClock()
    clock.advance(timedelta(hours=1))
    clock.advance(timedelta(seconds=0.5))
    assert clock.offset == timedelta(hours=1, seconds=0.5)
    assert clock.now() >= datetime.now(UTC) + timedelta(hours=1)


def test_clocks_on_one_file_move_together(tmp_path: Path) -> None:
    one, other = MovableClock(tmp_path / "offset"), MovableClock(tmp_path / "offset")
    one.advance(timedelta(days=1))
    other.advance(timedelta(days=1))
    assert one.offset == other.offset == timedelta(days=2)
    assert [file.name for file in tmp_path.iterdir()] == ["offset"]


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1e300", "ü"])
def test_unreadable_file_means_nobody_moved_the_clock(tmp_path: Path, text: str) -> None:
    path = tmp_path / "offset"
    path.write_text(text, encoding="utf-8")
    assert MovableClock(path).offset == timedelta(0)


def test_clock_never_moves_back() -> None:
    with pytest.raises(ValueError, match="only moves forward"):
        MovableClock().advance(timedelta(seconds=-1))

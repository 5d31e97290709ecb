import os
import stat
import subprocess
from pathlib import Path

import click
import pytest

from rotation.cli.views.env_file import EnvFile

VARIABLES = {"SECRET_MANAGER_ENDPOINT": "127.0.0.1:1", "PGPASSWORD": 'it\'s $HOME `x` \\ "y"'}


def test_a_shell_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "env"
    EnvFile(path).write(VARIABLES)
    script = f'. {path}; printf "%s|%s" "$SECRET_MANAGER_ENDPOINT" "$PGPASSWORD"'
    read = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert read.stdout == "|".join(VARIABLES.values())


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        EnvFile(tmp_path / "env").write(VARIABLES)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_it_is_removed_at_the_end(tmp_path: Path) -> None:
    file = EnvFile(tmp_path / "env")
    file.write(VARIABLES)
    file.remove()
    file.remove()
    assert not (tmp_path / "env").exists()


def test_a_file_that_somebody_else_wrote_since_stays(tmp_path: Path) -> None:
    file = EnvFile(tmp_path / "env")
    file.write(VARIABLES)
    (tmp_path / "env").write_text("mine")
    file.remove()
    assert (tmp_path / "env").read_text() == "mine"


def test_what_was_never_written_is_not_removed(tmp_path: Path) -> None:
    EnvFile(tmp_path / "env").write(VARIABLES)
    EnvFile(tmp_path / "env").remove()
    assert (tmp_path / "env").exists()


@pytest.mark.parametrize("text", ["", "PATH=/bin\n", "export A='1'\n", "\xff\x00"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "env").write_bytes(text.encode("latin-1"))
    with pytest.raises(click.BadParameter, match="exists and is something else"):
        EnvFile(tmp_path / "env")
    assert (tmp_path / "env").read_bytes() == text.encode("latin-1")


def test_a_file_left_by_a_killed_stack_is_replaced(tmp_path: Path) -> None:
    EnvFile(tmp_path / "env").write(VARIABLES)
    EnvFile(tmp_path / "env").write({**VARIABLES, "PGPORT": "5"})
    assert "export PGPORT='5'\n" in (tmp_path / "env").read_text()

"""Making and showing keys: nothing secret on a terminal, in an error or in what is public."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rotation import wiring
from rotation.cli.main import main, rotation
from rotation.config import ConfigError, Settings, from_environment
from rotation.policies.keys import read_keys, read_public_keys


def run(*arguments: str, stdin: str = "", environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(rotation, ["keys", *arguments], input=stdin, env=environment)


def ids(document: str) -> list[str]:
    return [key.id for key in read_keys(document.encode()).keys]


def test_documents_follow_each_other_with_overlap() -> None:
    first = run("rotate").stdout
    second = run("rotate", "-", stdin=first).stdout
    third = run("rotate", "-", "--keep", "1", stdin=second)
    signing, following = ids(first)
    assert ids(second)[0] == following
    assert ids(second)[2:] == [signing]
    assert ids(third.stdout)[2:] == [following]
    assert f"{ids(third.stdout)[0]} signs" in third.stderr
    assert [key.id for key in read_keys(third.stdout.encode()).retired] == [signing]


def test_after_a_leak_no_key_verifies_any_more() -> None:
    first = run("rotate").stdout
    leaked = run("rotate", "-", "--leaked", stdin=first).stdout
    assert set(ids(first)).isdisjoint(ids(leaked))
    assert len(read_keys(leaked.encode()).retired) == 2


def test_what_is_shown_is_public(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert run("rotate", "--out", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    secrets = [key["secret"] for key in json.loads(file.read_text())["keys"]]
    shown = run("show", environment={"ROTATION_KEYS": str(file)}).stdout
    public = run("show", str(file), "--json").stdout
    assert "signs next" in shown
    assert [key.id for key in read_public_keys(public.encode())] == ids(file.read_text())
    assert not any(secret in text for secret in secrets for text in (shown, public))


def test_a_document_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "keys.json"
    file.write_text("kept")
    assert main(["keys", "rotate", "--out", str(file)]) == 1
    assert file.read_text() == "kept"
    assert "exists already" in capsys.readouterr().err


def test_no_secret_is_shown_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rotation", "keys", "rotate"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=False, text=True)
    os.close(theirs)
    try:
        shown = os.read(ours, 1000)
    except OSError:  # nothing was written
        shown = b""
    os.close(ours)
    assert (done.returncode, shown) == (2, b"")
    assert "--out FILE" in done.stderr


def test_without_a_document_nothing_is_shown(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROTATION_KEYS", raising=False)
    assert main(["keys", "show"]) == 2
    assert "ROTATION_KEYS" in capsys.readouterr().err


def test_the_function_starts_with_sound_keys_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    settings = from_environment({"ROTATION_KEYS": str(file)})
    with pytest.raises(ConfigError, match=r"ROTATION_KEYS: .*keys\.json: No such file"):
        wiring.make_keys(settings)
    file.write_text('{"schema": "rotation.keys/1", "keys": []}')
    with pytest.raises(ConfigError, match="has no key"):
        wiring.make_keys(settings)
    file.write_text(run("rotate").stdout)
    made = wiring.make_keys(settings)
    assert made is not None
    assert made.signing.id == ids(file.read_text())[0]
    assert wiring.make_keys(Settings()) is None

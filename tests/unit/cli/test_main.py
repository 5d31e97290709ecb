import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rotation.cli import commands
from rotation.cli.lazy import LazyGroup
from rotation.cli.main import COMMANDS, main
from rotation.cli.views import failures
from rotation.config import ConfigError
from rotation.model.errors import (
    AccessDeniedError,
    BadNameError,
    NotFoundError,
    PermanentError,
    PolicyError,
    StateError,
    TemporaryError,
)

_ENVIRONMENT = (
    "ROTATION_PROJECT",
    "GOOGLE_CLOUD_PROJECT",
    "CLOUDSDK_CORE_PROJECT",
    "SECRET_MANAGER_ENDPOINT",
    "PUBSUB_EMULATOR_HOST",
    "ROTATION_TOPIC",
    "ROTATION_CLOCK_FILE",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_imports_no_library_of_google_and_no_command() -> None:
    code = (
        "import sys; from rotation.cli.main import main; main(['--help']); "
        "bad = [m for m in sys.modules if m.startswith(('google.a', 'google.p', 'grpc', 'rich', "
        "'psycopg', 'rotation.local', 'rotation.emulator', 'rotation.app', 'rotation.engine', "
        "'rotation.cli.commands.'))]; sys.exit(str(bad) if bad else 0)"
    )
    result = python("-c", code)
    assert result.stderr == ""
    assert "emergency" in result.stdout


def test_the_module_is_the_console_script() -> None:
    result = python("-m", "rotation", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("rotation ")


def test_every_command_is_there_and_answers_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main([name, "--help"]) == 0, name
        shown = capsys.readouterr()
        assert shown.err == ""
        assert shown.out.startswith(f"Usage: rotation {name}")


def test_every_module_with_a_command_of_its_name_is_listed() -> None:
    folder = Path(commands.__file__).parent
    written = {path.stem for path in folder.glob("*.py") if f"def {path.stem}(" in path.read_text()}
    assert written == set(COMMANDS)


def test_the_exit_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    for code in (
        failures.OK,
        failures.NO,
        failures.USAGE,
        failures.UNREACHABLE,
        failures.FAULT,
        failures.INTERRUPTED,
    ):
        assert f"\n    {code} " in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: rotation"),
        (["sttus"], "there is no command 'sttus'; did you mean status?; see: rotation --help"),
        (["xyzzy"], "there is no command 'xyzzy'; see: rotation --help"),
        (["status", "--jsn"], "'--json'"),
        (["rotate"], "give a SECRET, a --filter, or --resume"),
        (["rotate", "a", "--timeout", "soon"], "'soon' is not a valid float"),
        (["rotate", "a", "--reason", "x" * 201], "201 characters; at most 200 are kept"),
        (["rotate", "a"], "no project is set; give --project ID"),
        (["status"], "no project is set; give --project ID"),
        (["--project", "p", "status", "a b"], "'a b' is not the name of a secret; give its id"),
        (["--project", "p", "rotate", ""], "'' is not the name of a secret"),
        (["status", "projects/p/secret/a"], "is not the name of a secret"),
        (["emergency", "a"], "an emergency needs a --reason TEXT"),
        (["emergency", "a", "--reason", " "], "an emergency needs a --reason TEXT"),
        (["revert", "a", "--filter", "labels.b=c"], "names of secrets or a --filter, not both"),
        (["rotate", "a", "--resume", "f"], "--resume goes on with the same secrets: name none"),
        (["up", "--secrets", "3"], "give --sample, too"),
        (["clock", "advance"], "Missing argument 'DURATION'"),
        (["clock", "advance", "--", "-5m"], "expected a duration such as"),
        (["clock", "advance", "1h"], "this shell is not pointed at an embedded stack"),
        (["up", "--lease", "5"], "5 is not in the range 10<=x<=600"),
        (["up", "--env-file", "/nowhere/at/all"], "/nowhere/at is not a folder"),
        (["plugins", "extra"], "unexpected extra argument"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""
    if arguments:
        assert shown.err.startswith("rotation: ")
        assert shown.err.count("\n") == 1


def test_a_faulty_variable_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTATION_LEASE_SECONDS", "long")
    assert main(["--project", "p", "status"]) == 2
    assert "environment variable ROTATION_LEASE_SECONDS" in capsys.readouterr().err


def test_the_clock_of_google_is_never_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://secretmanager.googleapis.com/"
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", url)
    assert main(["clock", "advance", "1h"]) == 2
    assert "is not an embedded stack" in capsys.readouterr().err


def test_a_stack_that_has_ended_is_said_to_be_gone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", "http://127.0.0.1:1/")
    assert main(["clock", "advance", "1h"]) == 3
    assert "no embedded stack answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_plugins_come_from_their_specs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"]) == 0
    shown = capsys.readouterr().out
    assert "issuer postgresql: " in shown
    assert "  needs secretmanager.secrets.update on managed-secret: store the aliases" in shown
    assert main(["plugins", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["plugins"]
    assert {(plugin["kind"], plugin["name"]) for plugin in found} >= {
        ("issuer", "postgresql"),
        ("participant", "alias"),
    }
    port = next(setting for setting in found[0]["settings"] if setting["name"] == "port")
    assert (port["required"], port["default"]) == (False, "5432")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (click.exceptions.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (click.UsageError("no"), 2),
        (ConfigError("no"), 2),
        (BadNameError("no"), 2),
        (NotFoundError("no"), 3),
        (AccessDeniedError("no"), 3),
        (TemporaryError("no"), 3),
        (PolicyError("no"), 1),
        (StateError("no"), 1),
        (PermanentError("no"), 1),
        (ZeroDivisionError("s3cret"), 70),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (ModuleNotFoundError("no", name="rich"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    line, found = failures.explain(error)
    assert found == code
    assert line
    assert "s3cret" not in line


def test_a_fault_of_ours_names_its_place_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(
        LazyGroup, "get_command", lambda *_: click.Command("status", callback=broken)
    )
    assert main(["status"]) == 70
    err = capsys.readouterr().err
    assert "ZeroDivisionError at" in err
    assert "Traceback" not in err
    assert "s3cret" not in err

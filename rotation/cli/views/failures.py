"""Turns whatever ends a command into one line and an exit code; the table is the contract.

1. No traceback ever: a fault of ours names its place, and quotes nothing.
2. What was raised on purpose says what, where and the remedy itself; here it gets a code.
"""

import traceback
from typing import Final

import click

from rotation.config import ConfigError
from rotation.model.errors import (
    AccessDeniedError,
    BadFilterError,
    BadNameError,
    NotFoundError,
    PolicyError,
    RotationError,
    TemporaryError,
)

OK: Final = 0
NO: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
FAULT: Final = 70
INTERRUPTED: Final = 130

#: For the help.
EXIT_CODES: Final = """\
\b
Exit codes:
  0    done, or the answer is yes
  1    the answer is no: blocked, faulty, refused, a failed claim
  2    the command, or an environment variable, is wrong
  3    not reached, not found, not permitted, or no answer in time
  70   a fault of this program: please report it
  130  interrupted
"""


def explain(error: BaseException) -> tuple[str, int]:
    """Return the line for standard error, and the exit code."""
    match error:
        case click.exceptions.Abort() | KeyboardInterrupt():
            return "interrupted", INTERRUPTED
        case click.UsageError():
            return _usage(error), USAGE
        case click.ClickException():
            return error.format_message(), error.exit_code
        case PolicyError():
            return str(error), NO
        case RotationError():
            return _one_line(str(error)), _code(error)
        case ModuleNotFoundError() if not (error.name or "").startswith("rotation"):
            extras = "pip install 'rotation[local]'"
            return f"the package {error.name} is not installed; run: {extras}", USAGE
        case OSError() if error.filename:
            return f"{error.filename}: {error.strerror}", USAGE
        case _ if _is_about_credentials(error):
            remedy = "run: gcloud auth application-default login"
            return f"Google did not accept your credentials; {remedy}", UNREACHABLE
        case _:
            return _fault(error), FAULT


def _code(error: RotationError) -> int:
    match error:
        case ConfigError() | BadNameError() | BadFilterError():
            return USAGE
        case TemporaryError() | AccessDeniedError() | NotFoundError():
            return UNREACHABLE
        case _:
            return NO


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "rotation"
    return f"{_one_line(error.format_message())}; see: {path} --help"


def _fault(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "rotation" in frame.filename] or frames
    place = f" at {ours[-1].filename}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{place}: a fault of this program, please report it"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_about_credentials(error: BaseException) -> bool:
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - only when it went wrong

    return isinstance(error, GoogleAuthError)

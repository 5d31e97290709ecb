"""Writes the journal as Cloud Logging reads it: one JSON object a line.

Decides the form of a line; never what is worth one.

1. A line is written in one piece: threads do not mix their lines.
2. ``severity``, ``message`` and ``time`` are Cloud Logging's own fields and cannot be overridden
   (<https://cloud.google.com/logging/docs/structured-logging>).  Everything else stays on top,
   where a filter finds it as ``jsonPayload.secret``.
3. Traces of exceptions hold text and source lines, never local variables.
4. Nothing a caller passes can break a line: what JSON cannot express is written as text.
"""

import json
import logging
import math
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

_TRACE: Final = "logging.googleapis.com/trace"
#: Cloud Logging refuses entries above 256 KiB; a character may take four bytes.
_LONGEST_TEXT: Final = 32_000
_SEVERITIES: Final = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARNING",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "CRITICAL",
}
_Field = Any


class CloudJournal:
    """The journal on a stream that Cloud Logging reads.  Safe to use from several threads."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def note(self, severity: str, message: str, **fields: _Field) -> None:
        """Write one line; ``trace`` joins it to the request's other lines."""
        line = _line(severity, message, fields)
        # Looked up now: the functions framework replaces it for the time of a request.
        stream = self._stream or sys.stdout
        with self._lock:
            stream.write(line)
            stream.flush()


class JsonFormatter(logging.Formatter):
    """Turns a log record of any library into one line of the journal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, _Field] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            fields["exception"] = f"{type(error).__name__}: {error}"
            # The field in which Error Reporting looks for a trace.
            trace = "".join(traceback.format_exception(error))
            # The end of a trace says most.
            fields["stack_trace"] = trace[-_LONGEST_TEXT:]
        severity = _SEVERITIES.get(record.levelno, "DEFAULT")
        return _line(severity, record.getMessage(), fields).rstrip("\n")


class _JsonHandler(logging.StreamHandler[TextIO]):
    """Marks the handler as ours, so that installing twice leaves one."""


def install_json_logging(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send every library's logs, warnings and uncaught exceptions to one stream as JSON lines.

    May be called again; the last call counts.  Replaces the handlers of the root logger.
    """
    handler = _JsonHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _line(severity: str, message: str, fields: Mapping[str, _Field]) -> str:
    entry = {key: _plain(value) for key, value in fields.items() if value is not None}
    if "trace" in entry:
        entry[_TRACE] = entry.pop("trace")
    entry |= {
        "severity": severity,
        "message": message[:_LONGEST_TEXT],
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    # ASCII: a lone surrogate cannot stop the stream, a line separator cannot split the line.
    return json.dumps(entry) + "\n"


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float):
        return value
    return str(value)[:_LONGEST_TEXT]


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("uncaught").critical("the process ends", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_value is not None and caught.exc_type is not SystemExit:
        logging.getLogger("uncaught").error(
            "a thread ended",
            exc_info=(caught.exc_type, caught.exc_value, caught.exc_traceback),
        )

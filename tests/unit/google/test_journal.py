"""Every line is one JSON object with the fields Cloud Logging reads."""

import io
import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rotation.google.journal import CloudJournal, JsonFormatter, install_json_logging

SECRET_TEXT = "hunter2-do-not-show"


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    text = stream.getvalue()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def noted(message: str = "done", **fields: str | float | None) -> dict[str, object]:
    stream = io.StringIO()
    CloudJournal(stream).note("INFO", message, **fields)
    (entry,) = lines(stream)
    return entry


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    saved = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], _, sys.excepthook, threading.excepthook = saved
    root.setLevel(saved[1])


def test_a_note_carries_severity_message_time_and_its_fields() -> None:
    before = datetime.now(UTC)
    entry = noted("published", secret="projects/1/secrets/app", token=7, duration_ms=1.5)
    assert before <= datetime.fromisoformat(str(entry.pop("time"))) <= datetime.now(UTC)
    assert entry == {
        "severity": "INFO",
        "message": "published",
        "secret": "projects/1/secrets/app",
        "token": 7,
        "duration_ms": 1.5,
    }


def test_fields_without_a_value_are_left_out() -> None:
    assert "phase" not in noted(phase=None)


def test_the_trace_takes_the_name_that_joins_lines_to_a_request() -> None:
    entry = noted(trace="projects/p/traces/06796866738c859f2f19b7cfb3214824")
    assert (
        entry["logging.googleapis.com/trace"]
        == "projects/p/traces/06796866738c859f2f19b7cfb3214824"
    )
    assert "trace" not in entry


def test_a_field_cannot_pose_as_the_time_of_the_line() -> None:
    assert noted(time="yesterday")["time"] != "yesterday"


@pytest.mark.parametrize("text", ["two\nlines", "\u2028", "\ud800", "\x00", '"', "x" * 200_000])
def test_no_text_breaks_a_line(text: str) -> None:
    entry = noted(text, reason=text)
    assert str(entry["message"])[:1] == text[:1]
    assert len(json.dumps(entry)) < 256 * 1024


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_become_text(number: float) -> None:
    assert noted(duration_ms=number)["duration_ms"] == str(number)


def test_the_default_stream_is_standard_output_of_the_moment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    CloudJournal().note("INFO", "hello")
    assert json.loads(capsys.readouterr().out)["message"] == "hello"


class SlowStream(io.StringIO):
    """Lets other threads in while it writes, and notices them."""

    def __init__(self) -> None:
        super().__init__()
        self.writers = 0
        self.overlaps = 0

    def write(self, text: str) -> int:
        self.writers += 1
        self.overlaps += self.writers > 1
        time.sleep(0.0001)
        written = super().write(text)
        self.writers -= 1
        return written


def test_threads_do_not_mix_their_lines() -> None:
    stream = SlowStream()
    journal = CloudJournal(stream)

    def write() -> None:
        for number in range(50):
            journal.note("INFO", "x" * 500, number=number)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(stream)) == 200
    assert stream.overlaps == 0


def fail_with_a_local_variable() -> None:
    password = SECRET_TEXT[::-1]
    raise ValueError(f"a password of {len(password)} characters was refused")


def test_a_trace_holds_the_text_and_the_lines_but_no_variables(restored_logging: None) -> None:
    stream = io.StringIO()
    install_json_logging(stream)
    try:
        fail_with_a_local_variable()
    except ValueError:
        logging.getLogger("some.library").exception("it broke")
    (entry,) = lines(stream)
    assert entry["severity"] == "ERROR"
    assert entry["message"] == "it broke"
    assert entry["logger"] == "some.library"
    assert entry["exception"] == "ValueError: a password of 19 characters was refused"
    assert "fail_with_a_local_variable" in str(entry["stack_trace"])
    assert SECRET_TEXT[::-1] not in stream.getvalue()


def test_installing_twice_writes_a_record_once(restored_logging: None) -> None:
    first, second = io.StringIO(), io.StringIO()
    install_json_logging(first)
    install_json_logging(second)
    logging.getLogger("x").warning("once")
    assert not lines(first)
    assert [entry["message"] for entry in lines(second)] == ["once"]


def test_debug_noise_stays_out_by_default(restored_logging: None) -> None:
    stream = io.StringIO()
    install_json_logging(stream)
    logging.getLogger("x").debug("noise")
    assert not lines(stream)


def test_warnings_are_lines(restored_logging: None) -> None:
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        install_json_logging(stream)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (entry,) = lines(stream)
    assert "old way" in str(entry["message"])


def test_an_uncaught_exception_of_a_thread_is_a_line(restored_logging: None) -> None:
    stream = io.StringIO()
    install_json_logging(stream)
    thread = threading.Thread(target=fail_with_a_local_variable)
    thread.start()
    thread.join()
    (entry,) = lines(stream)
    assert entry["severity"] == "ERROR"
    assert "19 characters" in str(entry["exception"])


def test_an_uncaught_exception_of_the_process_is_a_line(restored_logging: None) -> None:
    stream = io.StringIO()
    install_json_logging(stream)
    error = ValueError("last words")
    sys.excepthook(ValueError, error, None)
    (entry,) = lines(stream)
    assert entry["severity"] == "CRITICAL"
    assert entry["exception"] == "ValueError: last words"


def test_an_unusual_level_is_still_a_line() -> None:
    record = logging.LogRecord("x", 25, __file__, 1, "notice %s", ("me",), None)
    entry = json.loads(JsonFormatter().format(record))
    assert (entry["severity"], entry["message"]) == ("DEFAULT", "notice me")

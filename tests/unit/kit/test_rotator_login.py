import json
import traceback

import pytest

from rotation.kit.credentials.rotator import read_login
from rotation.model.payload import Payload, PayloadError

NAME = "projects/acme/secrets/rotator/versions/3"


@pytest.mark.parametrize("key", ["username", "password"])
@pytest.mark.parametrize("bad", ["\ud800", "\0", "\n", "\x7f", "\x85"])
def test_a_login_that_nobody_can_use_is_refused_and_shown_in_no_frame(key: str, bad: str) -> None:
    fields = {"username": "hunter1", "password": "hunter2"}
    payload = Payload(json.dumps({**fields, key: f"hunter{bad}3"}).encode())
    with pytest.raises(PayloadError, match="nobody can log in") as caught:
        read_login(NAME, payload)
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in trace.stack if "/rotation/" in frame.filename]
    assert ours
    shown = "".join(str(frame.locals) for frame in ours) + str(caught.value)
    assert "hunter" not in shown
    assert caught.value.__context__ is None


def test_a_login_that_is_in_order_is_returned() -> None:
    payload = Payload.of({"username": "ü", "password": "pass wörd"})
    login = read_login(NAME, payload)
    assert (login.user, login.password.reveal()) == ("ü", "pass wörd")

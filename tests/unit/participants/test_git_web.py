from collections.abc import Iterator

import pytest

from rotation.model.errors import PermanentError, TemporaryError
from rotation.participants.git.edits import Edits
from rotation.participants.git.web import Answer, Web, limited_until
from tests.support.web import Reply, serve_web
from tests.support.web import Web as Server


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (429, {"retry-after": "61"}, "free again in 61 s"),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1090"},
         "free again at 00:18:10 UTC, in 90 s"),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": "1090"},
         "free again at 00:18:10 UTC, in 90 s"),
        (403, {"x-ratelimit-remaining": "0"}, ""),
        (429, {}, "it does not say until when"),
        (403, {"x-ratelimit-remaining": "12"}, ""),
        (403, {}, ""),
    ],
)  # fmt: skip
def test_a_rate_limit_is_told_from_a_plain_refusal(
    status: int, headers: dict[str, str], words: str
) -> None:
    assert limited_until(Answer(status, None, headers), now=1000) == words


def digest(before: bytes, after: bytes) -> str:
    return Edits({"f": before}, {"f": after}).digest


def test_the_digest_stays_when_the_base_moves_around_the_pin() -> None:
    one = digest(b"a\nDB=db:3,API=api:7\n", b"a\nDB=db:4,API=api:7\n")
    assert one == digest(b"b\nc\nDB=db:3,API=api:8\n", b"b\nc\nDB=db:4,API=api:8\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"DB=db:3\nDB=db:3\n", b"DB=db:4\nDB=db:4\n"),
        (b"DB=db:2\n", b"DB=db:4\n"),
        (b"DB=db:3\n", b"DB=db:5\n"),
        (b"DB=db:13\n", b"DB=db:14\n"),
    ],
)
def test_the_digest_changes_with_the_edit(before: bytes, after: bytes) -> None:
    assert digest(before, after) != digest(b"DB=db:3\n", b"DB=db:4\n")


def test_a_diff_of_what_is_no_text_does_not_fail() -> None:
    edits = Edits({"f": b"\xff\n3"}, {"f": b"\xff\n4"})
    ((path, diff),) = edits.diffs()
    assert path == "f"
    assert "+4" in diff


@pytest.fixture
def server() -> Iterator[Server]:
    with serve_web() as server:
        yield server


def forge(server: Server, answer_seconds: float = 5) -> Web:
    authorization = {"Authorization": "Bearer s3cr3t"}
    return Web(
        server.url, lambda _: authorization, connect_seconds=0.2, answer_seconds=answer_seconds
    )


def test_a_forge_that_drips_is_left_in_time(server: Server) -> None:
    server.reply = lambda _asked: Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n", drips=b" ")
    with pytest.raises(TemporaryError, match=r"no answer within 0.5 s") as caught:
        forge(server, 0.3).get("/user")
    assert "s3cr3t" not in str(caught.value)


def test_a_forge_that_moves_is_not_followed(server: Server) -> None:
    with serve_web() as elsewhere:
        server.says(status=307, headers={"Location": elsewhere.url})
        with pytest.raises(PermanentError) as caught:
            forge(server).get("/user")
        assert elsewhere.asked == []
    assert caught.value.reason == "repository-moved"


def test_parameters_may_repeat_and_are_escaped(server: Server) -> None:
    server.says(body=b"{}")
    forge(server).get("/x", params={"refs[]": ["a b", "c/d"], "page": 2})
    assert server.asked[0].path == "/x?refs%5B%5D=a%20b&refs%5B%5D=c%2Fd&page=2"

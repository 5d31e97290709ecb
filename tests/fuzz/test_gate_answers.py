"""Whatever a stranger answers, a gate does not raise, and does not pass without having seen.

The answers arrive over real HTTP.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rotation.gates._json import MISSING, UNREADABLE, read_json, resolve
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import (
    NOW,
    ROTATION_ID,
    SPEAKERS,
    TOKENS,
    Speaker,
    report,
    samples,
    watch,
)
from tests.support.web import Reply, Web, serve_web

from .profiles import examples
from .texts import any_text, dumped, json_values


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with serve_web() as web:
        yield web


def judge(web: Web, speaker: Speaker, reply: Reply) -> Verdict:
    web.reply = lambda _asked: reply
    verdict = speaker.gate(web.url).check(watch())
    web.asked.clear()
    assert verdict.evidence.isprintable()
    assert not [token for token in TOKENS.values() if token in verdict.evidence]
    return verdict


speakers = pytest.mark.parametrize("speaker", SPEAKERS.values(), ids=SPEAKERS)


@speakers
@given(body=st.one_of(st.binary(max_size=300), json_values.map(dumped)))
@example(body=b'{"status":')
@examples(60)
def test_a_body_of_anything_does_not_count(web: Web, speaker: Speaker, body: bytes | str) -> None:
    data = body if isinstance(body, bytes) else body.encode()
    assert judge(web, speaker, Reply(body=data)).look is not Look.PASS


@speakers
@given(raw=st.binary(max_size=300).map(lambda tail: b"HTTP/1.1 " + tail))
@example(raw=b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")
@example(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
@example(raw=b"HTTP/1.1 999999 OK\r\n\r\n")
@example(raw=b"HTTP/1.1 100 Continue\r\n\r\n")
@examples(60)
def test_no_bytes_of_a_server_raise_or_pass(web: Web, speaker: Speaker, raw: bytes) -> None:
    assert judge(web, speaker, Reply(raw=raw)).look is not Look.PASS


@speakers
@given(data=st.data())
@examples(60)
def test_a_well_answer_with_one_byte_changed_is_still_read(
    web: Web, speaker: Speaker, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(speaker.well) - 1))
    body = bytearray(speaker.well)
    body[place] = data.draw(st.integers(0, 255))
    judge(web, speaker, Reply(body=bytes(body)))


FRESH = st.floats(-299, 299).map(lambda seconds: NOW + timedelta(seconds=seconds))
NUMBERS = st.one_of(st.floats().map(str), st.sampled_from(["NaN", "+Inf", "-Inf", "", "x", "1_0"]))


@given(values=st.lists(NUMBERS, max_size=5), at=FRESH)
@examples(100)
def test_a_query_passes_exactly_when_every_number_is_within(
    web: Web, values: list[str], at: Any
) -> None:
    verdict = judge(web, SPEAKERS["prometheus"], Reply(body=samples(*values, at=at)))

    def number(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return float("nan")

    well = bool(values) and all(number(value) <= 1.0 for value in values)
    assert (verdict.look is Look.PASS) == well


ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "version": st.one_of(st.integers(5, 8), json_values),
        "rotation_id": st.one_of(st.just(ROTATION_ID), any_text),
        "since": any_text,
        "failing": st.one_of(
            json_values,
            st.fixed_dictionaries(
                {
                    "version": st.integers(6, 8),
                    "reason": st.sampled_from(["refused", "failed", "unreachable", "x"]),
                }
            ),
        ),
    },
)


@given(entry=ENTRIES, at=FRESH)
@examples(150)
def test_a_consumer_has_arrived_only_with_the_next_version(
    web: Web, entry: dict[str, Any], at: Any
) -> None:
    try:
        body = report(entry, at=at)
    except UnicodeEncodeError:
        return
    verdict = judge(web, SPEAKERS["consumers"], Reply(body=body))
    version, failing = entry.get("version"), entry.get("failing")
    if verdict.look is Look.PASS:
        arrived = version == 7 or (version is None and entry["rotation_id"] == ROTATION_ID)
        assert arrived
        assert not failing or failing["version"] != 7
    if verdict.look is Look.FAIL:
        assert failing["version"] == 7


@given(value=json_values)
@examples(200)
def test_what_is_written_as_json_is_read_back(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) in (value, UNREADABLE)


@given(value=json_values, pointer=any_text.map(lambda text: f"/{text}"))
@examples(200)
def test_a_pointer_never_raises(value: Any, pointer: str) -> None:
    found = resolve(value, pointer)
    if isinstance(value, dict) and "~" not in pointer and pointer.count("/") == 1:
        assert found == value.get(pointer[1:], MISSING)


def test_the_rfc_s_own_pointers() -> None:
    document = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, 'k"l': 6, " ": 7, "m~n": 8}
    found = {
        pointer: resolve(document, pointer)
        for pointer in ("/foo/0", "/", "/a~1b", "/c%d", '/k"l', "/ ", "/m~0n", "/foo/00", "/foo/2")
    }
    assert list(found.values()) == ["bar", 0, 1, 2, 6, 7, 8, MISSING, MISSING]
    assert resolve(document, "") == document

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rotation.engine import codec
from rotation.model.errors import StateError
from rotation.model.names import SecretName
from rotation.model.phase import Mode, Phase
from rotation.model.rotation import Block, Receipt, Record, State
from rotation.model.secret import Secret
from rotation.model.wakeup import Ask, Request

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECRET = Secret(
    SecretName("123", "app"),
    "etag",
    NOW,
    labels={"team": "db"},
    annotations={"theirs": "kept"},
    aliases={"theirs": 1},
)

times = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
words = st.text(max_size=40)
numbers = st.integers(0, 10_000)
requests = st.builds(Request, st.sampled_from(Ask), times, words, words, words)
records = st.builds(
    Record,
    id=st.from_regex(r"[a-z0-9-]{1,60}", fullmatch=True),
    mode=st.sampled_from(Mode),
    started_at=times,
    message_id=words,
    base=numbers,
    previous=st.none() | numbers,
    previous_copies=st.lists(numbers, max_size=3).map(tuple),
    next=st.integers(10_001, 20_000),
    note=words,
    evidence=st.lists(words, max_size=3).map(tuple),
    again=st.none() | requests,
    suspended_at=st.none() | times,
    alarm=st.booleans(),
)
receipts = st.builds(
    Receipt,
    id=words,
    outcome=st.sampled_from(["rotated", "aborted", "reverted"]),
    mode=st.sampled_from(Mode),
    started_at=times,
    settled_at=times,
    current=st.none() | numbers,
    last=numbers,
    copies=st.lists(numbers, max_size=3).map(tuple),
)
blocks = st.builds(
    Block, reason=st.from_regex(r"[a-z-]{1,40}", fullmatch=True), message=words, since=times
)
states = st.one_of(
    st.builds(
        State,
        phase=st.sampled_from([phase for phase in Phase if phase is not Phase.SETTLED]),
        token=numbers,
        lease_until=st.none() | times,
        wake_at=st.none() | times,
        block=st.none() | blocks,
        record=records,
        receipt=st.none() | receipts,
    ),
    st.builds(State, token=numbers, block=st.none() | blocks, receipt=st.none() | receipts),
)


def stored(state: State) -> Secret:
    maps = codec.encode(state, SECRET)
    return replace(SECRET, labels=maps.labels, annotations=maps.annotations, aliases=maps.aliases)


@given(states)
def test_any_state_is_read_back_as_it_was_written(state: State) -> None:
    state = replace(state, aliases=dict(SECRET.aliases))
    current = state.receipt.current if state.receipt else None
    assert codec.decode(stored(state)) == replace(state, current=current)


@given(states)
def test_what_others_stored_is_kept(state: State) -> None:
    secret = stored(state)
    assert secret.labels["team"] == "db"
    assert secret.annotations["theirs"] == "kept"


@given(
    st.dictionaries(st.sampled_from(codec.LABELS), st.text(max_size=20)),
    st.dictionaries(
        st.sampled_from([codec.RECORD, codec.RECEIPT, codec.BLOCK]), st.text(max_size=80)
    ),
)
def test_any_labels_and_annotations_are_read_or_refused(
    labels: dict[str, str], annotations: dict[str, str]
) -> None:
    try:
        codec.decode(replace(SECRET, labels=labels, annotations=annotations))
    except StateError as error:
        assert error.remedy  # noqa: PT017


def test_label_of_the_next_version_is_the_one_google_documents() -> None:
    record = Record(id="r1", mode=Mode.ROUTINE, started_at=NOW, message_id="m1", base=6)
    labels = codec.encode(State(Phase.PREPARING, 1, record=record), SECRET).labels
    assert labels["rotating_to_new_version_number"] == "7"
    assert labels["rotation_phase"] == "preparing"
    assert labels["rotation_id"] == "r1"


def test_steps_of_retiring_share_a_label_and_are_told_apart() -> None:
    record = Record(id="r1", mode=Mode.ROUTINE, started_at=NOW, message_id="m1", base=6, next=7)
    secret = stored(State(Phase.OBSERVING, 1, record=record))
    assert secret.labels["rotation_phase"] == "retiring"
    assert codec.decode(secret).phase is Phase.OBSERVING


def test_lease_is_rounded_up() -> None:
    lease = NOW + timedelta(microseconds=1)
    record = Record(id="r1", mode=Mode.ROUTINE, started_at=NOW, message_id="m1", base=6)
    labels = codec.encode(State(Phase.PREPARING, 1, lease, record=record), SECRET).labels
    assert int(labels["rotation_lease_until"]) == int(NOW.timestamp()) + 1


def test_no_more_labels_than_secret_manager_takes() -> None:
    full = replace(SECRET, labels={f"label-{number}": "x" for number in range(64)})
    with pytest.raises(StateError, match="remove at least 1"):
        codec.encode(State(token=1), full)


def test_no_more_annotations_than_secret_manager_takes() -> None:
    full = replace(SECRET, annotations={"theirs": "x" * (16 * 1024)})
    block = Block("rights", "GRANT missing", NOW)
    with pytest.raises(StateError, match="16384"):
        codec.encode(State(block=block), full)


def test_block_is_read_even_where_nothing_else_can_be() -> None:
    maps = codec.encode_block(Block("state-invalid", "nonsense", NOW), SECRET)
    broken = replace(
        SECRET, labels={**maps.labels, "rotation_token": "x"}, annotations=maps.annotations
    )
    block = codec.read_block(broken)
    assert block
    assert block.message == "nonsense"

"""Strategies for everything that may be stored on a secret: states, foreign maps, and nonsense.

Rules of this module:
  1. A state obeys what `rotation.model.rotation` promises: aware times in UTC, a record exactly
     while a rotation is in flight, versions from 1.
  2. Foreign entries are whatever Secret Manager accepts, at its limits too.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from msgspec.structs import replace

from rotation.engine import codec
from rotation.model.names import SecretName
from rotation.model.phase import Mode, Phase
from rotation.model.rotation import Block, Receipt, Record, State
from rotation.model.secret import Schedule, Secret
from rotation.model.wakeup import Ask, Request

from .texts import sound_text

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAME = SecretName("123456789012", "app")

#: Near now, and at the ends of what Python can tell.
moments = st.one_of(
    st.integers(-100_000, 100_000).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    st.integers(0, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
#: What a message was published at keeps its fraction of a second.
fractions = st.builds(
    lambda moment, micro: moment.replace(microsecond=micro), moments, st.integers(0, 999_999)
)
versions = st.integers(1, 100_000)
copies = st.lists(versions, max_size=3).map(tuple)
sentences = st.lists(sound_text, max_size=3).map(tuple)
ids = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
slugs = st.from_regex(r"[a-z][a-z-]{0,62}", fullmatch=True)
handles = st.sampled_from(["", "orders_a", "orders_b"]) | sound_text
digests = st.sampled_from(["", "0" * 64])

requests = st.builds(
    Request,
    mode=st.sampled_from(Ask),
    at=fractions,
    id=st.sampled_from(["r1", "r2", "19023049712364"]) | sound_text,
    reason=sound_text,
    requested_by=sound_text,
)
records = st.builds(
    Record,
    id=ids,
    mode=st.sampled_from(Mode),
    started_at=fractions,
    message_id=sound_text,
    base=st.integers(0, 100_000),
    previous=st.none() | versions,
    previous_copies=copies,
    next=versions,
    handle=handles,
    reason=sound_text,
    requested_by=sound_text,
    request_id=st.sampled_from(["", "r1", "r2"]) | sound_text,
    requested_at=st.none() | fractions,
    digest=digests,
    published_at=st.none() | moments,
    suspended_at=st.none() | moments,
    revoked_at=st.none() | moments,
    highest=st.integers(0, 100_000),
    copies=copies,
    note=sound_text,
    evidence=sentences,
    scheduled=st.none() | moments,
    again=st.none() | requests,
    serves=sentences,
    reverted=sound_text,
    alarm=st.booleans(),
)
receipts = st.builds(
    Receipt,
    id=ids,
    outcome=st.sampled_from(["rotated", "aborted", "reverted"]),
    mode=st.sampled_from(Mode),
    started_at=fractions,
    settled_at=moments,
    current=st.none() | versions,
    last=st.integers(0, 100_000),
    copies=copies,
    previous=st.none() | versions,
    handle=handles,
    reason=sound_text,
    requested_by=sound_text,
    request_id=st.sampled_from(["", "r1", "r2"]) | sound_text,
    digest=digests,
    published_at=st.none() | moments,
    suspended_at=st.none() | moments,
    revoked_at=st.none() | moments,
    evidence=sentences,
    why=sound_text,
    scheduled=st.none() | moments,
    emergencies_until=st.none() | fractions,
)
blocks = st.builds(
    Block,
    reason=st.sampled_from(["policy-invalid", "not-allowed", "reverted", "drift"]) | slugs,
    message=sound_text,
    since=moments,
)

_FLYING = [phase for phase in Phase if phase is not Phase.SETTLED]


def _in_flight(state: State) -> State:
    record = state.in_flight
    if state.phase is Phase.PREPARING:
        record = replace(record, next=None)
    elif record.next == record.previous:
        record = replace(record, previous=None)
    return replace(state, record=record)


states = st.one_of(
    st.builds(
        State,
        phase=st.sampled_from(_FLYING),
        token=st.integers(1, 10**9),
        lease_until=st.none() | moments,
        wake_at=st.none() | moments,
        block=st.none() | blocks,
        record=records,
        receipt=st.none() | receipts,
        current=st.none() | versions,
    ).map(_in_flight),
    st.builds(
        State,
        token=st.integers(0, 10**9),
        lease_until=st.none() | moments,
        wake_at=st.none() | moments,
        block=st.none() | blocks,
        receipt=st.none() | receipts,
        current=st.none() | versions,
    ),
)

# Others' labels, annotations and aliases, as Secret Manager takes them.

_label_characters = st.characters(categories=("Ll", "Lo", "Nd"), include_characters="_-")
_first_letters = st.characters(categories=("Ll", "Lo"))
label_values = st.text(_label_characters, max_size=63).filter(
    lambda text: len(text.encode()) <= 128
)
_label_keys = st.builds(
    lambda first, rest: first + rest, _first_letters, st.text(_label_characters, max_size=30)
).filter(lambda key: key not in codec.LABELS)
_foreign_labels = st.dictionaries(_label_keys, label_values, max_size=6)
_many_labels = st.integers(55, 64).map(lambda count: {f"l{i}": "x" for i in range(count)})
foreign_labels = _foreign_labels | _many_labels
_OUR_ANNOTATIONS = (codec.RECORD, codec.RECEIPT, codec.BLOCK)
_foreign_annotations = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(
        lambda key: key not in _OUR_ANNOTATIONS
    ),
    sound_text,
    max_size=5,
)
_full = st.integers(14_000, codec.MAX_ANNOTATION_BYTES - 6).map(lambda size: {"theirs": "x" * size})
foreign_annotations = _foreign_annotations | _full
foreign_aliases = st.dictionaries(
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,10}", fullmatch=True), versions, max_size=4
) | st.integers(48, 50).map(lambda count: {f"a{i}": 1 for i in range(count)})

periods = st.none() | st.integers(1, 876_000).map(lambda hours: timedelta(hours=hours))
secrets = st.builds(
    Secret,
    name=st.just(NAME),
    etag=st.just('"1"'),
    create_time=moments,
    labels=foreign_labels,
    annotations=foreign_annotations,
    aliases=foreign_aliases,
    schedule=st.none() | st.builds(Schedule, moments, periods),
)

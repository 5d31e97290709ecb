"""Any state is stored and read back exactly; any maps are read or refused; others keep theirs."""

import json
import unicodedata
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from rotation.emulator.secretmanager.texts import check_aliases, check_annotations, check_labels
from rotation.engine import codec
from rotation.engine.codec import Maps
from rotation.model.errors import StateError
from rotation.model.phase import Phase
from rotation.model.rotation import Block, State
from rotation.model.secret import Secret

from .profiles import examples
from .states import NAME, NOW, blocks, label_values, secrets, states
from .texts import HOSTILE, any_text, dumped, json_values, mutated

OURS = {codec.RECORD, codec.RECEIPT, codec.BLOCK}


def stored(secret: Secret, maps: Maps) -> Secret:
    return replace(secret, labels=maps.labels, annotations=maps.annotations, aliases=maps.aliases)


ANY_REASON = frozenset({"no-room", "state-invalid"})


def accepted(encode: Callable[[], Maps], reasons: AbstractSet[str] = ANY_REASON) -> Maps | None:
    """Encode; None where it is refused in words that help."""
    try:
        return encode()
    except StateError as error:
        check_refusal(error, reasons)
        return None


def check_refusal(error: StateError, reasons: AbstractSet[str] = ANY_REASON) -> None:
    assert error.remedy
    assert error.reason in reasons
    assert len(str(error)) < 500
    assert str(error).encode()


def check_limits(maps: Maps) -> None:
    """Hold maps to what Secret Manager takes, in the words of the embedded one."""
    check_labels(maps.labels)
    check_annotations(maps.annotations)
    check_aliases(maps.aliases, versions=10**9)


def check_foreign(secret: Secret, maps: Maps) -> None:
    for kept, before, ours in (
        (maps.labels, secret.labels, set(codec.LABELS)),
        (maps.annotations, secret.annotations, OURS),
        (maps.aliases, secret.aliases, set()),
    ):
        assert foreign(kept, ours) == foreign(before, ours)


def foreign(entries: Mapping[str, Any], ours: set[str]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key not in ours}


@examples(120)
@given(states, secrets)
def test_any_state_is_read_back_exactly_and_others_keep_theirs(
    state: State, secret: Secret
) -> None:
    state = replace(state, aliases=dict(secret.aliases))
    maps = accepted(lambda: codec.encode(state, secret))
    assume(maps is not None)
    assert maps
    check_limits(maps)
    check_foreign(secret, maps)
    again = stored(secret, maps)
    read = codec.decode(again, pointed=state.current)
    current = state.current or (state.receipt.current if state.receipt else None)
    assert read == replace(state, current=current)
    assert codec.encode(read, again) == maps
    assert codec.is_managed(again) or state == State(
        token=state.token,
        lease_until=state.lease_until,
        wake_at=state.wake_at,
        receipt=state.receipt,
        current=state.current,
        aliases=state.aliases,
    )


@examples(60)
@given(states, secrets, states)
def test_a_state_leaves_nothing_of_the_one_before(
    first: State, secret: Secret, second: State
) -> None:
    between = accepted(lambda: codec.encode(first, secret))
    direct = accepted(lambda: codec.encode(second, secret))
    assume(between is not None and direct is not None)
    assert between
    assert codec.encode(second, stored(secret, between)) == direct


@examples(60)
@given(states, secrets, blocks)
def test_a_block_changes_nothing_but_itself(state: State, secret: Secret, block: Block) -> None:
    before = accepted(lambda: codec.encode(state, secret))
    assume(before is not None)
    assert before
    secret = stored(secret, before)
    maps = accepted(lambda: codec.encode_block(block, secret))
    assume(maps is not None)
    assert maps
    check_limits(maps)
    own = {codec.BLOCKED, codec.BLOCK}
    assert foreign(maps.labels, own) == foreign(secret.labels, own)
    assert foreign(maps.annotations, own) == foreign(secret.annotations, own)
    assert maps.aliases == secret.aliases
    assert codec.read_block(stored(secret, maps)) == block
    assert codec.decode(stored(secret, maps), pointed=state.current).block == block


# Nonsense


def check_decodes_or_refuses(secret: Secret) -> None:
    """Whatever is stored: a state that is sound and can be stored, or a `StateError`."""
    codec.is_managed(secret)
    codec.read_block(secret)
    try:
        state = codec.decode(secret)
    except StateError as error:
        check_refusal(error)
        return
    check_sound(state)
    maps = accepted(lambda: codec.encode(state, secret))
    if maps:
        ours = {key: value for key, value in maps.labels.items() if key in codec.LABELS}
        check_labels(ours)
        assert codec.decode(stored(secret, maps)) == state


def check_sound(state: State) -> None:
    """Hold a state to what `rotation.model.rotation` promises of it."""
    assert state.token >= 0
    assert (state.record is None) == (state.phase is Phase.SETTLED)
    if state.record and state.phase not in {Phase.PREPARING, Phase.ABORTING}:
        assert state.record.next not in {None, state.record.previous}
    moments = [state.lease_until, state.wake_at]
    numbers: list[int | None] = [*state.aliases.values()]
    for part in (state.record, state.receipt, state.block):
        if part is None:
            continue
        for value in astuple(part):
            if isinstance(value, datetime):
                moments.append(value)
            elif type(value) is int:
                numbers.append(value)
    assert all(moment is None or moment.tzinfo is UTC for moment in moments)
    assert all(number is None or number >= 0 for number in numbers)


_numbers = st.one_of(
    st.integers(-5, 10**70).map(str),
    any_text,
    st.sampled_from(
        ["9" * 63, "9" * 5000, "\u0663", "\u00b2", "\uff11", "1_0", " 1", "-0", "+1", "1e3", "0x1"]
    ),
    st.integers(253_402_300_700, 253_402_300_900).map(str),
)
_labels = st.fixed_dictionaries(
    {},
    optional={
        codec.PHASE: st.sampled_from([phase.label for phase in Phase]) | any_text,
        codec.ID: any_text,
        codec.NEXT: _numbers,
        codec.TOKEN: _numbers,
        codec.LEASE: _numbers,
        codec.WAKE: _numbers,
        codec.BLOCKED: any_text,
    },
)


def _record_texts() -> st.SearchStrategy[str]:
    real = st.builds(
        lambda state, secret: codec.encode(state, replace(secret, labels={}, annotations={})),
        states,
        secrets,
    ).map(lambda maps: [maps.annotations[key] for key in OURS & maps.annotations.keys()])
    whole = real.flatmap(lambda texts: st.sampled_from(texts) if texts else st.just("{}"))
    edited = st.builds(_edited, whole, st.randoms(use_true_random=False), json_values)
    near = mutated(whole.map(str.encode)).map(lambda text: text.decode(errors="replace"))
    return whole | edited | near | st.sampled_from(HOSTILE) | json_values.map(dumped) | any_text


def _edited(text: str, random: Any, value: Any) -> str:
    """Put another value into one field of a stored record."""
    document = json.loads(text)
    inner = document.get("record", document)
    if inner:
        inner[random.choice(sorted(inner))] = value
    return dumped(document)


_annotations = st.fixed_dictionaries(
    {}, optional={key: _record_texts() for key in (codec.RECORD, codec.RECEIPT, codec.BLOCK)}
)


def _record(phase: str = "soaking", **fields: Any) -> dict[str, str]:
    record = {
        "id": "r1",
        "mode": "routine",
        "started_at": "2026-11-22T12:00:00Z",
        "message_id": "7",
        "base": 1,
        "next": 2,
        **fields,
    }
    return {codec.RECORD: json.dumps({"phase": phase, "record": record})}


@examples(200)
@given(_labels, _annotations, secrets)
@example({codec.TOKEN: "9" * 5000}, {}, Secret(NAME, "", NOW))
@example({codec.TOKEN: "\u0663"}, {}, Secret(NAME, "", NOW))
@example({codec.TOKEN: "9" * 63}, {}, Secret(NAME, "", NOW))
@example({codec.WAKE: "253402300800"}, {}, Secret(NAME, "", NOW))
@example({codec.PHASE: "settled"}, _record("settled"), Secret(NAME, "", NOW))
@example({codec.PHASE: "soaking"}, _record(started_at="2026-11-22T12:00:00"), Secret(NAME, "", NOW))
@example(
    {codec.PHASE: "soaking"}, _record(started_at="2026-11-22T12:00:00+01:00"), Secret(NAME, "", NOW)
)
@example({codec.PHASE: "soaking"}, _record(id="Not a label", next=2), Secret(NAME, "", NOW))
@example({codec.PHASE: "soaking"}, _record(base=-1), Secret(NAME, "", NOW))
@example({codec.PHASE: "retiring"}, _record("revoking", next=None), Secret(NAME, "", NOW))
@example({codec.PHASE: "retiring"}, _record("revoking", previous=2), Secret(NAME, "", NOW))
@example(
    {codec.PHASE: "soaking"},
    {codec.RECORD: '{"x":' + "[" * 20_000},
    Secret(NAME, "", NOW),
)
def test_any_maps_are_a_sound_state_or_refused(
    labels: dict[str, str], annotations: dict[str, str], secret: Secret
) -> None:
    check_decodes_or_refuses(
        replace(
            secret,
            labels={**secret.labels, **labels},
            annotations={**secret.annotations, **annotations},
        )
    )


@examples(60)
@given(st.dictionaries(st.sampled_from(codec.LABELS), label_values), _annotations, secrets, blocks)
@example({codec.PHASE: ""}, {}, Secret(NAME, "", NOW), Block("state-invalid", "nonsense", NOW))
def test_nonsense_of_any_kind_can_be_blocked(
    labels: dict[str, str], annotations: dict[str, str], secret: Secret, block: Block
) -> None:
    """Who cannot read a state must be able to say so, or the secret fails unseen for ever."""
    secret = replace(
        secret,
        labels={**secret.labels, **labels},
        annotations={**secret.annotations, **annotations},
    )
    maps = accepted(lambda: codec.encode_block(block, secret), reasons={"no-room"})
    if maps:
        assert codec.read_block(stored(secret, maps)) == block


@examples(80)
@given(states, _record_texts(), secrets)
def test_what_does_not_fit_a_label_is_never_sent(state: State, text: str, secret: Secret) -> None:
    """The id of a rotation and the reason of a block become labels, whoever wrote them."""
    block = Block(reason=text[:80], message=text[:80], since=NOW)
    record = replace(state.record, id=text[:80]) if state.record else None
    state = replace(state, block=block, record=record, aliases=dict(secret.aliases))
    if not all(unicodedata.category(character) != "Cs" for character in text[:80]):
        return
    for maps in (
        accepted(lambda: codec.encode(state, secret)),
        accepted(lambda: codec.encode_block(block, secret)),
    ):
        if maps:
            check_limits(maps)

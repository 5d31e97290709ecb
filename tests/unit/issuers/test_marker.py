import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.issuers._slots import marker
from rotation.issuers._slots.marker import Marker, SlotState
from rotation.model.errors import StateError

MARKERS = st.builds(
    Marker,
    st.integers(min_value=0, max_value=10**18 - 1),
    st.integers(min_value=0, max_value=2**31),
    st.sampled_from(SlotState),
    st.sampled_from(
        ["", "projects/42/secrets/orders", "projects/x.y:z/locations/l-1/secrets/A_b-c"]
    ),
)


@given(st.text(), MARKERS, MARKERS)
def test_the_last_written_marker_is_read_and_foreign_text_is_kept(
    text: str, first: Marker, second: Marker
) -> None:
    foreign = text.replace("[rotation", "")
    comment = marker.write(marker.write(foreign, first), second)
    assert marker.read(comment) == second
    assert marker.foreign_text(comment) == foreign.strip()


@pytest.mark.parametrize("comment", [None, "", "Orders, write access", "[rotations are weekly]"])
def test_a_comment_without_our_part_has_no_marker(comment: str | None) -> None:
    assert marker.read(comment) is None


@pytest.mark.parametrize(
    "comment",
    [
        "[rotation]",
        "[rotation token=x version=1 state=minted]",
        "[rotation token=1 version=1 state=lost]",
        "[rotation token=1 version=1 state=minted extra=1]",
        "[rotation token=1 version=1 state=minted secret=]",
        "[rotation token=1 version=1 state=minted secret=a b]",
    ],
)
def test_an_unreadable_marker_stops_everything(comment: str) -> None:
    with pytest.raises(StateError):
        marker.read(comment)

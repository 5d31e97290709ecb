"""The rules of an outside participant, for every one whose subject is there."""

from collections.abc import Iterator

import pytest

from rotation.model.rollout import Answer
from tests.contract.found import subjects_of
from tests.contract.participants.simple import Place
from tests.contract.participants.subject import MOVE

SUBJECTS = subjects_of("participants")
PREVIOUS, NEXT = MOVE.change.previous or 0, MOVE.change.next


@pytest.fixture(params=SUBJECTS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with SUBJECTS[request.param].open_subject() as place:
        place.put(PREVIOUS)
        yield place


def test_prepare_votes_yes_and_consumers_see_nothing(place: Place) -> None:
    assert place.participant().plan(MOVE).edits
    for _ in range(2):
        assert place.participant().prepare(MOVE).answer is Answer.DONE
    assert place.handed_out() == PREVIOUS


def test_commit_hands_out_the_next_version_and_can_be_repeated(place: Place) -> None:
    place.participant().prepare(MOVE)
    for _ in range(2):
        assert place.participant().commit(MOVE).answer is Answer.DONE
        assert place.handed_out() == NEXT
    assert place.participant().observe(MOVE).versions == {NEXT}
    place.participant().retire(MOVE)
    assert place.handed_out() == NEXT


def test_revert_hands_back_the_previous_version_and_can_be_repeated(place: Place) -> None:
    place.participant().prepare(MOVE)
    place.participant().commit(MOVE)
    for _ in range(2):
        assert place.participant().revert(MOVE).answer is Answer.DONE
        assert place.handed_out() == PREVIOUS


def test_revert_and_abort_may_come_before_commit(place: Place) -> None:
    place.participant().prepare(MOVE)
    assert place.participant().revert(MOVE).answer is Answer.DONE
    place.participant().abort(MOVE)
    assert place.handed_out() == PREVIOUS


def test_another_version_is_refused_and_left_alone(place: Place) -> None:
    place.put(NEXT + 5)
    vote = place.participant().prepare(MOVE)
    assert vote.answer is Answer.NO
    assert vote.reason
    assert vote.remedy
    place.participant().revert(MOVE)
    assert place.handed_out() == NEXT + 5

"""What of a campaign may be published now: a table, and laws that hold on every path."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.machine import campaign
from rotation.machine.campaign import Condition, Limits, Subject

FREE = Limits()


def subjects(text: str, *, places: int = 100) -> list[Subject]:
    """Read ``w`` waiting, ``a`` asked, ``d`` done, ``f`` failed; ended in this order."""
    made = []
    for number, letter in enumerate(text):
        subject = Subject(f"s{number}", "1", f"db{number % places}")
        if letter != "w":
            subject = subject.asked(0.0)
        if letter in "df":
            subject = subject.ended(1.0 + number / 100, failed=letter == "f")
        made.append(subject)
    return made


@pytest.mark.parametrize(
    ("text", "limits", "asked"),
    [
        pytest.param("www", FREE, 3, id="a few are asked at once"),
        pytest.param("w" * 30, FREE, campaign.LEAST, id="no more than the least window at first"),
        pytest.param("w" * 30, replace(FREE, together=2), 2, id="no more than may be together"),
        pytest.param("aaww", replace(FREE, together=2), 0, id="those in flight count"),
        pytest.param("adww", replace(FREE, together=2), 1, id="an answer makes room"),
        pytest.param("w" * 9, replace(FREE, per_project=3), 3, id="no more than for a project"),
        pytest.param("w" * 9, replace(FREE, per_minute=10), 5, id="a stretch of the quota's pace"),
        pytest.param("w" * 9, replace(FREE, per_minute=2), 1, id="one where the quota is tiny"),
        pytest.param("fffffw", FREE, 0, id="five failures in a row stop it"),
        pytest.param("ffffdw", FREE, 1, id="an answer in between does not"),
        pytest.param("fffffw", replace(FREE, stop_after=0), 1, id="never stops"),
        pytest.param("fdddfdddfddfw", FREE, 0, id="more than a quarter of many stop it"),
        pytest.param("fdddfdddfdddw", FREE, 1, id="a quarter does not"),
        pytest.param("fdddfdddfddfw", replace(FREE, stop_share=1.0), 1, id="no share stops it"),
    ],
)
def test_what_may_be_asked_now(text: str, limits: Limits, asked: int) -> None:
    assert len(campaign.step(subjects(text), limits, 2.0).ask) == asked


def test_one_database_is_never_asked_too_much_and_does_not_hold_up_others() -> None:
    many = subjects("w" * 12, places=2)
    step = campaign.step(many, replace(FREE, per_place=3), 0.0)
    assert step.ask == ("s0", "s1", "s2", "s3", "s4", "s5")


def test_it_is_over_when_all_is_answered_or_given_up() -> None:
    assert campaign.step(subjects("dfd"), FREE, 2.0).over
    assert not campaign.step(subjects("dad"), FREE, 2.0).over
    late = campaign.step(subjects("dad"), replace(FREE, timeout=5), 5.0)
    assert late.over
    assert late.give_up == ("s1",)


def test_a_stopped_campaign_waits_for_what_is_in_flight() -> None:
    step = campaign.step(subjects("fffffaw"), FREE, 2.0)
    assert (step.stopped, step.over) == ("5 failures in a row", False)
    assert campaign.step(subjects("fffffw"), FREE, 2.0).over


def test_with_nothing_left_to_ask_failures_stop_nothing() -> None:
    assert campaign.step(subjects("fffff"), FREE, 2.0).stopped == ""


def test_the_window_grows_with_what_is_answered_and_not_beyond_the_limit() -> None:
    fast = subjects("d" * 40 + "w")
    assert campaign.window(fast, FREE, 2.0) == FREE.together
    slow = [
        replace(subject, ended_at=(subject.ended_at or 0) * 10)
        for subject in subjects("dd" + "w" * 20)
    ]
    assert campaign.window(slow, FREE, 20.0) == campaign.LEAST


def test_slow_answers_in_parallel_widen_the_window() -> None:
    """Requests that take minutes each, as pull requests do, are not asked eight at a time."""
    slow = [subject.asked(0.0).ended(120.0, failed=False) for subject in subjects("w" * 8)]
    assert campaign.window(slow, FREE, 121.0) > campaign.LEAST


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.99, 4.0), (0.25, 1.0), (1.0, 4.0)])
def test_percentiles(share: float, expected: float) -> None:
    assert campaign.percentile([4.0, 1.0, 3.0, 2.0], share) == expected
    assert campaign.percentile([], share) is None


limits_ = st.builds(
    Limits,
    together=st.integers(1, 40),
    per_place=st.integers(1, 6),
    per_project=st.integers(1, 30),
    per_minute=st.sampled_from([0.0, 1.0, 7.0, 60.0, 200.0]),
    stop_after=st.integers(0, 6),
    stop_share=st.sampled_from([0.25, 1.0]),
    timeout=st.floats(5, 100),
)


@settings(deadline=None, max_examples=150)
@given(
    limits=limits_,
    places=st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 3)), min_size=1, max_size=60),
    answers=st.lists(st.tuples(st.floats(0.1, 9), st.booleans()), min_size=1, max_size=30),
    looks=st.floats(0.2, 5),
)
def test_every_path_keeps_the_limits_asks_once_and_ends(
    limits: Limits,
    places: list[tuple[str, int]],
    answers: list[tuple[float, bool]],
    looks: float,
) -> None:
    every = {f"s{n}": Subject(f"s{n}", p, f"{p}{db}") for n, (p, db) in enumerate(places)}
    now, asked = 0.0, list[tuple[float, str]]()
    for _ in range(20_000):
        step = campaign.step(list(every.values()), limits, now)
        for name in step.give_up:
            every[name] = every[name].ended(now, failed=True)
        for name in step.ask:
            assert every[name].condition is Condition.WAITING
            every[name] = every[name].asked(now)
            asked.append((now, name))
        flying = [subject for subject in every.values() if subject.condition is Condition.ASKED]
        _check(flying, asked, every, limits, now)
        if step.over:
            break
        now += looks
        for number, subject in enumerate(flying):
            takes, failed = answers[number % len(answers)]
            if now - (subject.asked_at or 0) >= takes:
                every[subject.name] = subject.ended(now, failed=failed)
    else:
        pytest.fail("it never ends")
    waiting = sum(subject.condition is Condition.WAITING for subject in every.values())
    assert bool(waiting) == bool(step.stopped)
    assert len(asked) == len({name for _, name in asked}) == len(every) - waiting


def _check(
    flying: list[Subject],
    asked: list[tuple[float, str]],
    every: dict[str, Subject],
    limits: Limits,
    now: float,
) -> None:
    assert len(flying) <= limits.together
    for place in {subject.place for subject in flying}:
        assert sum(subject.place == place for subject in flying) <= limits.per_place
    for project in "pq":
        assert sum(subject.project == project for subject in flying) <= limits.per_project
        if limits.per_minute:
            stretch = max(campaign.STRETCH, 60 / limits.per_minute)
            times = [at for at, name in asked if every[name].project == project]
            recent = sum(at > now - stretch for at in times)
            assert recent <= max(limits.per_minute * stretch / 60, 1)

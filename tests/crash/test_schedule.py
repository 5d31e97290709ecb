"""A seed says everything: the same one gives the same schedule, and it can be read."""

from collections import Counter

from tests.crash.schedule import ASKS, schedule

MANY = [schedule(seed) for seed in range(300)]


def test_same_seed_gives_the_same_schedule() -> None:
    assert [schedule(seed) for seed in range(300)] == MANY
    assert len({str(drawn) for drawn in MANY}) == len(MANY)


def test_steps_are_in_order_and_each_can_be_read() -> None:
    for drawn in MANY:
        moments = [step.moment for step in drawn.steps]
        assert moments == sorted(moments)
        lines = str(drawn).splitlines()
        assert lines[0].startswith(f"seed {drawn.seed}: {drawn.workers} function processes")
        assert len(lines) == 1 + len(drawn.steps)


def test_every_seed_asks_for_something() -> None:
    assert all(any(step.action in ASKS for step in drawn.steps) for drawn in MANY)


def test_every_kind_of_fault_comes_up_and_with_one_to_four_processes() -> None:
    kinds = Counter(step.kind for drawn in MANY for step in drawn.steps)
    links = ("primary", "replica", "secrets", "publish", "push")
    modes = ("delay", "cut", "reset", "black-hole", "refuse")
    expected = {
        *ASKS,
        *(
            "wait-ends",
            "lease-ends",
            "kill-worker",
            "kill-instance",
            "arm",
            "stop",
            "late",
            "end-sessions",
        ),
        *("duplicate", "lose-acks", "fail-over", "restart fast", "restart immediate"),
        *("commit lose-answer", "commit lose-commit"),
        *(f"link {link} {mode}" for link in links for mode in modes),
        *(f"cut-request {link}" for link in ("secrets", "publish", "push")),
        *(f"secrets {mode}" for mode in ("stale", "unavailable", "committed-unavailable")),
        *("secrets exhausted", "secrets latency"),
    }
    assert set(kinds) == expected
    assert {drawn.workers for drawn in MANY} == {1, 2, 3, 4}


def test_instances_named_are_in_use() -> None:
    for drawn in MANY:
        named = [s.arguments["instance"] for s in drawn.steps if "instance" in s.arguments]
        assert all(instance < drawn.workers for instance in named)


def test_at_most_one_upheaval_of_the_database() -> None:
    for drawn in MANY:
        assert sum(step.action in {"restart", "fail-over"} for step in drawn.steps) <= 1

from .explore import explore, wander
from .moves import Model
from .replay import Answer, Replays
from .scenarios import SCENARIOS, rotated
from .state import AGAIN, FIRING, TOUCH, Bounds, Scenario, State
from .world import Failed, new_world

ALONE = Scenario("alone", (FIRING,))


def _calm_end(scenario: Scenario) -> tuple[Model, State]:
    model = Model(scenario, Bounds())
    state = model.start()
    while moves := list(model.moves(state)):
        assert len(moves) == 1
        state = moves[0].state
    return model, state


def test_calm_day_is_one_path_with_a_rotation_on_it() -> None:
    _, end = _calm_end(ALONE)
    assert end.world.pointed == 2
    assert [version.state.value for version in end.world.versions] == ["destroyed", "enabled"]
    assert end.world.stored.receipt is not None


def test_every_single_fault_of_a_firing_is_survived() -> None:
    report = explore(ALONE, Bounds(1))
    assert report.breach is None, str(report)
    assert report.states > 3000


def test_two_orders_of_the_same_effects_meet_again() -> None:
    report = explore(Scenario("twice", (FIRING, AGAIN)), Bounds())
    assert report.breach is None, str(report)
    assert report.transitions > report.states


def test_wider_bounds_reach_more_states() -> None:
    happening = Scenario("alone", (FIRING,), (TOUCH,))
    states = [explore(happening, Bounds(n, happenings=n)).states for n in (0, 1)]
    assert states[0] < states[1]


def test_worker_run_again_stands_where_it_stood() -> None:
    model, _ = _calm_end(ALONE)
    again = Replays()
    for number in range(len(model.replays)):
        met = model.replays[number]
        stands = again.begin(met.wake_up, met.serial, met.answers[0].clock)
        for answer in met.answers[1:]:
            stands = again.answer(stands, answer)
        assert (again[stands].asks, again[stands].notes) == (met.asks, met.notes)


def test_second_answer_to_one_question_starts_from_the_same_past() -> None:
    model = Model(ALONE, Bounds())
    state = next(model.moves(model.start())).state
    stands, world = state.actors[0].stands, new_world()
    stale = model.replays.answer(stands, Answer(1, world.secret))
    other = model.replays.answer(stands, Answer(2, world.secret))
    assert model.replays[stale].asks != model.replays[other].asks  # the time is in the claim
    assert model.replays.answer(stands, Answer(1, world.secret)) == stale


def test_random_paths_are_the_same_for_the_same_seed() -> None:
    bounds = Bounds(4, stalls=1, happenings=2)
    first, again = (wander(SCENARIOS[0], bounds, 7, 20) for _ in range(2))
    assert first == again
    assert first.breach is None, str(first)


def test_setups_are_worlds_at_rest() -> None:
    world = rotated()
    assert not isinstance(world.secret, Failed)
    assert "rotation_phase" not in dict(world.secret.labels)

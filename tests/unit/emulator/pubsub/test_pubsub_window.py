from rotation.emulator.pubsub.window import LARGEST_WINDOW, Window


def test_window_doubles_with_a_success_and_halves_with_a_failure() -> None:
    window = Window(1)
    sizes = []
    for accepted in (True, True, True, False, False, False, False, True):
        window.start()
        window.finish(accepted=accepted)
        sizes.append(window.free)
    assert sizes == [2, 4, 8, 4, 2, 1, 1, 2]


def test_running_pushes_take_room_even_after_the_window_shrank() -> None:
    window = Window(4)
    for _ in range(4):
        window.start()
    assert window.free == 0
    window.finish(accepted=False)
    assert window.free == 0
    window.finish(accepted=True)
    assert window.free == 2


def test_window_has_a_largest_size() -> None:
    window = Window(LARGEST_WINDOW)
    window.start()
    window.finish(accepted=True)
    assert window.free == LARGEST_WINDOW

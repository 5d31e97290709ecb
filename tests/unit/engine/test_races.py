from rotation.model.wakeup import Ask

from .world import World


def test_latest_opens_a_session_at_every_moment_of_a_revert() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    dead: list[str] = []

    def look(effect: str) -> None:
        if not world.logs_in(max(world.store.versions)):
            dead.append(effect)

    world.store.trouble = look
    world.issuer.trouble = staticmethod(look)
    world.worker().tick(world.asked(Ask.REVERT))
    assert world.receipt["outcome"] == "reverted"
    assert dead == []

"""Passwords of a user come and go on real servers, whatever happens in the middle."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import redis

from rotation.issuers.redis.issuer import Redis
from rotation.issuers.redis.server import ConflictError, Server, translate
from rotation.issuers.redis.target import RotatorServer
from rotation.local.redis import RedisServer
from rotation.model.errors import (
    CredentialRefusedError,
    PermanentError,
    StaleTokenError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.support.redis.kit import RULES, Site, hash_of, make_site
from tests.support.redis.worker import CHANGES


def handle_of(site: Site, payload: Payload) -> str:
    return site.issuer().identify(payload)


def two(site: Site) -> tuple[Payload, Payload]:
    old = site.mint(1)
    return old, site.mint(2, old)


def is_alive(client: redis.Redis) -> bool:
    try:
        return bool(client.execute_command("PING"))
    except (redis.ConnectionError, redis.TimeoutError):
        return False


def test_a_whole_life_on_a_server_and_its_replica(pair: Site) -> None:
    old, new = two(pair)
    assert pair.issuer().verify(new).nodes == tuple(server.address for server in pair.servers)
    handle = handle_of(pair, old)
    pair.issuer().suspend(handle, 2)
    assert [pair.works(old, server) for server in pair.servers] == [False, False]
    pair.issuer().restore(handle, 2)
    assert [pair.works(old, server) for server in pair.servers] == [True, True]
    pair.issuer().revoke(handle, 3)
    assert [pair.works(old, server) for server in pair.servers] == [False, False]
    assert [pair.works(new, server) for server in pair.servers] == [True, True]
    with pytest.raises(PermanentError, match="revoked"):
        pair.issuer().restore(handle, 3)
    with pytest.raises(StaleTokenError):
        pair.issuer().revoke(handle_of(pair, new), 2)


def test_an_older_token_is_refused_by_each_server_by_itself(pair: Site) -> None:
    old, new = two(pair)
    second = pair.issuer(nodes=(pair.servers[1].address,))
    second.restore(handle_of(pair, new), 9)
    with pytest.raises(StaleTokenError) as stale:
        pair.issuer().suspend(handle_of(pair, old), 5)
    assert stale.value.newest == 9
    assert pair.works(old, pair.servers[1])


def test_a_restart_keeps_what_was_changed(site: Site) -> None:
    old, new = two(site)
    site.issuer().revoke(handle_of(site, old), 3)
    site.server.restart()
    assert (site.works(old), site.works(new)) == (False, True)
    with pytest.raises(StaleTokenError):
        site.issuer().suspend(handle_of(site, new), 2)


def test_flushed_data_changes_nothing(site: Site) -> None:
    old, new = two(site)
    site.issuer().suspend(handle_of(site, old), 3)
    site.by_hand("FLUSHALL")
    with pytest.raises(StaleTokenError):
        site.issuer().restore(handle_of(site, old), 2)
    site.issuer().restore(handle_of(site, old), 3)
    assert site.works(old)
    assert site.works(new)


def test_a_server_whose_memory_is_full_is_changed_all_the_same(site: Site) -> None:
    old = site.mint(1)
    site.by_hand("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        site.by_hand("SET", "a", "b")
    new = site.mint(2, old)
    site.issuer().revoke(handle_of(site, old), 3)
    assert (site.works(old), site.works(new)) == (False, True)


@pytest.mark.parametrize("change", ["mint", "suspend", "revoke"])
def test_a_server_that_restarts_before_the_change_is_saved_is_changed_by_the_repeat(
    site: Site, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = two(site)

    def die(*_: object) -> None:
        site.server.restart()
        raise TemporaryError("the server is gone")

    monkeypatch.setattr(RotatorServer, "save", die)
    acts: dict[str, Callable[[], object]] = {
        "mint": lambda: site.mint(3, new),
        "suspend": lambda: site.issuer().suspend(handle_of(site, old), 3),
        "revoke": lambda: site.issuer().revoke(handle_of(site, old), 3),
    }
    with pytest.raises(TemporaryError):
        acts[change]()
    assert site.works(old), "nothing was saved"
    monkeypatch.undo()
    acts[change]()
    assert not site.works(old)
    assert site.works(new)
    site.server.restart()
    assert not site.works(old)


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.redis.worker"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


def is_killed(worker: subprocess.Popen[str], site: Site, act: str, **order: object) -> bool:
    """Act in a process that is killed before a command that changes something; whether it was."""
    body = {"settings": asdict(site.settings()), "admin": site.admin, "act": act, **order}
    worker.stdin.write(json.dumps(body) + "\n")
    worker.stdin.flush()
    status = int(worker.stdout.readline())
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.parametrize("act", ["mint", "suspend", "revoke"])
def test_a_worker_killed_before_any_command_is_followed_by_another(
    pair: Site, worker: subprocess.Popen[str], act: str
) -> None:
    kills, was_killed = 0, True
    while was_killed:
        site = make_site(*pair.servers)
        old, new = two(site)
        issuer, handle, live = site.issuer(), handle_of(site, old), {hash_of(new)}
        candidate = issuer.propose(issuer.next_handle(new, "r3"), "r3", new)
        order = {
            "commands": kills,
            "handle": handle,
            "candidate": candidate.fields(),
            "current": new.fields(),
        }
        was_killed = is_killed(worker, site, act, **order)
        assert [site.works(new, server) for server in site.servers] == [True, True]
        # The third credential, or the end of the first: in both cases the first one goes.
        if act == "mint":
            third = site.mint(3, new)
            live.add(hash_of(third))
        else:
            getattr(issuer, act)(handle, 3)
        assert [site.hashes(server=server) for server in site.servers] == [live, live]
        kills += was_killed
    assert kills >= 6, "on both servers: the record, the user, the file"


@pytest.mark.parametrize("name", ["record", "user"])
def test_a_newer_worker_between_reading_and_writing_wins(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = two(site)
    write, raced = Server.set_user, []

    def slow(self: Server, user: str, rules: tuple[str, ...]) -> None:
        if user == getattr(site, name) and not raced:
            raced.append(user)
            site.issuer().suspend(handle_of(site, old), 5)
        write(self, user, rules)

    monkeypatch.setattr(Server, "set_user", slow)
    with pytest.raises(StaleTokenError):
        site.issuer().restore(handle_of(site, old), 4)
    assert raced
    assert not site.works(old)
    assert site.works(new)
    site.issuer().restore(handle_of(site, old), 5)
    assert site.works(old)


def test_what_a_late_worker_adds_between_the_commands_of_a_newer_one_is_known_and_goes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = two(site)
    write, held, third = Server.set_user, [], []

    def slow(self: Server, user: str, rules: tuple[str, ...]) -> None:
        if user == site.user and not held:
            # The older worker has written the record; its second command is on its way.
            held.append((self, user, rules))
            third.append(site.mint(5, new))
            raise UnknownOutcomeError("it has not heard of it yet")
        if user == site.user and len(held) == 1:
            write(*held[0])
            held.append(())
        write(self, user, rules)

    monkeypatch.setattr(Server, "set_user", slow)
    with pytest.raises(UnknownOutcomeError):
        site.mint(4, new)
    assert len(held) == 2
    assert site.hashes() == {hash_of(new), hash_of(third[0])}
    assert site.works(third[0])
    assert not site.works(old)


def test_two_workers_at_the_first_rotation_ever_leave_the_newer_one_s(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, raced = Server.set_user, []

    def slow(self: Server, user: str, rules: tuple[str, ...]) -> None:
        if len(raced) < 6:
            raced.append(user)
            if len(raced) in (1, 3):
                site.mint(5)
        write(self, user, rules)

    monkeypatch.setattr(Server, "set_user", slow)
    with pytest.raises(StaleTokenError):
        site.mint(4)
    assert len(site.hashes()) == 1


def test_a_late_command_of_an_older_worker_is_refused_as_a_whole(site: Site) -> None:
    old, _ = two(site)
    with site.server.log_in() as root:
        read = root.execute_command("ACL GETUSER", site.user)["passwords"]
        mark = next(digest for digest in read if digest.startswith(b"rotation".hex()))
        site.issuer().suspend(handle_of(site, old), 3)
        with pytest.raises(redis.ResponseError, match="does not exist"):
            root.execute_command("ACL", "SETUSER", site.user, f"#{hash_of(old)}", f"!{mark}")
    assert not site.works(old)


def test_who_always_loses_gives_up_for_now(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> None:
        raise ConflictError

    two(site)
    monkeypatch.setattr(Server, "set_user", lose)
    with pytest.raises(TemporaryError, match="somebody else"):
        site.mint(3)


def test_sessions_that_began_after_the_suspension_live_on(site: Site) -> None:
    old, new = two(site)
    with site.log_in(old) as before, site.log_in(new) as early:
        assert is_alive(before)
        assert is_alive(early)
        site.issuer().suspend(handle_of(site, old), 3)
        assert is_alive(before)
        with site.log_in(new) as after:
            assert is_alive(after)
            assert site.issuer().revoke(handle_of(site, old), 4) == 2
            assert [is_alive(client) for client in (before, early, after)] == [False, False, True]


def test_a_session_that_was_there_before_and_logs_in_again_is_ended_too(site: Site) -> None:
    old, new = two(site)
    with site.log_in(old) as session:
        site.issuer().suspend(handle_of(site, old), 3)
        session.execute_command("AUTH", site.user, new.fields()["password"])
        assert site.issuer().revoke(handle_of(site, old), 3) == 1
        assert not is_alive(session)


def test_a_restored_password_gets_a_new_limit_of_sessions(site: Site) -> None:
    old, _ = two(site)
    handle = handle_of(site, old)
    site.issuer().suspend(handle, 3)
    site.issuer().restore(handle, 3)
    with site.log_in(old) as session:
        assert is_alive(session)
        site.issuer().suspend(handle, 3)
        assert site.issuer().revoke(handle, 3) == 1


def test_after_a_restart_client_ids_begin_again_and_nobody_is_ended(site: Site) -> None:
    old, new = two(site)
    for _ in range(20):
        assert site.works(new)
    site.issuer().suspend(handle_of(site, old), 3)
    site.server.restart()
    with site.log_in(new) as session:
        assert is_alive(session)
        assert site.issuer().revoke(handle_of(site, old), 3) == 0
        assert is_alive(session)


def test_a_suspended_password_that_somebody_gave_back_ends_all_sessions(site: Site) -> None:
    old, _ = two(site)
    site.issuer().suspend(handle_of(site, old), 3)
    site.by_hand("ACL", "SETUSER", site.user, f"#{hash_of(old)}")
    with site.log_in(old) as session:
        assert is_alive(session)
        assert site.issuer().revoke(handle_of(site, old), 3) == 1
        assert not is_alive(session)
    assert not site.works(old)


@pytest.mark.parametrize("made", ["by rotation", "by hand"])
def test_a_revoked_password_that_somebody_gave_back_is_revoked_again(pair: Site, made: str) -> None:
    if made == "by rotation":
        old = pair.mint(1)
    else:
        old = Payload.of({"username": pair.user, "password": "by hand"})
        for server in pair.servers:
            pair.by_hand("ACL", "SETUSER", pair.user, f"#{hash_of(old)}", server=server)
    new = pair.mint(2, old)
    pair.issuer().revoke(handle_of(pair, old), 3)
    for server in pair.servers:
        pair.by_hand("ACL", "SETUSER", pair.user, f"#{hash_of(old)}", server=server)
    with pair.log_in(old) as session, pair.log_in(old, pair.servers[1]) as other:
        assert is_alive(session)
        assert is_alive(other)
        assert pair.issuer().revoke(handle_of(pair, old), 3) == 2
        assert (is_alive(session), is_alive(other)) == (False, False)
    assert [pair.works(old, server) for server in pair.servers] == [False, False]
    assert [pair.works(new, server) for server in pair.servers] == [True, True]
    assert hash_of(old) not in pair.memory()


def test_a_revoked_password_that_was_gone_before_is_revoked_when_it_comes_back(site: Site) -> None:
    site.mint(1)
    gone = Payload.of({"username": site.user, "password": "by hand"})
    assert site.issuer().revoke(handle_of(site, gone), 2) == 0
    site.by_hand("ACL", "SETUSER", site.user, f"#{hash_of(gone)}")
    with site.log_in(gone) as session:
        assert is_alive(session)
        assert site.issuer().revoke(handle_of(site, gone), 2) == 1
    assert not site.works(gone)


def test_a_repeated_emergency_does_not_end_the_sessions_of_the_new_password(site: Site) -> None:
    old, new = two(site)
    site.issuer().revoke(handle_of(site, old), 3)
    with site.log_in(new) as session:
        assert is_alive(session)
        assert site.issuer().revoke(handle_of(site, old), 4) == 0
        assert is_alive(session)


def test_a_password_that_somebody_set_is_rotated_like_our_own(site: Site) -> None:
    site.by_hand("ACL", "SETUSER", site.user, f"#{hash_of('by hand')}")
    first = Payload.of({"username": site.user, "password": "by hand", "team": "shop"})
    handle = handle_of(site, first)
    assert handle == f"h-{hash_of('by hand')[:16]}"
    new = site.mint(1, first)
    assert new.fields()["team"] == "shop"
    site.issuer().suspend(handle, 1)
    assert not site.works(first)
    site.issuer().restore(handle, 1)
    assert site.works(first)
    site.issuer().revoke(handle, 2)
    assert not site.works(first)
    assert site.works(new)


def test_a_handle_copied_beside_another_password_does_not_count(site: Site) -> None:
    payload = site.mint(1)
    copied = Payload.of({**payload.fields(), "password": "another"})
    assert handle_of(site, copied) == f"h-{hash_of('another')[:16]}"


def test_hashes_that_others_set_stay(site: Site) -> None:
    site.by_hand("ACL", "SETUSER", site.user, f"#{hash_of('a person')}")
    old, new = two(site)
    site.issuer().revoke(handle_of(site, old), 3)
    third = site.mint(4, new)
    assert site.hashes() == {hash_of("a person"), hash_of(new), hash_of(third)}


def test_the_third_password_takes_the_place_of_what_is_not_in_force(site: Site) -> None:
    old, new = two(site)
    third = site.mint(3, new)
    assert site.hashes() == {hash_of(new), hash_of(third)}
    assert handle_of(site, old) not in site.memory()


def test_without_a_credential_in_force_no_other_is_taken_away(site: Site) -> None:
    old = site.mint(1)
    new = site.mint(2)
    assert site.hashes() == {hash_of(old), hash_of(new)}


def test_an_attempt_with_another_candidate_takes_the_first_one_s_place(site: Site) -> None:
    first, second = site.mint(1), site.mint(1)
    assert site.hashes() == {hash_of(second)}
    assert not site.works(first)


def test_a_lost_record_stops_a_revoke_only_where_a_password_may_be_it(site: Site) -> None:
    old, new = two(site)
    site.by_hand("ACL", "DELUSER", site.record)
    with pytest.raises(PermanentError, match="does not know which password"):
        site.issuer().revoke(handle_of(site, old), 3)
    assert site.works(old)
    third = site.mint(4, new)  # it writes down the one in force
    site.issuer().suspend(handle_of(site, new), 4)
    assert not site.works(new)
    assert site.works(third)


def test_passwords_reset_by_hand_are_found_by_verifying_and_mended_by_a_mint(site: Site) -> None:
    old, new = two(site)
    site.by_hand("ACL", "SETUSER", site.user, "resetpass", f"#{hash_of('by hand')}")
    with pytest.raises(CredentialRefusedError):
        site.issuer().verify(new)
    with pytest.raises(StaleTokenError):
        site.mint(1, old)
    assert site.works(site.mint(3, new))
    assert hash_of("by hand") in site.hashes()


def test_a_record_that_somebody_wrote_in_stops_the_rotation(site: Site) -> None:
    two(site)
    site.by_hand("ACL", "SETUSER", site.record, "~whatever")
    with pytest.raises(PermanentError, match="rotation did not write"):
        site.mint(3)


@pytest.mark.parametrize(
    ("rules", "words"), [(None, "has no ACL user"), (("nopass",), "needs no password")]
)
def test_a_user_that_cannot_be_rotated_is_refused(
    site: Site, rules: tuple[str, ...] | None, words: str
) -> None:
    if rules is None:
        site.by_hand("ACL", "DELUSER", site.user)
    else:
        site.by_hand("ACL", "SETUSER", site.user, *rules)
    with pytest.raises(PermanentError, match=words):
        site.mint(1)


def test_a_node_that_is_down_keeps_no_other_from_losing_a_password(pair: Site) -> None:
    old, new = two(pair)
    pair.servers[0].kill()
    with pytest.raises(TemporaryError, match=pair.servers[0].address):
        pair.issuer().revoke(handle_of(pair, old), 3)
    assert not pair.works(old, pair.servers[1])
    pair.servers[0].start()
    pair.issuer().revoke(handle_of(pair, old), 3)
    assert not pair.works(old)
    assert pair.works(new)


def test_a_connection_lost_while_changing_is_of_unknown_outcome(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = two(site)

    def cut(self: Server, user: str, rules: tuple[str, ...]) -> None:
        site.by_hand("CLIENT", "KILL", "USER", site.admin["username"])
        write(self, user, rules)

    write = Server.set_user
    monkeypatch.setattr(Server, "set_user", cut)
    with pytest.raises(UnknownOutcomeError):
        site.issuer().suspend(handle_of(site, old), 3)
    monkeypatch.undo()
    site.issuer().suspend(handle_of(site, old), 3)
    assert not site.works(old)


@pytest.mark.parametrize("act", ["mint", "suspend", "revoke"])
def test_a_command_whose_answer_is_lost_is_followed_by_a_repeat(
    pair: Site, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, left = Server._send, [0]

    def deaf(self: Server, words: tuple[str, ...], **more: bool) -> Any:
        answer = send(self, words, **more)
        if words[:2] in CHANGES:
            left[0] -= 1
            if left[0] == 0:
                lost = redis.ConnectionError("the answer is lost")
                return None, translate(lost, self.node, "this", **more)
        return answer

    losses, was_lost = 0, True
    while was_lost:
        losses += 1
        site = make_site(*pair.servers)
        old, new = two(site)
        acts: dict[str, Callable[[], object]] = {
            "mint": lambda site=site, new=new: site.mint(3, new),
            "suspend": lambda site=site, old=old: site.issuer().suspend(handle_of(site, old), 3),
            "revoke": lambda site=site, old=old: site.issuer().revoke(handle_of(site, old), 3),
        }
        left[0] = losses
        with monkeypatch.context() as patch, suppress(TemporaryError):
            patch.setattr(Server, "_send", deaf)
            acts[act]()
        was_lost = left[0] <= 0
        again = acts[act]()
        live = {hash_of(new)} | ({hash_of(again)} if isinstance(again, Payload) else set())
        assert [site.hashes(server=server) for server in site.servers] == [live, live]
    assert losses > 6


def test_nothing_that_a_server_writes_holds_a_password(site: Site) -> None:
    site.by_hand("CONFIG", "SET", "slowlog-log-slower-than", "0")
    with site.server.log_in() as root, root.monitor() as monitor:
        old, new = two(site)
        site.issuer().verify(new)
        site.issuer().suspend(handle_of(site, old), 3)
        assert not site.works(old)
        site.issuer().revoke(handle_of(site, old), 3)
        site.by_hand("ECHO", "the end")
        heard = []
        while "the end" not in (line := monitor.next_command()["command"]):
            heard.append(line)
    texts = [
        *heard,
        str(site.by_hand("SLOWLOG", "GET", "1000")),
        str(site.by_hand("ACL LOG")),
        site.server.log.read_text(),
        site.server.aclfile.read_text(),
        site.memory(),
    ]
    assert len(site.passwords) == 2
    assert hash_of(new) in texts[-2], "the search can find"
    assert [word for word in site.passwords if any(word in text for text in texts)] == []


def test_without_a_file_of_users_the_configuration_keeps_them(binary: Path, tmp_path: Path) -> None:
    config = tmp_path / "redis.conf"
    config.write_text("")
    server = RedisServer(tmp_path / "one", binary)
    user = "user default on #" + hash_of(server.admin_password) + " ~* &* +@all"
    config.write_text(user + "\n")
    with _on_config(server, config):
        site = Site((server,), "app", {"username": "rot", "password": "rot"})
        site.by_hand("ACL", "SETUSER", "app", "on", *RULES.split())
        site.by_hand("ACL", "SETUSER", "rot", "on", f"#{hash_of('rot')}", "+@all")
        with pytest.raises(PermanentError, match="ACL SAVE fails there"):
            site.mint(1)
        payload = site.mint(1, persist="config")
        server.restart()
        assert site.works(payload)


def _on_config(server: RedisServer, config: Path) -> RedisServer:
    server.use_config(config)
    return server


def test_the_rotator_is_read_again_when_it_was_rotated_itself(site: Site) -> None:
    issuer = Redis(
        site.settings(), IssuerEnvironment(lambda _name: Payload.of(site.admin), lambda: "")
    )
    issuer.connect()
    name = site.admin["username"]
    site.by_hand("ACL", "SETUSER", name, "resetpass", f"#{hash_of('fresh')}")
    site.admin = {"username": name, "password": "fresh"}
    issuer.connect()
    site.admin = {"username": name, "password": "wrong"}
    issuer.close()
    with pytest.raises(PermanentError, match=f"refuses the login of {name}") as refused:
        issuer.connect()
    assert "wrong" not in str(refused.value)
    assert refused.value.__context__ is None


def test_the_rotator_is_never_the_user_it_rotates(site: Site) -> None:
    site.admin = {"username": site.user, "password": "x"}
    with pytest.raises(PermanentError, match="the very user"):
        site.issuer().connect()


def test_workers_at_once_leave_what_the_newest_of_them_wanted(site: Site) -> None:
    current = site.mint(1)
    minted: dict[int, Payload] = {}

    def work(token: int) -> None:
        with suppress(StaleTokenError):
            minted[token] = site.mint(token, current)

    workers = [threading.Thread(target=work, args=(token,)) for token in range(2, 8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert site.hashes() == {hash_of(current), hash_of(minted[7])}
    assert f"sha256={hash_of(minted[7])}" in site.memory()


@pytest.mark.parametrize("act", ["suspend", "revoke"])
def test_a_node_that_cannot_be_changed_keeps_no_other_from_it(pair: Site, act: str) -> None:
    old, new = two(pair)
    pair.by_hand("ACL", "SETUSER", pair.user, "nopass")
    with pytest.raises(PermanentError, match="nopass"):
        getattr(pair.issuer(), act)(handle_of(pair, old), 3)
    assert not pair.works(old, pair.servers[1])
    assert pair.works(new, pair.servers[1])


@pytest.mark.parametrize("act", ["suspend", "revoke"])
@pytest.mark.parametrize("removed", [False, True])
def test_what_the_record_has_lost_is_written_there_by_hand(
    site: Site, act: str, *, removed: bool
) -> None:
    old, new = two(site)
    handle = handle_of(site, old)
    site.by_hand("ACL", "DELUSER", site.record)
    if removed:
        site.by_hand("ACL", "SETUSER", site.user, f"!{hash_of(old)}")
    with pytest.raises(PermanentError, match="does not know which") as refused:
        getattr(site.issuer(), act)(handle, 3)
    command = refused.value.remedy[refused.value.remedy.index("ACL SETUSER") :]
    command = command.replace("rotation:USER", site.record).replace("SHA256", hash_of(old))
    site.by_hand(*command.split())
    with site.log_in(new) as session:
        assert is_alive(session)
        assert getattr(site.issuer(), act)(handle, 3) == (1 if act == "revoke" else None)
        assert is_alive(session) == (act == "suspend")
    assert (site.works(old), site.works(new)) == (False, True)


def test_a_user_with_a_strange_name_does_not_hide_sessions(site: Site) -> None:
    old = site.mint(1)
    stranger = "line\u2028break"
    site.by_hand("ACL", "SETUSER", stranger, "on", f"#{hash_of('x')}", "+@all")
    with site.server.log_in(stranger, "x") as other, site.log_in(old) as session:
        assert is_alive(other)
        assert is_alive(session)
        assert site.issuer().revoke(handle_of(site, old), 2) == 1
        assert is_alive(other)

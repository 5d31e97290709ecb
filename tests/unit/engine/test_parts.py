import threading
from dataclasses import replace

import pytest

from rotation.engine.crashpoints import CrashPoint, never
from rotation.engine.gather import Threads
from rotation.engine.pool import SIZE, IssuerPool
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.policy import PluginChoice
from rotation.ports.issuer import IssuerEnvironment

from .world import MemoryIssuer, MemorySettings

NAME = SecretName("123", "app")


def test_calls_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)
    threads = Threads(2)
    assert len(threads([both.wait, both.wait])) == 2
    threads.close()


def test_first_error_in_order_is_raised_after_all_have_ended() -> None:
    ended = []

    def fail(name: str) -> None:
        ended.append(name)
        raise ValueError(name)

    threads = Threads(2)
    with pytest.raises(ValueError, match="first"):
        threads([lambda: fail("first"), lambda: fail("second")])
    assert sorted(ended) == ["first", "second"]
    threads.close()


def test_unarmed_crash_points_do_nothing() -> None:
    never(CrashPoint.MINTED)


def pool() -> IssuerPool:
    environment = IssuerEnvironment(lambda _: Payload(b"{}"), lambda: "")
    return IssuerPool({"memory": MemoryIssuer}, environment)


def test_issuer_is_kept_for_the_same_policy_and_made_anew_for_another() -> None:
    issuers, choice = pool(), PluginChoice("memory", MemorySettings())
    first = issuers.get(NAME, "policy", choice)
    assert issuers.get(NAME, "policy", choice) is first
    assert issuers.get(NAME, "another policy", choice) is not first
    issuers.close()


def test_issuer_is_given_the_name_of_its_secret() -> None:
    class Named(MemoryIssuer):
        def __init__(self, settings: MemorySettings, environment: IssuerEnvironment) -> None:
            super().__init__(settings, environment)
            self.secret = environment.secret

    issuers = IssuerPool({"memory": Named}, IssuerEnvironment(lambda _: Payload(b"{}"), lambda: ""))
    choice = PluginChoice("memory", MemorySettings())
    other = replace(NAME, secret_id="other")
    assert [issuers.get(name, "policy", choice).secret for name in (NAME, other)] == [
        str(NAME),
        str(other),
    ]
    issuers.close()


def test_pool_keeps_so_many_and_closes_the_oldest() -> None:
    issuers, choice, closed = pool(), PluginChoice("memory", MemorySettings()), []
    oldest = issuers.get(NAME, "0", choice)
    oldest.close = lambda: closed.append(True)  # type: ignore[method-assign]
    for number in range(SIZE):
        issuers.get(NAME, f"policy {number}", choice)
    assert closed == [True]
    issuers.close()

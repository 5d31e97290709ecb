"""The retry and fence contract of `rotation.ports.issuer`, for every overlapping issuer.

What an issuer declares that it cannot is left out for it, and nothing else is.
"""

import json
from collections.abc import Callable

import pytest

from rotation.model.errors import (
    CredentialRefusedError,
    SlotInUseError,
    StaleTokenError,
)
from rotation.model.payload import Payload, PayloadError
from rotation.model.plugin import Fence, IssuerSpec, Severity
from rotation.ports.issuer import Composes, Issuer, SeesUse, Suspends
from tests.contract.issuers.subject import Subject
from tests.support.minting import minting

Change = Callable[[Issuer, str, int], object]


def propose(issuer: Issuer, handle: str, rotation_id: str, current: Payload | None) -> Payload:
    if not isinstance(issuer, Composes):
        pytest.skip("the system makes the value")
    return issuer.propose(handle, rotation_id, current)


def mint(subject: Subject, handle: str, token: int, current: Payload | None = None) -> Payload:
    issuer = subject.issuer()
    candidate = propose(issuer, handle, f"rotation-{token}", current)
    return issuer.mint(minting(handle, candidate, token, token)).payload


def two(subject: Subject, first: int = 1, second: int = 2) -> tuple[str, str, Payload, Payload]:
    """Mint twice; return handles and payloads."""
    issuer = subject.issuer()
    one = issuer.next_handle(None, "r1")
    old = mint(subject, one, first)
    other = issuer.next_handle(old, "r2")
    return one, other, old, mint(subject, other, second, old)


def is_fenced(subject: Subject) -> None:
    if subject.issuer().spec.capabilities.fence is not Fence.TARGET:
        pytest.skip("the system has no fence of its own")


def suspending(issuer: Issuer) -> Suspends:
    if not isinstance(issuer, Suspends):
        pytest.skip("it cannot suspend")
    return issuer


def seeing(issuer: Issuer) -> SeesUse:
    if not isinstance(issuer, SeesUse):
        pytest.skip("it cannot show use")
    return issuer


def password_of(payload: Payload) -> str:
    fields = payload.fields()
    return str(fields.get("password") or fields["key"])


def test_the_spec_describes_the_issuer(subject: Subject) -> None:
    spec = subject.issuer().spec
    assert isinstance(spec, IssuerSpec)
    assert spec.name
    assert spec.title
    assert spec.does
    assert spec.network


def test_the_next_handle_is_another_one_and_always_the_same(subject: Subject) -> None:
    issuer = subject.issuer()
    first = issuer.next_handle(None, "r1")
    payload = mint(subject, first, 1)
    assert issuer.identify(payload) == first
    second = issuer.next_handle(payload, "r2")
    assert second != first
    assert issuer.next_handle(payload, "r1") != first
    assert subject.issuer().next_handle(payload, "r2") == second
    assert all(0 < len(handle.encode()) < 64 for handle in (first, second))


def test_a_proposal_is_new_each_time_and_carries_the_rotation(subject: Subject) -> None:
    issuer = subject.issuer()
    handle = issuer.next_handle(None, "r1")
    first, second = (propose(issuer, handle, "r1", None) for _ in range(2))
    assert first != second
    assert first.rotation_id() == "r1"
    assert issuer.identify(first) == handle


def test_a_proposal_keeps_foreign_keys(subject: Subject) -> None:
    issuer = subject.issuer()
    first = propose(issuer, issuer.next_handle(None, "r1"), "r1", None)
    current = Payload.of(first.fields() | {"team": "shop"})
    second = issuer.next_handle(current, "r2")
    assert propose(issuer, second, "r2", current).fields()["team"] == "shop"


@pytest.mark.parametrize("data", [b"not json", b"[]", b"{}", b'{"username": "nobody-known"}'])
def test_a_payload_of_another_shape_is_named_so(subject: Subject, data: bytes) -> None:
    with pytest.raises(PayloadError):
        subject.issuer().identify(Payload(data))


def test_a_credential_works_once_minted(subject: Subject) -> None:
    issuer = subject.issuer()
    handle = issuer.next_handle(None, "r1")
    candidate = propose(issuer, handle, "r1", None)
    minted = issuer.mint(minting(handle, candidate, 1, 1))
    assert (minted.handle, minted.payload) == (handle, candidate)
    assert issuer.verify(candidate, minted).identity
    assert subject.works(candidate)


def test_a_candidate_does_not_work_before_it_is_minted(subject: Subject) -> None:
    is_fenced(subject)
    issuer = subject.issuer()
    handle = issuer.next_handle(None, "r1")
    with pytest.raises(CredentialRefusedError):
        issuer.verify(propose(issuer, handle, "r1", None))


def test_old_and_new_work_at_once(subject: Subject) -> None:
    _, _, old, new = two(subject)
    assert subject.works(old)
    assert subject.works(new)


@pytest.mark.parametrize(
    "change",
    [
        lambda issuer, handle, token: issuer.mint(
            minting(handle, propose(issuer, handle, "stale", None), token, token)
        ),
        lambda issuer, handle, token: suspending(issuer).suspend(handle, token),
        lambda issuer, handle, token: suspending(issuer).restore(handle, token),
        lambda issuer, handle, token: issuer.revoke(handle, token),
    ],
    ids=["mint", "suspend", "restore", "revoke"],
)
@pytest.mark.parametrize("same_handle", [True, False])
def test_an_older_token_changes_nothing(
    subject: Subject, change: Change, *, same_handle: bool
) -> None:
    is_fenced(subject)
    first, second, old, new = two(subject, 3, 5)
    with pytest.raises(StaleTokenError) as caught:
        change(subject.issuer(), second if same_handle else first, 4)
    assert caught.value.newest == 5
    assert subject.works(old)
    assert subject.works(new)


def test_a_repeated_mint_succeeds_although_consumers_are_there(subject: Subject) -> None:
    issuer = subject.issuer()
    handle = issuer.next_handle(None, "r1")
    candidate = propose(issuer, handle, "r1", None)
    issuer.mint(minting(handle, candidate, 1, 1))
    with subject.session(candidate) as session:
        subject.issuer().mint(minting(handle, candidate, 1, 1))
        assert subject.is_alive(session)
    assert subject.works(candidate)


def test_a_handle_in_use_is_not_changed(subject: Subject) -> None:
    issuer = subject.issuer()
    seeing(issuer)
    handle = issuer.next_handle(None, "r1")
    payload = mint(subject, handle, 1)
    with subject.session(payload), pytest.raises(SlotInUseError):
        mint(subject, handle, 2)
    assert subject.works(payload)


def test_suspend_and_restore_can_be_repeated(subject: Subject) -> None:
    suspending(subject.issuer())
    handle = subject.issuer().next_handle(None, "r1")
    payload = mint(subject, handle, 1)
    with subject.session(payload) as session:
        for _ in range(2):
            suspending(subject.issuer()).suspend(handle, 2)
        assert not subject.works(payload)
        assert subject.is_alive(session)
    for _ in range(2):
        suspending(subject.issuer()).restore(handle, 2)
    assert subject.works(payload)


def test_revoke_ends_sessions_and_can_be_repeated(subject: Subject) -> None:
    is_fenced(subject)
    handle = subject.issuer().next_handle(None, "r1")
    payload = mint(subject, handle, 1)
    with subject.session(payload) as session:
        assert subject.issuer().revoke(handle, 2) == 1
        assert not subject.is_alive(session)
    assert subject.issuer().revoke(handle, 2) == 0
    assert not subject.works(payload)


def test_revoking_what_lives_in_the_secret_alone_owes_nothing(subject: Subject) -> None:
    if subject.issuer().spec.capabilities.fence is not Fence.SECRET:
        pytest.skip("there is a system outside")
    first, _, _, new = two(subject)
    assert [subject.issuer().revoke(first, 3) for _ in range(2)] == [0, 0]
    assert subject.works(new)


def test_a_revoked_handle_can_be_minted_again(subject: Subject) -> None:
    handle = subject.issuer().next_handle(None, "r1")
    mint(subject, handle, 1)
    subject.issuer().revoke(handle, 2)
    assert subject.works(mint(subject, handle, 2))


def test_an_observer_proves_that_it_sees(subject: Subject) -> None:
    seeing(subject.issuer())
    first, second, old, new = two(subject)
    with subject.session(old):
        seen = seeing(subject.issuer()).observe(first, new)
        assert (len(seen.sessions), seen.is_conclusive) == (1, True)
        blind = seeing(subject.issuer()).observe(first, None)
        assert (len(blind.sessions), blind.is_conclusive, bool(blind.unobservable_reason)) == (
            1,
            False,
            True,
        )
    assert seeing(subject.issuer()).observe(second, old).sessions == ()
    assert {first, second} <= set(seeing(subject.issuer()).handles())


def test_preflight_is_clean_and_changes_nothing(subject: Subject) -> None:
    payload = mint(subject, subject.issuer().next_handle(None, "r1"), 1)
    findings = subject.issuer().preflight(payload)
    assert {finding.severity for finding in findings} == {Severity.OK}
    assert subject.works(payload)


def test_no_report_holds_the_password(subject: Subject) -> None:
    issuer = subject.issuer()
    first, second, payload, other = two(subject)
    reports: list[object] = [
        issuer.verify(payload),
        issuer.preflight(payload),
        issuer.mint(minting(second, other, 2, 2)),
        minting(second, other, 2, 2),
        payload,
    ]
    if isinstance(issuer, SeesUse):
        reports.append(issuer.observe(first, other))
    try:
        issuer.revoke(first, 1)
    except StaleTokenError as error:
        reports.append(error)
    text = json.dumps([repr(report) + str(report) for report in reports])
    assert password_of(payload) not in text
    assert password_of(other) not in text


def test_close_may_be_called_twice_and_the_issuer_used_again(subject: Subject) -> None:
    issuer = subject.issuer()
    issuer.connect()
    issuer.close()
    issuer.close()
    issuer.connect()

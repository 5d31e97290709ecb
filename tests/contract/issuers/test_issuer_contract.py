"""The retry and fence contract of `rotation.ports.issuer.Issuer`, for every overlapping issuer."""

import json
from collections.abc import Callable

import pytest

from rotation.model.errors import (
    CredentialRefusedError,
    SlotInUseError,
    StaleTokenError,
)
from rotation.model.payload import Payload, PayloadError
from rotation.model.plugin import IssuerSpec, Severity
from rotation.ports.issuer import Issuer
from tests.contract.issuers.subject import Subject
from tests.support.minting import minting

Change = Callable[[Issuer, str, int], object]


def mint(subject: Subject, slot: str, token: int, current: Payload | None = None) -> Payload:
    issuer = subject.issuer()
    candidate = issuer.propose(slot, f"rotation-{token}", current)
    issuer.mint(minting(slot, candidate, token, token))
    return candidate


def test_the_spec_describes_the_issuer(subject: Subject) -> None:
    spec = subject.issuer().spec
    assert isinstance(spec, IssuerSpec)
    assert spec.name
    assert spec.title
    assert spec.does
    assert spec.rights
    assert spec.network


def test_there_are_two_slots(subject: Subject) -> None:
    first, second = subject.issuer().handles()
    assert first != second


def test_a_proposal_is_new_each_time_and_carries_the_rotation(subject: Subject) -> None:
    issuer = subject.issuer()
    slot = issuer.handles()[0]
    first, second = (issuer.propose(slot, "r1", None) for _ in range(2))
    assert first != second
    assert first.rotation_id() == "r1"
    assert issuer.identify(first) == slot


def test_a_proposal_keeps_foreign_keys(subject: Subject) -> None:
    issuer = subject.issuer()
    first, second = issuer.handles()
    current = Payload.of(issuer.propose(first, "r1", None).fields() | {"team": "shop"})
    assert issuer.propose(second, "r2", current).fields()["team"] == "shop"


@pytest.mark.parametrize("data", [b"not json", b"[]", b"{}", b'{"username": "nobody-known"}'])
def test_a_payload_of_another_shape_is_named_so(subject: Subject, data: bytes) -> None:
    with pytest.raises(PayloadError):
        subject.issuer().identify(Payload(data))


def test_a_candidate_works_once_minted_and_not_before(subject: Subject) -> None:
    issuer = subject.issuer()
    slot = issuer.handles()[0]
    candidate = issuer.propose(slot, "r1", None)
    with pytest.raises(CredentialRefusedError):
        issuer.verify(candidate)
    minted = issuer.mint(minting(slot, candidate, 1, 1))
    assert (minted.handle, minted.payload) == (slot, candidate)
    assert issuer.verify(candidate, minted).nodes
    assert subject.works(candidate)


def test_both_slots_work_at_once(subject: Subject) -> None:
    first, second = subject.issuer().handles()
    payloads = [mint(subject, first, 1), mint(subject, second, 2)]
    assert all(subject.works(payload) for payload in payloads)


@pytest.mark.parametrize(
    "change",
    [
        lambda issuer, slot, token: issuer.mint(
            minting(slot, issuer.propose(slot, "stale", None), token, token)
        ),
        lambda issuer, slot, token: issuer.suspend(slot, token),
        lambda issuer, slot, token: issuer.restore(slot, token),
        lambda issuer, slot, token: issuer.revoke(slot, token),
    ],
    ids=["mint", "suspend", "restore", "revoke"],
)
@pytest.mark.parametrize("same_slot", [True, False])
def test_an_older_token_changes_nothing(
    subject: Subject, change: Change, *, same_slot: bool
) -> None:
    first, second = subject.issuer().handles()
    old, new = mint(subject, first, 3), mint(subject, second, 5)
    with pytest.raises(StaleTokenError) as caught:
        change(subject.issuer(), second if same_slot else first, 4)
    assert caught.value.seen == 5
    assert subject.works(old)
    assert subject.works(new)


def test_a_repeated_mint_succeeds_although_consumers_are_there(subject: Subject) -> None:
    issuer = subject.issuer()
    slot = issuer.handles()[0]
    candidate = issuer.propose(slot, "r1", None)
    issuer.mint(minting(slot, candidate, 1, 1))
    with subject.session(candidate) as session:
        subject.issuer().mint(minting(slot, candidate, 1, 1))
        assert subject.is_alive(session)
    assert subject.works(candidate)


def test_a_slot_in_use_is_not_changed(subject: Subject) -> None:
    slot = subject.issuer().handles()[0]
    payload = mint(subject, slot, 1)
    with subject.session(payload), pytest.raises(SlotInUseError):
        mint(subject, slot, 2)
    assert subject.works(payload)


def test_suspend_and_restore_can_be_repeated(subject: Subject) -> None:
    slot = subject.issuer().handles()[0]
    payload = mint(subject, slot, 1)
    with subject.session(payload) as session:
        for _ in range(2):
            subject.issuer().suspend(slot, 2)
        assert not subject.works(payload)
        assert subject.is_alive(session)
    for _ in range(2):
        subject.issuer().restore(slot, 2)
    assert subject.works(payload)


def test_revoke_ends_sessions_and_can_be_repeated(subject: Subject) -> None:
    slot = subject.issuer().handles()[0]
    payload = mint(subject, slot, 1)
    with subject.session(payload) as session:
        assert subject.issuer().revoke(slot, 2) == 1
        assert not subject.is_alive(session)
    assert subject.issuer().revoke(slot, 2) == 0
    assert not subject.works(payload)


def test_a_revoked_slot_can_be_minted_again(subject: Subject) -> None:
    slot = subject.issuer().handles()[0]
    mint(subject, slot, 1)
    subject.issuer().revoke(slot, 2)
    assert subject.works(mint(subject, slot, 2))


def test_an_observer_proves_that_it_sees(subject: Subject) -> None:
    first, second = subject.issuer().handles()
    old, new = mint(subject, first, 1), mint(subject, second, 2)
    with subject.session(old):
        seen = subject.issuer().observe(first, new)
        assert (len(seen.sessions), seen.sighted) == (1, True)
    assert subject.issuer().observe(second, old).sessions == ()


def test_preflight_is_clean_and_changes_nothing(subject: Subject) -> None:
    payload = mint(subject, subject.issuer().handles()[0], 1)
    findings = subject.issuer().preflight(payload)
    assert {finding.severity for finding in findings} == {Severity.OK}
    assert subject.works(payload)


def test_no_report_holds_the_password(subject: Subject) -> None:
    issuer = subject.issuer()
    first, second = issuer.handles()
    payload, other = mint(subject, first, 1), mint(subject, second, 2)
    reports = [
        issuer.verify(payload),
        issuer.observe(first, other),
        issuer.preflight(payload),
        issuer.mint(minting(second, other, 2, 2)),
        payload,
    ]
    try:
        issuer.suspend(first, 1)
    except StaleTokenError as error:
        reports.append(error)
    text = json.dumps([repr(report) + str(report) for report in reports])
    assert payload.fields()["password"] not in text
    assert other.fields()["password"] not in text


def test_close_may_be_called_twice_and_the_issuer_used_again(subject: Subject) -> None:
    issuer = subject.issuer()
    issuer.connect()
    issuer.close()
    issuer.close()
    issuer.connect()

"""What a policy may name, and must not reach: roles that are not this secret's to change."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from rotation.issuers.postgresql import PostgreSQL
from rotation.model.errors import PermanentError, RotationError
from rotation.model.payload import Payload
from tests.support.minting import minting
from tests.support.postgresql.kit import Site, SiteMaker

ORDERS, PAYROLL = "projects/42/secrets/orders", "projects/42/secrets/payroll"
STORED = "SELECT a.xmin::text, a::text FROM pg_authid AS a WHERE rolname = %s"

IssuerOf = Callable[..., PostgreSQL]


@pytest.fixture
def issuer_of(site: Site) -> IssuerOf:
    """The issuer of a secret by its name; a policy may say anything."""
    return site.issuer_of


def mint(issuer: PostgreSQL, slot: str, token: int) -> Payload:
    candidate = issuer.propose(slot, f"r{token}", None)
    issuer.mint(minting(slot, candidate, token, token))
    return candidate


def refused(call: Callable[[], object]) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        call()
    return caught.value


def stored(site: Site, *roles: str) -> list[Any]:
    """All a server keeps of roles: the same again, when nothing was changed."""
    return [(site.run(STORED, values=[role]), site.comment(role)) for role in roles]


def run_remedy(site: Site, error: PermanentError) -> None:
    for statement in error.remedy.split("; "):
        site.run(statement.replace("{", "{{").replace("}", "}}"))


POWERS = [
    "ALTER ROLE {} SUPERUSER",
    "ALTER ROLE {} REPLICATION",
    "ALTER ROLE {} CREATEROLE",
    "ALTER ROLE {} BYPASSRLS",
    "GRANT pg_execute_server_program TO {}",
    "GRANT pg_read_server_files TO {}",
    "GRANT pg_write_server_files TO {}",
    "GRANT pg_create_subscription TO {}",
    "GRANT between TO {}",
]


@pytest.mark.parametrize("who", ["owner", "idle", "active"])
@pytest.mark.parametrize("power", POWERS)
def test_no_credential_is_made_that_reaches_further_than_an_application(
    site: Site, power: str, who: str
) -> None:
    if "subscription" in power and site.server.binaries.major < 16:
        pytest.skip("the role came with 16")
    names = {"owner": site.owner, "idle": site.slots[0], "active": site.slots[1]}
    between = f"{site.database}_between"
    site.run("CREATE ROLE {}", between)
    site.run("CREATE ROLE {} CREATEROLE NOLOGIN", f"{between}_dba")
    site.run("GRANT {} TO {}", f"{between}_dba", between)
    site.run(power.replace("between", between), names[who])
    before = stored(site, *names.values())
    error = refused(lambda: site.mint(site.slots[0], token=1))
    assert error.reason == "role-not-ours"
    assert names[who] in str(error)
    assert stored(site, *names.values()) == before


def test_the_rotator_itself_is_no_owner(site: Site) -> None:
    before = stored(site, site.rotator, *site.slots)
    error = refused(lambda: site.mint(site.slots[0], token=1, owner=site.rotator))
    assert error.reason == "role-not-ours"
    assert stored(site, site.rotator, *site.slots) == before


@pytest.mark.parametrize("place", [0, 1])
def test_a_login_of_somebody_that_a_policy_names_is_left_alone(
    site: Site, issuer_of: IssuerOf, place: int
) -> None:
    alice = f"{site.database}_alice"
    site.run("CREATE ROLE {} LOGIN PASSWORD 'her-own-password'", alice)
    if site.server.binaries.major >= 16:
        site.run("GRANT {} TO {} WITH ADMIN TRUE", alice, site.rotator)
    slots = (alice, site.slots[0]) if place == 0 else (site.slots[0], alice)
    before = stored(site, alice, *site.slots)
    for slot in slots:
        error = refused(lambda slot=slot: mint(issuer_of(ORDERS, slots=slots), slot, 1))
        assert error.reason == "wrong-identity"
        assert alice in str(error)
    for call in ("suspend", "restore", "revoke"):
        refused(lambda call=call: getattr(issuer_of(ORDERS, slots=slots), call)(alice, 1))
    assert stored(site, alice, *site.slots) == before


def test_two_members_of_a_group_are_no_slots_of_it(site: Site, issuer_of: IssuerOf) -> None:
    people = (f"{site.database}_alice", f"{site.database}_bob")
    staff = f"{site.database}_staff"
    site.run("CREATE ROLE {}", staff)
    for person in people:
        site.run("CREATE ROLE {} LOGIN PASSWORD 'known-to-nobody-else' IN ROLE {}", person, staff)
        if site.server.binaries.major >= 16:
            site.run("GRANT {} TO {} WITH ADMIN TRUE", person, site.rotator)
    before = stored(site, *people)
    error = refused(lambda: mint(issuer_of(ORDERS, slots=people, owner=staff), people[0], 1))
    assert error.reason == "wrong-identity"
    assert stored(site, *people) == before


def test_a_slot_is_not_made_for_an_owner_that_its_sibling_does_not_become(
    site: Site, issuer_of: IssuerOf
) -> None:
    boss = f"{site.database}_boss"
    site.run("CREATE ROLE {}", boss)
    site.run("DROP ROLE {}", site.slots[1])
    site.run("GRANT {} TO {} WITH ADMIN OPTION", boss, site.rotator)
    mint(issuer_of(ORDERS), site.slots[0], 1)
    error = refused(lambda: mint(issuer_of(ORDERS, owner=boss), site.slots[1], 2))
    assert error.reason == "wrong-identity"
    assert site.run("SELECT FROM pg_roles WHERE rolname = %s", values=[site.slots[1]]) == []


def test_nothing_is_made_where_no_sibling_is(site: Site, issuer_of: IssuerOf) -> None:
    slots = (f"{site.database}_new_a", f"{site.database}_new_b")
    if site.server.binaries.major >= 16:
        site.run("GRANT {} TO {} WITH ADMIN TRUE", site.owner, site.rotator)
    error = refused(lambda: mint(issuer_of(ORDERS, slots=slots), slots[0], 1))
    assert error.reason == "role-missing"
    assert site.run("SELECT FROM pg_roles WHERE rolname = ANY (%s)", values=[list(slots)]) == []
    run_remedy(site, error)
    payload = mint(issuer_of(ORDERS, slots=slots), slots[0], 1)
    assert issuer_of(ORDERS, slots=slots).verify(payload).identity == site.owner
    second = mint(issuer_of(ORDERS, slots=slots), slots[1], 2)
    assert issuer_of(ORDERS, slots=slots).verify(second).identity == site.owner


def test_what_is_made_is_a_copy_of_its_sibling(site: Site, issuer_of: IssuerOf) -> None:
    first, second = site.slots
    site.run("DROP ROLE {}", second)
    site.run("ALTER ROLE {} RESET role", first)
    site.run("ALTER ROLE {} IN DATABASE {} SET role = " + f'"{site.owner}"', first, site.database)
    if site.server.binaries.major >= 16:
        site.run("GRANT {} TO {} WITH ADMIN TRUE", site.owner, site.rotator)
        site.run("GRANT {} TO {} WITH SET TRUE, INHERIT FALSE", site.owner, first)
    payload = mint(issuer_of(ORDERS), second, 1)
    assert issuer_of(ORDERS).verify(payload).identity == site.owner
    findings = issuer_of(ORDERS).preflight(payload, 1)
    parity = [finding.message for finding in findings if finding.check == "slot-parity"]
    assert parity == ["both slots have the same memberships, settings and privileges"]
    if site.server.binaries.major >= 16:
        options = "SELECT inherit_option, set_option FROM pg_auth_members WHERE member = (%s)"
        oids = site.run("SELECT oid FROM pg_roles WHERE rolname = %s", values=[second])
        assert site.run(options, values=[oids[0][0]]) == [(False, True)]


def test_the_second_secret_on_the_same_slots_is_refused_and_both_are_named(
    site: Site, issuer_of: IssuerOf
) -> None:
    first = mint(issuer_of(ORDERS), site.slots[0], 1)
    before = stored(site, *site.slots)
    for slot in site.slots:
        error = refused(lambda slot=slot: mint(issuer_of(PAYROLL), slot, 99))
        assert error.reason == "slots-taken"
        assert ORDERS in str(error)
        assert PAYROLL in str(error)
        for call in ("suspend", "restore", "revoke"):
            change = getattr(issuer_of(PAYROLL), call)
            assert refused(lambda change=change, slot=slot: change(slot, 99)).reason == (
                "slots-taken"
            )
    assert stored(site, *site.slots) == before
    assert site.works(first)


def test_a_secret_without_a_name_changes_no_slot_that_has_one(
    site: Site, issuer_of: IssuerOf
) -> None:
    mint(issuer_of(ORDERS), site.slots[0], 1)
    assert refused(lambda: mint(issuer_of(""), site.slots[1], 2)).reason == "slots-taken"


def test_one_slot_in_common_is_enough_to_be_refused(site: Site, issuer_of: IssuerOf) -> None:
    third = f"{site.database}_c"
    site.run("CREATE ROLE {} LOGIN IN ROLE {}", third, site.owner)
    site.run("ALTER ROLE {} SET role = " + f'"{site.owner}"', third)
    if site.server.binaries.major >= 16:
        site.run("GRANT {} TO {} WITH ADMIN TRUE", third, site.rotator)
    mint(issuer_of(ORDERS), site.slots[0], 1)
    for shared in site.slots:
        pair = (third, shared)
        for slot in pair:
            error = refused(
                lambda slot=slot, pair=pair: mint(issuer_of(PAYROLL, slots=pair), slot, 9)
            )
            assert error.reason == "slots-taken"


def test_of_two_secrets_that_come_at_once_one_has_the_slots(
    site: Site, issuer_of: IssuerOf
) -> None:
    third = f"{site.database}_c"
    site.run("CREATE ROLE {} LOGIN IN ROLE {}", third, site.owner)
    site.run("ALTER ROLE {} SET role = " + f'"{site.owner}"', third)
    if site.server.binaries.major >= 16:
        site.run("GRANT {} TO {} WITH ADMIN TRUE", third, site.rotator)
    pairs = {ORDERS: site.slots, PAYROLL: (site.slots[1], third)}
    issuers = {name: issuer_of(name, slots=slots) for name, slots in pairs.items()}
    for issuer in issuers.values():
        issuer.connect()

    def attempt(name: str) -> str:
        try:
            mint(issuers[name], pairs[name][0], 1)
        except RotationError as error:
            return error.reason
        return "minted"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(attempt, pairs))
    assert outcomes == ["minted", "slots-taken"]


def test_slots_of_a_secret_that_moved_are_freed_by_the_remedy(
    site: Site, issuer_of: IssuerOf
) -> None:
    site.run("COMMENT ON ROLE {} IS 'Shop''s {{}}; \\ theirs'", site.slots[0])
    mint(issuer_of(ORDERS), site.slots[0], 7)
    error = refused(lambda: mint(issuer_of(PAYROLL), site.slots[1], 1))
    statements = error.remedy[error.remedy.index("COMMENT ON") :]
    for statement in statements.split("; COMMENT"):
        text = statement if statement.startswith("COMMENT") else "COMMENT" + statement
        site.run(text.replace("{", "{{").replace("}", "}}"))
    assert site.comment(site.slots[0]) == "Shop's {}; \\ theirs"
    assert site.comment(site.slots[1]) is None
    payload = mint(issuer_of(PAYROLL), site.slots[1], 1)
    assert site.works(payload)
    assert refused(lambda: mint(issuer_of(ORDERS), site.slots[0], 8)).reason == "slots-taken"


def test_a_mark_without_a_name_is_filled_at_the_next_change(
    site: Site, issuer_of: IssuerOf
) -> None:
    first, second = site.slots
    mint(issuer_of(""), first, 1)
    assert "secret=" not in (site.comment(first) or "")
    mint(issuer_of(ORDERS), second, 2)
    assert site.comment(first) == f"[rotation token=1 version=1 state=minted secret={ORDERS}]"
    assert site.comment(second) == f"[rotation token=2 version=2 state=minted secret={ORDERS}]"
    assert refused(lambda: issuer_of(PAYROLL).suspend(first, 9)).reason == "slots-taken"


def test_the_slot_in_force_becomes_the_secrets_with_the_first_change(
    site: Site, issuer_of: IssuerOf
) -> None:
    mint(issuer_of(ORDERS), site.slots[1], 3)
    assert site.comment(site.slots[0]) == (
        f"[rotation token=3 version=0 state=claimed secret={ORDERS}]"
    )
    issuer = issuer_of(ORDERS)
    issuer.suspend(site.slots[0], 3)
    issuer.restore(site.slots[0], 3)
    issuer.revoke(site.slots[0], 3)


def test_a_credential_of_ours_is_ended_whatever_became_of_its_role(
    site: Site, issuer_of: IssuerOf
) -> None:
    payload = mint(issuer_of(ORDERS), site.slots[0], 1)
    site.run("ALTER ROLE {} BYPASSRLS", site.owner)
    site.run("GRANT pg_read_server_files TO {}", site.slots[0])
    site.run("ALTER ROLE {} RESET role", site.slots[0])
    issuer = issuer_of(ORDERS)
    issuer.suspend(site.slots[0], 2)
    assert not site.works(payload)
    issuer.restore(site.slots[0], 2)
    assert site.works(payload)
    issuer.revoke(site.slots[0], 2)
    assert not site.works(payload)
    assert refused(lambda: mint(issuer_of(ORDERS), site.slots[1], 3)).reason == "role-not-ours"


def findings(issuer: PostgreSQL, check: str) -> list[tuple[str, str]]:
    found = [finding for finding in issuer.preflight(None) if finding.check == check]
    return [(finding.severity.value, finding.message) for finding in found]


def test_doctor_names_the_owners_power(site: Site, issuer_of: IssuerOf) -> None:
    site.run("GRANT pg_execute_server_program TO {}", site.owner)
    (severity, message), *_ = findings(issuer_of(ORDERS), "owner")
    assert severity == "error"
    assert "pg_execute_server_program" in message
    site.run("REVOKE pg_execute_server_program FROM {}", site.owner)
    site.run("GRANT pg_read_all_data, pg_signal_backend TO {}", site.owner)
    assert [severity for severity, _ in findings(issuer_of(ORDERS), "owner")] == [
        "warning",
        "warning",
        "ok",
    ]


def test_an_owner_that_reads_all_data_reads_password_verifiers(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.run("GRANT pg_read_all_data TO {}", site.owner)
    with site.session(payload) as session:
        assert session.execute("SELECT rolpassword FROM pg_authid").fetchall()


def test_doctor_names_the_other_secret(site: Site, issuer_of: IssuerOf) -> None:
    mint(issuer_of(ORDERS), site.slots[0], 1)
    found = findings(issuer_of(PAYROLL), "fence-marker")
    assert [severity for severity, _ in found] == ["error", "error"]
    assert all(ORDERS in message and PAYROLL in message for _, message in found)
    assert {severity for severity, _ in findings(issuer_of(ORDERS), "fence-marker")} == {"ok"}


def test_doctor_finds_a_slot_that_no_setting_ties_to_the_owner(
    site: Site, issuer_of: IssuerOf
) -> None:
    site.run("ALTER ROLE {} RESET role", site.slots[1])
    assert [severity for severity, _ in findings(issuer_of(ORDERS), "owner-membership")] == [
        "ok",
        "error",
    ]


def test_names_that_need_quotes_are_tied_too(new_site: SiteMaker) -> None:
    site = new_site("Mixed \"Case' %s ")
    mint(site.issuer_of(ORDERS), site.slots[0], 1)
    payload = mint(site.issuer_of(ORDERS), site.slots[1], 2)
    with suppress(RotationError):
        site.mint(site.slots[0], token=3)
    assert site.works(payload)

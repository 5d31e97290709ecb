"""What the issuer for PostgreSQL says of itself; it does nothing."""

from typing import Final

from msgspec.structs import replace

from rotation.issuers._settings import ADDS_NO_LOGIN, READS_LOGIN
from rotation.issuers._slots.slot import Words
from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.model.permission import FailureMode, NotNeeded, On, Permission
from rotation.model.plugin import Capabilities, Fence, IssuerSpec, MadeBy

WORDS: Final = Words("role", "pg_stat_activity")

SPEC: Final = IssuerSpec(
    name="postgresql",
    title="PostgreSQL 14 to 18, two slot roles under one owner role",
    does="sets the password, LOGIN and comment of the idle slot role, in one transaction",
    settings=PostgreSQLSettings,
    capabilities=Capabilities(
        overlap=True, fence=Fence.TARGET, made_by=MadeBy.OURS, suspends=True, sees_use=True
    ),
    permissions=(
        replace(READS_LOGIN, when="admin: projects/P/secrets/S"),
        Permission(
            "cloudsql.instances.login",
            On.PROJECT,
            "log in to Cloud SQL as the function's own identity",
            when="admin: iam",
            which="the project of the instance",
        ),
    ),
    permissions_not_needed=(
        NotNeeded("cloudsql.users.update", "the Admin API cannot be fenced; SQL is used"),
        ADDS_NO_LOGIN,
    ),
    rights=rights.RIGHTS,
    network=("TCP to host:port and to every replica, from where the function runs",),
    failure_modes=(
        FailureMode("the server does not answer", "the delivery comes again, with a longer wait"),
        FailureMode(
            "the connection is lost while committing",
            "unknown counts as neither: the marker on the role, or a login, tells",
        ),
        FailureMode(
            "two workers run at once",
            "the older token is refused in the transaction itself, and changes nothing",
        ),
        FailureMode("a session is on the idle slot", "nothing is changed; the secret is blocked"),
        FailureMode(
            "another secret rotates the same slots, as their comments say",
            "nothing is changed; the secret is blocked, and both are named",
        ),
        FailureMode(
            "a slot is not the owner's, or a role has power over others",
            "nothing is changed; the secret is blocked",
        ),
        FailureMode(
            "the server refuses the password by its rules",
            "another candidate is made; after three the secret is blocked",
        ),
        FailureMode("a right is missing", "the secret is blocked, with the GRANT that mends it"),
    ),
    grants=rights.grants,
)

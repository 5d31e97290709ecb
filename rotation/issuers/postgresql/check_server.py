"""Preflight checks of the server itself: version, role, room, replicas, poolers, logs."""

from collections.abc import Iterator
from contextlib import closing

from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.survey import Survey
from rotation.kit.findings import bad, fine, warn
from rotation.kit.net.node import Node
from rotation.model.errors import RotationError
from rotation.model.plugin import Finding

OLDEST = 140000
#: Minor releases in which ``ALTER ROLE .. SET role`` had no effect; mended by the next one.
BROKEN_SET_ROLE = {140014, 150009, 160005, 170001}
POOLER_PORTS = {6432, 6433}
#: Bytes a standby may have still to replay.
MOST_BEHIND = 64 * 2**20
LAG = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery()
            THEN pg_wal_lsn_diff(%s::pg_lsn, pg_last_wal_replay_lsn()) END,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END
"""


def version(survey: Survey) -> Iterator[Finding]:
    """Which release it is, and whether it is one known to break the scheme."""
    shown = survey.scalar("SHOW server_version")
    if survey.version < OLDEST:
        yield bad("server-version", f"PostgreSQL {shown} is too old", "upgrade to 14 or later")
    elif survey.version in BROKEN_SET_ROLE:
        yield bad(
            "server-version",
            f"PostgreSQL {shown} ignores ALTER ROLE .. SET role",
            "install the next minor release",
        )
    else:
        yield fine("server-version", f"PostgreSQL {shown}")


def primary(survey: Survey) -> Iterator[Finding]:
    """Whether the host takes writes."""
    if survey.scalar("SELECT pg_is_in_recovery()"):
        yield bad(
            "primary",
            f"{survey.settings.primary} is a standby",
            "set host to the primary, and list the standby under replicas",
        )
    else:
        yield fine("primary", f"{survey.settings.primary} takes writes")


def head_room(survey: Survey) -> Iterator[Finding]:
    """Whether both slots fit at once: during the overlap consumers hold sessions on each."""
    limit, used, ours = survey.rows(
        """SELECT current_setting('max_connections')::int
                  - current_setting('superuser_reserved_connections')::int,
                  (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL),
                  (SELECT count(*) FROM pg_stat_activity WHERE usename = ANY (%s))""",
        list(survey.settings.slots),
    )[0]
    message = f"{used} of {limit} connections are in use, {ours} of them by the slots"
    if used + ours >= limit:
        yield warn(
            "head-room",
            f"{message}; there is no room for as many again during the overlap",
            "raise max_connections, or let the consumers' pools be smaller",
        )
    else:
        yield fine("head-room", message)


def limits(survey: Survey) -> Iterator[Finding]:
    """Whether a limit of the database or of a slot leaves no room for the overlap."""
    rows = survey.rows(
        """SELECT r.rolname::text, r.rolconnlimit,
                  (SELECT count(*) FROM pg_stat_activity AS a WHERE a.usename = ANY (%s))
             FROM pg_roles AS r WHERE r.rolname = ANY (%s) AND r.rolconnlimit >= 0 ORDER BY 1""",
        list(survey.settings.slots),
        list(survey.settings.slots),
    )
    tight = [(slot, limit) for slot, limit, used in rows if limit <= used]
    for slot, limit in tight:
        yield bad(
            "connection-limit",
            f"{slot} may hold {limit} connections, and its consumers need more now",
            f"ALTER ROLE {rights.quoted(slot)} CONNECTION LIMIT -1",
        )
    database = rights.quoted(survey.settings.database)
    limit, used = survey.rows(
        """SELECT datconnlimit, (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid)
             FROM pg_database AS d WHERE datname = current_database()"""
    )[0]
    if 0 <= limit < 2 * used:
        yield warn(
            "connection-limit",
            f"{survey.settings.database} takes {limit} connections; {used} are open, and the"
            " overlap needs as many again",
            f"ALTER DATABASE {database} CONNECTION LIMIT -1",
        )
    elif not tight:
        yield fine("connection-limit", "no limit is in the way of the overlap")


def replicas(survey: Survey) -> Iterator[Finding]:
    """Whether every standby is listed and can be asked."""
    for node in survey.settings.standbys:
        yield _replica(survey, node)
    streaming = survey.scalar(
        "SELECT count(*) FROM pg_stat_replication WHERE application_name <> 'pg_basebackup'"
    )
    listed = len(survey.settings.replicas)
    if streaming > listed:
        yield warn(
            "replicas",
            f"{streaming} standbys stream from the primary, {listed} are listed",
            "list every standby that consumers use under replicas: its sessions are not visible"
            " on the primary, and it takes the previous password until it has replayed",
        )
    elif not listed:
        yield fine("replicas", "no standby is listed, and none streams")


def _replica(survey: Survey, node: Node) -> Finding:
    try:
        position = survey.scalar("SELECT pg_current_wal_lsn()::text")
        with closing(survey.preflight.on(node)) as connection:
            row = connection.execute(LAG, [position]).fetchone()
    except RotationError as error:
        return bad("replicas", error.args[0], error.remedy or f"make {node} reachable")
    if row and not row[0]:
        return warn("replicas", f"{node} is not a standby", "correct replicas in the policy")
    if row and row[2]:
        return bad("replicas", f"replay is paused on {node}", "SELECT pg_wal_replay_resume()")
    behind = int(row[1] or 0) if row else 0
    if behind > MOST_BEHIND:
        return warn(
            "replicas",
            f"{node} has {behind // 2**20} MiB still to replay, and takes the previous password"
            " until then",
            "find what holds its replay up: SELECT * FROM pg_stat_activity WHERE datid IS NOT NULL",
        )
    return fine("replicas", f"{node} answers")


def pooler(survey: Survey) -> Iterator[Finding]:
    """Whether something stands between us and the server."""
    port = survey.scalar("SELECT inet_server_port()")
    settings = survey.settings
    if settings.port in POOLER_PORTS or (port is not None and port != settings.port):
        yield warn(
            "pooler",
            f"{settings.primary} seems to be a pooler or proxy: the server itself is on {port}",
            "point host at the server; a pooler must look passwords up (auth_query) rather than"
            " hold a list of verifiers, and count as a node whose sessions are watched",
        )
    else:
        yield fine("pooler", "connected to the server itself")


def log_settings(survey: Survey) -> Iterator[Finding]:
    """What the server writes down: our statements hold verifiers, never passwords."""
    names = ["log_statement", "log_min_error_statement", "log_min_duration_statement"]
    shown = survey.rows(
        "SELECT name, setting FROM pg_settings WHERE name = ANY (%s) ORDER BY name", names
    )
    stored = survey.scalar("SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'")
    settings = ", ".join(f"{name}={setting}" for name, setting in shown)
    extra = "; pg_stat_statements is installed" if stored else ""
    yield fine("log-settings", f"{settings}{extra}; statements of a rotation hold no password")

"""A PostgreSQL primary and its streaming standby, which can be restarted and failed over.

1. Replication is synchronous while a standby is attached: a commit that was acknowledged is on
   both.  Without that a fail-over may lose an acknowledged password, and no rotator could help it.
2. The primary dies before the standby is promoted: there is never a second one that takes writes.
3. A new standby serves readers only when it has replayed what was verified without it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg

from rotation.local.postgres import PostgresReplica, PostgresServer
from tests.crash.proxy import Relay
from tests.support.stack.scene import wait_until

#: Settings that a standby needs of its primary, or that make both quick.
SETTINGS = {
    "wal_keep_size": "256MB",
    "wal_retrieve_retry_interval": "100ms",
    "shared_buffers": "32MB",
    "max_connections": "80",
    "max_wal_size": "512MB",
}


class Pair:
    """Two servers, and the two relays by which the function reaches them."""

    def __init__(self, primary: PostgresServer, to_primary: Relay, to_replica: Relay) -> None:
        self.primary = primary
        #: Where readers of a replica go; None while there is none.
        self.standby: PostgresReplica | None = None
        self.logs = [primary.log_path]
        #: What `fail_over` tells who the primary is now.
        self.promoted: Callable[[PostgresServer], None] = lambda _: None
        self._to_primary, self._to_replica = to_primary, to_replica
        self._made = ExitStack()
        self._point()

    def attach(self) -> None:
        """Make a standby of the primary and let it serve; returns when it has caught up."""
        if self.standby is not None:
            return
        standby = self.primary.replica()
        self._made.callback(standby.close)
        standby.start()
        self.logs.append(standby.log_path)
        self._set_synchronous("*")
        wait_until(self._is_synchronous, "the standby streams")
        self._to_replica.point_to(standby.host, standby.port)
        self.await_replay(standby)
        self.standby = standby

    def fail_over(self) -> None:
        """Lose the primary, and promote the standby; a new one is made by `attach`."""
        standby, self.standby = self.standby, None
        if standby is None:
            return
        self.primary.kill()
        with closing(standby.connect()) as connection:
            connection.execute("SELECT pg_promote(true, 30)")
        self.primary = standby
        self.promoted(standby)
        self._point()

    def restart(self, how: str) -> None:
        """Stop the primary in order (``fast``) or at once (``immediate``), and start it again."""
        if how == "immediate":
            self.primary.kill()
        else:
            self.primary.stop()
        self.primary.start()

    def await_replay(self, standby: PostgresServer | None = None) -> None:
        """Return when the standby has replayed all that the primary has written."""
        node = standby or self.standby
        if node is None:
            return
        with closing(self.primary.connect()) as up, closing(node.connect()) as down:
            (position,) = up.execute("SELECT pg_current_wal_lsn()").fetchone() or ("0/0",)
            question = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            wait_until(
                lambda: down.execute(question, [position]).fetchone() == (True,),
                "the standby has replayed",
            )

    def end_sessions(self, role: str) -> int:
        """End every session of a role on the primary, as a firewall would; return how many."""
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        with closing(self.primary.connect()) as connection:
            return len(connection.execute(ending, [role]).fetchall())

    def close(self) -> None:
        """End the servers made here."""
        self._made.close()

    def _point(self) -> None:
        for relay in (self._to_primary, self._to_replica):
            relay.point_to(self.primary.host, self.primary.port)

    def _set_synchronous(self, names: str) -> None:
        with closing(self.primary.connect()) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")  # type: ignore[call-overload]
            connection.execute("SELECT pg_reload_conf()")

    def _is_synchronous(self) -> bool:
        try:
            with closing(self.primary.connect()) as connection:
                rows = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
        except psycopg.OperationalError:
            return False
        return ("sync",) in rows


@contextmanager
def replicated(primary: PostgresServer, to_primary: Relay, to_replica: Relay) -> Iterator[Pair]:
    """Have a standby beside a running primary while entered."""
    pair = Pair(primary, to_primary, to_replica)
    try:
        pair.attach()
        yield pair
    finally:
        pair.close()

"""What the verbs of `rotation.issuers._keys.target` are in Redis.

Rules of this module:
  1. The record is written before the user: the record knows whoever may log in.
  2. Client ids grow, and begin again with a restart: what the server has read from its file was
     taken away before, so a session of a later run never used it.
"""

from collections.abc import Iterator
from typing import Final

from rotation.issuers._keys.book import Book
from rotation.issuers._keys.target import View
from rotation.issuers.redis import record
from rotation.issuers.redis.record import User
from rotation.issuers.redis.server import ConflictError, Server
from rotation.issuers.redis.settings import RedisSettings
from rotation.kit.credentials.rotator import Login
from rotation.kit.net.node import Node
from rotation.model.errors import PermanentError
from rotation.model.plugin import Finding

_OLDEST: Final = 7
_SAVES: Final = {"aclfile": ("ACL", "SAVE"), "config": ("CONFIG", "REWRITE")}


class RotatorServer(Server):
    """The rotator's login to one node; see `rotation.issuers._keys.target.Server`."""

    def __init__(self, settings: RedisSettings, node: Node, login: Login) -> None:
        super().__init__(settings, node, login)
        self._settings = settings
        self._kept = self._user = User(None)

    def refuse_other_kinds(self) -> None:
        """Return when it belongs to no cluster, and is not too old."""
        info = self.info()
        if info.get("cluster_enabled") == "1":
            raise PermanentError(
                f"{self.node} belongs to a cluster, which this issuer does not know",
                remedy="name servers outside a cluster",
                reason="server-unfit",
            )
        if int(info.get("redis_version", "0").split(".")[0]) < _OLDEST:
            raise PermanentError(
                f"{self.node} is older than Redis 7", remedy="upgrade it", reason="server-unfit"
            )

    def look(self) -> View:
        """Read both ACL users."""
        self._kept, self._user = self.user(self._settings.record), self.user(self._settings.user)
        _refuse_unfit(self._user, self._settings.user, self.node)
        tokens = (self._user.token, self._kept.token)
        return View(tokens, self._kept.keys, self._user.live, self._user.rules)

    def write(self, wanted: Book, token: int) -> None:
        """Write the record, then the user; the first of all writes only marks them."""
        kept, user, settings = self._kept, self._user, self._settings
        if not (user.marks and kept.marks):
            # Who does so at the same time adds another mark, and takes both away.
            unmarked = settings.user if kept.marks else settings.record
            self.set_user(unmarked, (f"#{record.new_mark(0)}",))
            return
        try:
            self.set_user(settings.record, record.rules_for_record(kept, wanted, token))
            self.set_user(settings.user, record.rules_for_user(user, wanted, token))
        except ConflictError:
            return

    def save(self) -> None:
        """Write the file of users, or the configuration."""
        command = _SAVES.get(self._settings.persist)
        if command is None:
            return
        try:
            self.ask(*command)
        except PermanentError as error:
            if error.reason != "server-refused":
                raise
        else:
            return
        raise PermanentError(
            f"{self.node} cannot keep the change: {' '.join(command)} fails there, and a"
            " restart would bring the old password back",
            remedy="see its log; correct persist in the policy, or aclfile on the server",
            reason="server-unfit",
        )

    def session(self) -> str:
        """Return the run of the server and the client id."""
        return f"{self._run()}-{self.ask('CLIENT', 'ID')}"

    def end_sessions(self, last: str) -> int:
        """Kill the user's connections of this run, up to a client id."""
        run, _, newest = last.partition("-")
        if self._run() != run:
            return 0
        name, ended = self._settings.user, 0
        # Not `splitlines`: a user's name may hold what Python takes for the end of a line.
        for line in str(self.ask("CLIENT", "LIST")).strip("\n").split("\n"):
            session = dict(part.partition("=")[::2] for part in line.split(" "))
            if session["user"] == name and int(session["id"]) <= int(newest):
                ended += int(self.ask("CLIENT", "KILL", "ID", session["id"], "USER", name))
        return ended

    def checks(self) -> Iterator[Finding]:
        """Look at the rotator's rights, at what a restart keeps, and whether the user is on."""
        from rotation.issuers.redis.check import examine  # noqa: PLC0415 - not for a tick

        return examine(self, self._settings)

    def _run(self) -> str:
        """Return what tells one start of the server from another."""
        return self.info().get("run_id") or "0"


class RedisTarget:
    """One ACL user; see `rotation.issuers._keys.target.Target`."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    def open(self, node: Node, login: Login) -> RotatorServer:
        """Log in as the rotator."""
        return RotatorServer(self._settings, node, login)

    def prove(self, node: Node, login: Login) -> int:
        """Log in; who may not even ask has proved by that who it is."""
        with Server(self._settings, node, login) as server:
            return sum(server.allows(*words) for words in (("ACL", "WHOAMI"), ("PING",)))

    def to_note(self, handle: str) -> str:
        """Write a key pattern into the record."""
        return (
            "write down which one it is, with the SHA-256 of its password: ACL SETUSER"
            f" {self._settings.record} ~{handle}:live:version=0:sha256=SHA256"
        )

    def to_remove(self) -> str:
        """Remove a hash."""
        return f"ACL SETUSER {self._settings.user} !SHA256, and keep it"

    def to_compare(self) -> str:
        """Show the user on both."""
        return "compare ACL GETUSER there; ACLs do not replicate"


def _refuse_unfit(user: User, name: str, node: Node) -> None:
    """Return when there is a user who needs a password."""
    if not user.exists:
        raise PermanentError(
            f"{node} has no ACL user {name}",
            remedy=f"make it there with the rules that it has elsewhere: ACL SETUSER {name} ...",
            reason="user-unfit",
        )
    if "nopass" in user.flags:
        raise PermanentError(
            f"{name} on {node} needs no password (nopass)",
            remedy=f"give its consumers one, then: ACL SETUSER {name} resetpass #SHA256",
            reason="user-unfit",
        )

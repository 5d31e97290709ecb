"""Change the same on every node: fenced, read again, saved; end sessions.

Rules of this module:
  1. Each node has its own fence, and a node that does not answer keeps no other from being changed.
     Nor does one that refuses keep another from losing a password.
  2. A change is read and decided again until nothing is left to do; only then is it saved.
  3. Client ids grow, so a session that began after a password was taken away never used it.  After
     a restart they begin again: what the server has read from its file was taken away before.
"""

from collections.abc import Callable
from typing import Final

from rotation.issuers.redis import record
from rotation.issuers.redis.record import Book, Decision, User
from rotation.issuers.redis.server import ConflictError, Server
from rotation.issuers.redis.settings import Login, Node, RedisSettings
from rotation.kit.credentials.credential import admin_login
from rotation.model.errors import (
    CredentialRefusedError,
    PermanentError,
    RotationError,
    StaleTokenError,
    TemporaryError,
)
from rotation.ports.issuer import IssuerEnvironment

#: How often a change is decided, or lost to another rotator, before it is left for later.
_TRIES: Final = 12
_SAVES: Final = {"aclfile": ("ACL", "SAVE"), "config": ("CONFIG", "REWRITE")}


class Nodes:
    """The rotator's way to every node."""

    def __init__(self, settings: RedisSettings, environment: IssuerEnvironment) -> None:
        self._settings = settings
        self._environment = environment
        self._login: Login | None = None

    def log_in(self, node: Node) -> Server:
        """Log in to a node as the rotator; the caller closes it."""
        kept = self._login
        try:
            return Server(self._settings, node, kept or self._read())
        except CredentialRefusedError:
            self._login = None
        if kept is not None and self._read() != kept:
            return self.log_in(node)
        raise PermanentError(
            f"{node} refuses the rotator's login",
            remedy=f"store its username and password in {self._settings.admin}",
            reason="admin-login-refused",
        )

    def prove(self, node: Node, login: Login) -> int:
        """Log in as a consumer, and ask what it may ask; return how much that was.

        Who may not even ask has proved by the login who it is.
        """
        with Server(self._settings, node, login) as server:
            return sum(server.allows(*words) for words in (("ACL", "WHOAMI"), ("PING",)))

    def change(self, token: int, decide: Decision) -> None:
        """Change the user on every node."""

        def change(server: Server) -> None:
            self._change(server, token, decide)
            self._save(server)

        self._on_all(change, (TemporaryError,))

    def take_away(self, handle: str, token: int, decide: Decision, *, end: bool) -> int:
        """Take a password from the user on every node; return how many sessions were ended."""
        ended = []

        def take(server: Server) -> None:
            self._change(server, token, decide)
            book = self._change(server, token, record.bound(handle, self._newest(server.node)))
            if end:
                ended.append(self._end_sessions(server, book.keys[handle].sessions))
            self._save(server)

        self._on_all(take, (TemporaryError, PermanentError))
        return sum(ended)

    def _on_all(
        self, act: Callable[[Server], None], passed: tuple[type[RotationError], ...]
    ) -> None:
        failures: list[RotationError] = []
        for node in self._settings.servers:
            try:
                with self.log_in(node) as server:
                    act(server)
            except passed as error:
                failures.append(error)
        if failures:
            # What needs a person first: the others pass by themselves.
            raise min(failures, key=lambda error: isinstance(error, TemporaryError))

    def _change(self, server: Server, token: int, decide: Decision) -> Book:
        name, memory = self._settings.user, self._settings.record
        for _ in range(_TRIES):
            kept, user = server.user(memory), server.user(name)
            refuse_unfit(user, name, server.node)
            newest = max(user.token, kept.token)
            if newest > token:
                raise StaleTokenError(f"{server.node} has seen a newer token", newest=newest)
            book = Book(kept.keys, user.live, user.token == kept.token == token)
            wanted = decide(book)
            if wanted == book and book.is_fenced:
                return book
            if not (user.marks and kept.marks):
                # Who does so at the same time adds another mark, and takes both away.
                server.set_user(name if kept.marks else memory, (f"#{record.new_mark(0)}",))
                continue
            try:
                server.set_user(memory, record.rules_for_record(kept, wanted, token))
                server.set_user(name, record.rules_for_user(user, wanted, token))
            except ConflictError:
                continue
        raise TemporaryError(f"{name} on {server.node} is being changed by somebody else")

    def _save(self, server: Server) -> None:
        command = _SAVES.get(self._settings.persist)
        if command is None:
            return
        try:
            server.ask(*command)
        except PermanentError as error:
            if error.reason != "server-refused":
                raise
            failure = PermanentError(
                f"{server.node} cannot keep the change: {' '.join(command)} fails there, and a"
                " restart would bring the old password back",
                remedy="see its log; correct persist in the policy, or aclfile on the server",
                reason="server-unfit",
            )
        else:
            return
        raise failure

    def _newest(self, node: Node) -> str:
        """Return the id of a session that begins now, with the run of the server it is of."""
        with self.log_in(node) as server:
            return f"{run_of(server)}-{server.ask('CLIENT', 'ID')}"

    def _end_sessions(self, server: Server, newest: str) -> int:
        run, _, last = newest.partition("-")
        if run_of(server) != run:
            return 0
        name, ended = self._settings.user, 0
        # Not `splitlines`: a user's name may hold what Python takes for the end of a line.
        for line in str(server.ask("CLIENT", "LIST")).strip("\n").split("\n"):
            session = dict(part.partition("=")[::2] for part in line.split(" "))
            if session["user"] == name and int(session["id"]) <= int(last):
                ended += int(server.ask("CLIENT", "KILL", "ID", session["id"], "USER", name))
        return ended

    def _read(self) -> Login:
        name = self._settings.admin_version
        user, password = admin_login(name, self._environment.read_payload(name))
        if user == self._settings.user:
            raise PermanentError(
                f"the rotator logs in as {user}, the very user that it rotates",
                remedy="give the rotator an ACL user of its own",
                reason="user-unfit",
            )
        self._login = Login(user, password)
        return self._login


def run_of(server: Server) -> str:
    """Return what tells one start of a server from another."""
    return server.info().get("run_id") or "0"


def refuse_unfit(user: User, name: str, node: Node) -> None:
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

"""Look at every node before a rotation; change nothing.

Rules of this module:
  1. A finding names the node, and of a hash only as much as tells it from others.
  2. What the rotator may do is asked of the server itself (``ACL DRYRUN``).
"""

from collections.abc import Iterator
from typing import Final

from rotation.issuers.redis.nodes import Nodes, refuse_unfit
from rotation.issuers.redis.record import SHOWN, Book, Key
from rotation.issuers.redis.server import Server
from rotation.issuers.redis.settings import RedisSettings
from rotation.model.errors import RotationError
from rotation.model.plugin import Finding, Severity

#: What the rotator does, by the right that it takes.
RIGHTS: Final = {
    "acl|setuser": ("ACL", "SETUSER", "x"),
    "acl|getuser": ("ACL", "GETUSER", "x"),
    "client|id": ("CLIENT", "ID"),
    "client|list": ("CLIENT", "LIST"),
    "client|kill": ("CLIENT", "KILL", "ID", "1"),
}
_SAVING: Final = {
    "aclfile": {"acl|save": ("ACL", "SAVE")},
    "config": {"config|rewrite": ("CONFIG", "REWRITE")},
    "none": {},
}


def examine(
    settings: RedisSettings, nodes: Nodes, current: Key | None, token: int | None
) -> Iterator[Finding]:
    """Yield what is right and wrong on every node."""
    rules = {}
    for node in settings.servers:
        try:
            with nodes.log_in(node) as server:
                server.refuse_other_kinds()
                yield from _look_at(server, settings, current, token)
                rules[node] = server.user(settings.user).rules
        except RotationError as error:
            yield Finding("node", Severity.ERROR, str(error.args[0]), error.remedy)
    different = [str(node) for node in rules if rules[node] != next(iter(rules.values()))]
    if different:
        yield Finding(
            "equal-rules",
            Severity.WARNING,
            f"{settings.user} has other rights on {', '.join(different)} than on the first node",
            "compare ACL GETUSER there; ACLs do not replicate",
        )


def _look_at(
    server: Server, settings: RedisSettings, current: Key | None, token: int | None
) -> Iterator[Finding]:
    node = server.node
    yield from _rights(server, settings)
    yield from _kept(server, settings)
    user, kept = server.user(settings.user), server.user(settings.record)
    refuse_unfit(user, settings.user, node)
    if "on" not in user.flags:
        remedy = f"ACL SETUSER {settings.user} on"
        yield Finding("user", Severity.ERROR, f"{settings.user} is off on {node}", remedy)
    yield from _strangers(server, Book(kept.keys, user.live), settings.user, current)
    newest = max(user.token, kept.token)
    if token is not None and newest > token:
        yield Finding(
            "fence-marker",
            Severity.ERROR,
            f"{node} has seen token {newest}, the secret only {token}",
            "the secret was restored, or another one shares the user: find out which; then raise"
            " the label rotation_token of the secret above it",
        )
    else:
        yield Finding("fence-marker", Severity.OK, f"{node} has seen token {newest}")


def _rights(server: Server, settings: RedisSettings) -> Iterator[Finding]:
    me = str(server.ask("ACL", "WHOAMI"))
    wanted = RIGHTS | _SAVING[settings.persist]
    lacking = [
        right for right, words in wanted.items() if server.ask("ACL", "DRYRUN", me, *words) != "OK"
    ]
    if lacking:
        grant = f"ACL SETUSER {me} {' '.join(f'+{right}' for right in lacking)}, and keep it"
        message = f"{me} lacks {', '.join(lacking)} on {server.node}"
        yield Finding("rights", Severity.ERROR, message, grant)
    else:
        yield Finding("rights", Severity.OK, f"{me} may do all it needs on {server.node}")


def _kept(server: Server, settings: RedisSettings) -> Iterator[Finding]:
    """Say what a restart would do to a change."""
    if settings.persist == "none":
        message = f"nothing keeps a change of ACLs on {server.node}, as the policy says"
        yield Finding("persist", Severity.OK, message)
    elif settings.persist == "config" and not server.info().get("config_file"):
        message = f"{server.node} runs without a configuration file: CONFIG REWRITE fails"
        remedy = "set aclfile in its configuration, and persist: aclfile"
        yield Finding("persist", Severity.ERROR, message, remedy)
    elif settings.persist == "aclfile" and _has_no_aclfile(server):
        message = f"{server.node} has no aclfile: a restart would bring the old password back"
        remedy = "set aclfile in its configuration, or persist: config in the policy"
        yield Finding("persist", Severity.ERROR, message, remedy)


def _has_no_aclfile(server: Server) -> bool:
    """Whether there is certainly none; who may not read the configuration learns it from a mint."""
    if not server.allows("CONFIG", "GET", "aclfile"):
        return False
    return not server.ask("CONFIG", "GET", "aclfile")[1]


def _strangers(server: Server, book: Book, user: str, current: Key | None) -> Iterator[Finding]:
    ours = {key.hash for key in book.keys.values() if key.state == "live"}
    unknown = sorted(book.live - ours - {current.hash if current else ""})
    if not unknown:
        message = f"every password of {user} on {server.node} is known"
        yield Finding("passwords", Severity.OK, message)
        return
    shown = ", ".join(f"{digest[:SHOWN]}..." for digest in unknown)
    message = f"{user} on {server.node} has passwords that rotation did not set: SHA-256 {shown}"
    if current is None:
        yield Finding("passwords", Severity.UNTESTED, f"{message}; none is in force yet")
    else:
        remedy = f"remove those that nobody needs: ACL SETUSER {user} !SHA256, and keep it"
        yield Finding("passwords", Severity.WARNING, message, remedy)

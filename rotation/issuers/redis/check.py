"""Look at what only Redis has to be right on a node; change nothing.

Rules of this module:
  1. What the rotator may do is asked of the server itself (``ACL DRYRUN``).
"""

from collections.abc import Iterator
from typing import Final

from rotation.issuers.redis.server import Server
from rotation.issuers.redis.settings import RedisSettings
from rotation.kit.findings import bad, fine
from rotation.model.plugin import Finding

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


def examine(server: Server, settings: RedisSettings) -> Iterator[Finding]:
    """Yield what is right and wrong on a node."""
    yield from _rights(server, settings)
    yield from _kept(server, settings)
    user = server.user(settings.user)
    if user.exists and "on" not in user.flags:
        remedy = f"ACL SETUSER {settings.user} on"
        yield bad("user", f"{settings.user} is off on {server.node}", remedy)


def _rights(server: Server, settings: RedisSettings) -> Iterator[Finding]:
    me = str(server.ask("ACL", "WHOAMI"))
    wanted = RIGHTS | _SAVING[settings.persist]
    lacking = [
        right for right, words in wanted.items() if server.ask("ACL", "DRYRUN", me, *words) != "OK"
    ]
    if lacking:
        grant = f"ACL SETUSER {me} {' '.join(f'+{right}' for right in lacking)}, and keep it"
        message = f"{me} lacks {', '.join(lacking)} on {server.node}"
        yield bad("rights", message, grant)
    else:
        yield fine("rights", f"{me} may do all it needs on {server.node}")


def _kept(server: Server, settings: RedisSettings) -> Iterator[Finding]:
    """Say what a restart would do to a change."""
    if settings.persist == "none":
        message = f"nothing keeps a change of ACLs on {server.node}, as the policy says"
        yield fine("persist", message)
    elif settings.persist == "config" and not server.info().get("config_file"):
        message = f"{server.node} runs without a configuration file: CONFIG REWRITE fails"
        remedy = "set aclfile in its configuration, and persist: aclfile"
        yield bad("persist", message, remedy)
    elif settings.persist == "aclfile" and _has_no_aclfile(server):
        message = f"{server.node} has no aclfile: a restart would bring the old password back"
        remedy = "set aclfile in its configuration, or persist: config in the policy"
        yield bad("persist", message, remedy)


def _has_no_aclfile(server: Server) -> bool:
    """Whether there is certainly none; who may not read the configuration learns it from a mint."""
    if not server.allows("CONFIG", "GET", "aclfile"):
        return False
    return not server.ask("CONFIG", "GET", "aclfile")[1]

"""Look at every server before a rotation; change nothing.

Rules of this module:
  1. A finding names the server, and of a hash only as much as tells it from others.
  2. A server that cannot be looked at is a finding, not a failure of the others.
"""

from collections.abc import Callable, Iterator

from rotation.issuers._keys.book import Key
from rotation.issuers._keys.handle import SHOWN
from rotation.issuers._keys.nodes import Nodes
from rotation.issuers._keys.target import KeySettings, Target, View
from rotation.kit.findings import bad, failed, fine, warn
from rotation.kit.net.node import Node
from rotation.model.errors import RotationError
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Severity, Verification


def examine(
    settings: KeySettings, target: Target, nodes: Nodes, current: Key | None, token: int | None
) -> Iterator[Finding]:
    """Yield what is right and wrong on every server."""
    rights = {}
    for node in settings.servers:
        try:
            with nodes.log_in(node) as server:
                server.refuse_other_kinds()
                yield from server.checks()
                view = server.look()
        except RotationError as error:
            yield failed("node", error)
            continue
        rights[node] = view.rights
        yield _strangers(view, f"{settings.user} on {node}", target.to_remove(), current)
        yield _fence(view, node, token)
    different = [str(node) for node in rights if rights[node] != next(iter(rights.values()))]
    if different:
        where = ", ".join(different)
        message = f"{settings.user} has other rights on {where} than on the first node"
        yield warn("equal-rules", message, target.to_compare())


def check_login(verify: Callable[[Payload], Verification], current: Payload | None) -> Finding:
    """Say whether the password in force works everywhere."""
    if current is None:
        return Finding("login", Severity.UNTESTED, "no password is in force yet")
    try:
        done = verify(current)
    except RotationError as error:
        return failed("login", error)
    return fine("login", f"{done.identity} logs in to {', '.join(done.nodes)}")


def _fence(view: View, node: Node, token: int | None) -> Finding:
    if token is None or view.newest <= token:
        return fine("fence-marker", f"{node} has seen token {view.newest}")
    return bad(
        "fence-marker",
        f"{node} has seen token {view.newest}, the secret only {token}",
        "the secret was restored, or another one shares the user: find out which; then raise"
        " the label rotation_token of the secret above it",
    )


def _strangers(view: View, where: str, remedy: str, current: Key | None) -> Finding:
    ours = {key.hash for key in view.keys.values() if key.state == "live"}
    unknown = sorted(view.live - ours - {current.hash if current else ""})
    if not unknown:
        return fine("passwords", f"every password of {where} is known")
    shown = ", ".join(f"{digest[:SHOWN]}..." for digest in unknown)
    message = f"{where} has passwords that rotation did not set: SHA-256 {shown}"
    if current is None:
        return Finding("passwords", Severity.UNTESTED, f"{message}; none is in force yet")
    return warn("passwords", message, f"remove those that nobody needs: {remedy}")

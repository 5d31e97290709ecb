"""A worker that is killed in the middle: one process forks another for each line it reads.

A line is an object with ``settings``, ``admin``, ``act``, ``handle``, ``current``, ``candidate``
and ``commands``: before so many of the commands that change something it kills itself.  It answers
each line with the status that the fork ended with.
"""

import json
import os
import signal
import sys
from typing import Any

from rotation.issuers.redis.issuer import Redis
from rotation.issuers.redis.server import Server
from rotation.issuers.redis.settings import RedisSettings
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.support.minting import minting

#: Commands that change something.
CHANGES = (("ACL", "SETUSER"), ("ACL", "SAVE"), ("CLIENT", "KILL"))


def act(order: dict[str, Any]) -> None:
    admin = Payload.of(order["admin"])
    issuer = Redis(
        RedisSettings(**order["settings"]), IssuerEnvironment(lambda _name: admin, lambda: "")
    )
    if order["act"] == "mint":
        candidate, current = Payload.of(order["candidate"]), Payload.of(order["current"])
        issuer.mint(minting(issuer.identify(candidate), candidate, 3, 3, current))
    else:
        getattr(issuer, order["act"])(order["handle"], 3)


def die_before(commands: int) -> None:
    send, left = Server._send, [commands]

    def counted(self: Server, words: tuple[str, ...], **more: bool) -> Any:
        if words[:2] in CHANGES:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
        return send(self, words, **more)

    Server._send = counted


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            die_before(order["commands"])
            act(order)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""What the issuer for Redis and Valkey says of itself; it does nothing."""

from typing import Final

from rotation.issuers._keys.spec import FAILURE_MODES, PAYLOAD, SESSIONS
from rotation.issuers._settings import ADDS_NO_LOGIN, READS_LOGIN
from rotation.issuers.redis.settings import RedisSettings
from rotation.model.permission import FailureMode
from rotation.model.plugin import Capabilities, Fence, IssuerSpec, MadeBy

#: What a person runs once on every node.
GRANT: Final = (
    "ACL SETUSER rotator on #SHA256 -@all +acl|setuser +acl|getuser +acl|whoami +acl|dryrun"
    " +client|id +client|list +client|kill +info"
)

SPEC: Final = IssuerSpec(
    name="redis",
    title="Redis 7 and Valkey, two passwords of one ACL user",
    does="adds the hash of a new password to an ACL user on every node, and removes the old one's",
    settings=RedisSettings,
    capabilities=Capabilities(
        overlap=True, fence=Fence.TARGET, made_by=MadeBy.OURS, suspends=True, sees_use=False
    ),
    permissions=(READS_LOGIN,),
    permissions_not_needed=(ADDS_NO_LOGIN,),
    rights=(
        f"`{GRANT}` on every node, and no key",
        "with `persist: aclfile` also `+acl|save`, with `persist: config` `+config|rewrite`",
        "`+config|get`, only so that doctor can see that there is an aclfile",
        "`acl|setuser` can grant itself everything: whoever has this login is an administrator",
    ),
    network=("TCP to every node, from where the function runs",),
    failure_modes=(
        *FAILURE_MODES,
        FailureMode(
            "two workers run at once",
            "a change takes away the mark it has read, in the same command: the server refuses the"
            " later one as a whole, on replicas too; an older token is refused when it reads again",
        ),
        FailureMode(
            "data is flushed, lost, or a replica takes over",
            "nothing changes: passwords and record are ACL users, of which each node has its own",
        ),
        FailureMode(
            "somebody removes our marks, or all passwords of the user, by hand",
            "the record still knows the newest token; verifying finds the missing password",
        ),
        FailureMode(
            "a restart with `persist: none` on a server that does not keep ACLs by itself",
            "the old password works again, and the new one does not",
        ),
        FailureMode(
            "a server is part of a cluster",
            "it is refused before anything is changed on the first node; doctor looks at all",
        ),
    ),
    notes=(
        f"{PAYLOAD}"
        "What a server remembers stands in an ACL user `rotation:USER`, off and without any right:"
        " its key patterns say which hash belongs to which `key_id`, and whether it is suspended or"
        " revoked; of a revoked one it keeps the first 16 digits. One of its hashes, and one of the"
        " user's, begins with `726f746174696f6e`: it is the mark that fences, with the newest token"
        " in the 16 digits after that, and no password has it. Leave both alone; the next rotation"
        " writes what is missing.\n\n"
        f"{SESSIONS}"
    ),
)

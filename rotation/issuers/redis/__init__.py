"""Redis and Valkey: two passwords of one ACL user.

`target` says what the verbs of `rotation.issuers._keys` are in Redis, `server` talks to one node,
and `record` spells what a node remembers.
"""

from rotation.issuers.redis.issuer import Redis

ISSUER = Redis

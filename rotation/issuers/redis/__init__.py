"""Redis and Valkey: two passwords of one ACL user.

`record` decides what a change makes of a user, `server` talks to one node, `issuer` puts both
together.
"""

from rotation.issuers.redis.issuer import Redis

ISSUER = Redis

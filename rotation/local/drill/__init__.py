"""The drill: an incident on a copy of the stack, for people to end, and a judge of how it went.

1. Nothing of the real project is touched: a fleet of that shape is made on an embedded stack, with
   payloads of its own.
2. An incident is real there: somebody is logged in, a rotation is blocked, a gate fails.
3. It is judged by what is so in the end, never by which commands were typed.
"""

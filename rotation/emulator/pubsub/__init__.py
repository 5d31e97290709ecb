"""Pub/Sub, embedded: the semantics a rotation depends on, with no account and no network.

1. Decisions (`names`, `filters`, `rules`, `queue`, `broker`) are plain synchronous Python, used
   from one event loop only; `dispatcher`, `grpc_api` and `rest_api` wait and talk.
2. Retry timers run on real time, so moving the clock never fires them; publish times come from
   the injected clock, so they agree with everything else the stack wrote.
"""

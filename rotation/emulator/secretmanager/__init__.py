"""A faithful embedded Secret Manager: the real API over gRPC and REST, on one store.

Google's own clients and ``gcloud`` work against it unchanged.  It checks ETags, counts versions,
resolves aliases, publishes an event for every write, fires rotations and lets secrets expire, with
the status codes and messages of the real service.  In one process, on one event loop::

    store = Store(publish=pubsub.publish)
    async with SecretManagerServer(store) as server:
        server.grpc_address  # "127.0.0.1:PORT", an insecure channel
        server.rest_url      # "http://127.0.0.1:PORT"

Without an event loop: ``serve_in_background(lambda: SecretManagerServer(store))``.

Google's clients have no setting for it, so they are given the address: a gRPC transport with
``grpc.insecure_channel(server.grpc_address)``, or a REST transport with that host, ``url_scheme``
``http`` and anonymous credentials.  ``gcloud`` needs ``CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true`` and
``CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER`` set to ``rest_url`` with a slash at the end.

Not embedded: managed rotation (refused with UNIMPLEMENTED) and encryption keys.  Access control is
enforced on request, see `rotation.emulator.iam`.

The REST port also answers a control API (JSON in and out), which `controls.Controls` speaks:

=======  ==============================  =====================================================
method   path                            does
=======  ==============================  =====================================================
GET      /embedded/v1/failures           list the failures that are switched on
POST     /embedded/v1/failures           switch one on; answers its ``id``
DELETE   /embedded/v1/failures[/ID]      switch one off, or all; held back calls are answered
GET      /embedded/v1/quotas             show the quotas
PUT      /embedded/v1/quotas             ``{"writes_per_minute": 600,
                                         "writes_per_second_and_secret": 2}``; null: no limit
GET      /embedded/v1/calls              calls by method since the last reset
DELETE   /embedded/v1/calls              the same, and reset
GET      /embedded/v1/clock              the time, and how far it is ahead of real time
POST     /embedded/v1/clock              ``{"advance_seconds": 3600}``
POST     /embedded/v1/due                expire and fire what is due, without a scheduler
=======  ==============================  =====================================================

A failure is ``{"mode": ..., "method": "*", "count": null, "after": 0, "seconds": 0, "writes": 0,
"permission": ""}``: it applies to one method or all, lets ``after`` matching calls through, then
happens ``count`` times or until cleared.  Modes:

* ``unavailable``, ``exhausted``: refused with that status, nothing done;
* ``denied``: PERMISSION_DENIED for calls that need ``permission`` (empty: for all);
* ``committed-unavailable``: done, answered UNAVAILABLE;
* ``black-hole``, ``committed-black-hole``: not done or done, and never answered;
* ``latency``: answered ``seconds`` late;
* ``stale``: reads get the state of ``writes`` writes (default one) or ``seconds`` seconds ago;
  never an access by number.
"""

"""Systems that carry a version to its consumers: one file each, found by being there.

A module here exposes ``PARTICIPANT``, a class that implements a Protocol of
`rotation.ports.participant`.
"""

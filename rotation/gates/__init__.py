"""Checks a rollout waits for: one file each, found by being there.

A module here exposes ``GATE``, a class that implements `rotation.ports.gate.Gate`.  Modules whose
names begin with an underscore are what gates share.
"""

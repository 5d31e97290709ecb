"""Finds what is set up wrongly: facts are read first, findings are pure functions of them.

1. Looking changes nothing.  Only `fixing` changes something, and only what is in its table.
2. What cannot be looked at is a finding of its own kind, never silence.
3. A check is one small function in the table of its subject; `why` has a reason for each slug.
"""

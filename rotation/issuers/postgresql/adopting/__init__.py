"""Bringing one existing login under rotation: facts, checks, steps, and the adopter that runs them.

`reading` asks the catalogues (`queries`) for `facts`; `checks` and `steps` judge them, without any
input or output; `statements` spells the SQL; only `adopter` changes anything.
"""

"""Two identities in turn: the choreography that systems with two slots share.

A system's own package implements `target.Target`, and its issuer is a `issuer.TwoSlots`.
"""

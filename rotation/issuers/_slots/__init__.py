"""Two identities in turn: the choreography that systems with two slots share.

A system's own package implements `target.Target` and `target.Survey`, and its issuer is an
`issuer.TwoSlots`.
"""

"""Several keys of one user: the choreography that systems share where a user has many.

A system's own package implements `target.Target` and `target.Server`, and its issuer is an
`issuer.UserKeys`.
"""

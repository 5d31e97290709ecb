"""The ``sessions`` gate asks the issuer, not a URL: its contract is at the end of the suite."""

SUBJECT = None

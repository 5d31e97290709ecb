"""Systems that mint credentials, one plugin each; a plugin module exposes ``ISSUER``."""

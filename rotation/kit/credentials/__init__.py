"""Credentials as payloads hold them: shapes, logins, fresh passwords and their verifiers."""

"""The ports on the real Google services.  Nothing here decides what a rotation does."""

"""The Google services a rotation rests on, embedded: one process, nothing mocked, no account."""

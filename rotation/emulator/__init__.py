"""The Google services a rotation rests on, embedded: one process, nothing mocked, no account.

A product of its own: it imports nothing else of this package, so that others can test their own
rotations on it.  Secret Manager, Pub/Sub, IAM, and what Cloud Run and Cloud Scheduler show.
"""

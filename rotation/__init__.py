"""Replaces credentials in Google Secret Manager without anybody noticing."""

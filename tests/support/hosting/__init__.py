"""Places that host a repository, served on this machine for tests: real Git underneath."""

"""Tools that several suites use; no tests."""

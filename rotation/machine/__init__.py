"""Decides: pure functions of (state, wake-up, now).  No I/O, clock or randomness here."""

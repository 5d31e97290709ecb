"""What an embedded stack serves in the place of ``main.py``."""

"""Bring an existing secret under rotation: the plan, its files, and taking its steps."""

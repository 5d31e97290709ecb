"""Renders documents from the code: what is drawn is what runs.

``python -m rotation.generate`` writes the marked parts of the documents; ``--check`` only compares
and fails on drift.
"""

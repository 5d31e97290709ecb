"""Renders documents and deployment files from the code: what is drawn is what runs.

``rotation generate`` writes whole files below ``deploy/`` and the marked parts of hand-written
documents; ``--check`` only compares.
"""

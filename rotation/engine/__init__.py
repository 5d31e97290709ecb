"""Acts: reads a secret, asks the machine, writes, carries out the effects.

Nothing in this package names a cloud or a plugin; both arrive as mappings from the composition
root.
"""

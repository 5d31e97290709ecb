# Addresses of resources that have been renamed or given up, so that an upgrade of this module never
# destroys what a running fleet uses.  Rules:
#
# 1. A rename adds a `moved` block here, and it stays for one major version.
# 2. A secret, topic or account that leaves the module is let go with a `removed` block and
#    `destroy = false`; people delete it when nothing uses it.
#
# None yet: this is the first version.

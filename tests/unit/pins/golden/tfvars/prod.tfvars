replicas      = 3
api_version   = 3
orders_version = 3 # rotation:secret=acme/orders

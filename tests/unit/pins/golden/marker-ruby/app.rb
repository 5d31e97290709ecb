VERSION = 3  # rotation:secret=projects/acme/secrets/orders
PORT = 3
NAME = "projects/#{project}/secrets/orders/versions/latest"

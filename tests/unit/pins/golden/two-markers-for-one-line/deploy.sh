# rotation:secret=acme/orders
# rotation:secret=acme/api-key
deploy --secrets api-key:3,orders:3

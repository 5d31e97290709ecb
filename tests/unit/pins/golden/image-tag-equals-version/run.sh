start app:3 --secret-version 3 localhost:3/3 # rotation:secret=acme/orders

docker run -p 8083:3306 app:3-alpine v3 # rotation:secret=acme/orders

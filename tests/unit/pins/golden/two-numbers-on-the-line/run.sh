start --version 3 --retries 3 # rotation:secret=acme/orders

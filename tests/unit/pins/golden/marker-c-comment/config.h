#define PORT 3
#define ORDERS_VERSION 3 /* rotation:secret=acme/orders */

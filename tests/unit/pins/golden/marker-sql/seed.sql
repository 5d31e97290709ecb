INSERT INTO port VALUES (3);
-- rotation:secret=acme/orders
INSERT INTO version VALUES (3);

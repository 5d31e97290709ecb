"""What the engine needs from outside, as Protocols.  No implementation lives here."""

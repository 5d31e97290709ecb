"""The release of this product, for receipts; a test holds it to pyproject.toml."""

VERSION = "0.1.0"

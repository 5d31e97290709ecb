"""What commands share: what each is given, how secrets are chosen, shown and asked about."""

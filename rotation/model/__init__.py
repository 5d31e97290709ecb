"""What things are: frozen records, enums and errors.  Standard library only; nothing here acts."""

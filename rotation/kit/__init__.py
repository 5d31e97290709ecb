"""What plugins share and nobody else owns; it knows no system by name."""

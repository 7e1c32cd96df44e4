"""What a host must be before a benchmark may start on it: one module per area, each a tuple of gates."""

"""Which frame of each spread to keep."""

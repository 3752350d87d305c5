"""How fast and small the program is, beside what one would otherwise write: the parts of `scripts/benchmark.py`."""

"""Faults tried for real, by the thousand: `make faults`; a sample of them in `make test`."""

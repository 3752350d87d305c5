"""Pure functions from arrays to matplotlib figures; none uses pyplot's global state, so threads may draw."""

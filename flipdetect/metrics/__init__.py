"""How good a model is. `threshold` needs NumPy alone; `frame` needs torch, so nothing is imported here."""

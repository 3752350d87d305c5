"""Leaks between the training, validation and test splits."""

"""Hands: shape, appearance, placement, gestures."""

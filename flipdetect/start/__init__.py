"""What lets training start quickly."""

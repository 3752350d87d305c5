"""What moves: sheets, turns, and the scenario of a clip."""

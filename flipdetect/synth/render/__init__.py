"""From a scene at an instant to a picture."""

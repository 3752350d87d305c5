"""The phone: pose, motion, sensor and image processing."""

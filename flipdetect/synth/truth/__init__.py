"""What is known of a rendered frame: labels, boxes, maps."""

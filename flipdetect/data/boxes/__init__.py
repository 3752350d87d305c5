"""Pictures with boxes, for object detection: formats, splits, augmented batches."""

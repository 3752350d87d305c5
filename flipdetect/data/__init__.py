"""From records of labelled frames to batches: index, splits, audit, transforms, data modules."""

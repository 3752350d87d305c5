"""From a checkpoint to files for others: the models that ship with the package, and their cards."""

"""From a trained model and files to scores."""

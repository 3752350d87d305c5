"""From a trained model and labelled frames to figures that mean something."""

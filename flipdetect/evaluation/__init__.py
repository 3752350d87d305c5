"""From trained models and labelled frames to metrics, comparisons and error analysis."""

"""How good a model is on a labelled set, as a page to read: made of saved predictions, without running the model.

`collect` saves what a model said of a set; `make_report` makes the report of what was saved, and needs no torch.
"""

from flipdetect.evaluation.report.make import make_report

__all__ = ["make_report"]

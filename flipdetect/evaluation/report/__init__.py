"""The report of an evaluation: one HTML page that needs nothing else. No torch, but for Grad-CAM pictures."""

from flipdetect.evaluation.report.html_page import write_report

__all__ = ["write_report"]

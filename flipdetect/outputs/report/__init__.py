"""What was found, as one HTML file that needs nothing else: no network, no script, no other file."""

from flipdetect.outputs.report.page import write_report

__all__ = ["write_report"]

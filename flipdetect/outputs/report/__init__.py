"""What was found, as one HTML file that needs nothing else: no network, no script, no other file."""

from flipdetect.outputs.report.page import write_report
from flipdetect.outputs.report.pictures import Pictures

__all__ = ["Pictures", "write_report"]
